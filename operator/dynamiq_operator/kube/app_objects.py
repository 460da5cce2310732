"""Objects of an App that were found by its name, and of these the ones that are the App's: whose they are their owners' uids say."""

from __future__ import annotations

from urllib.parse import quote

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import METADATA_ONE, Api
from dynamiq_operator.model import ownership
from dynamiq_operator.model.manifests import API_VERSION, Manifest


def only_of_app(api: Api, namespace: str, app: str, found: list[Manifest], uid: str | None = None) -> list[Manifest]:
    """Those of the App that has the name now; all of them where there is none, or the caller may not read it.

    `uid`: the App's, where it is known. Else it is asked for where an App owns any of `found`: that App may be deleted, and another have its name.
    Raises kube.errors.ApiError.
    """
    if all(ownership.is_nobodys(each) for each in found):
        return found
    uid = uid or uid_of(api, namespace, app)
    return ownership.only_of(uid, found) if uid is not None else found


def uid_of(api: Api, namespace: str, app: str) -> str | None:
    """The uid of the App of this name; None where there is none, or the caller may not read it. Raises kube.errors.ApiError."""
    path = f"/apis/{API_VERSION}/namespaces/{quote(namespace, safe='')}/apps/{quote(app, safe='')}"
    try:
        found: str = api.request("GET", path, accept=METADATA_ONE)["metadata"]["uid"]
    except errors.NotFound:
        return None
    except errors.Denied as error:
        if error.status == 401:
            raise
        return None
    return found
