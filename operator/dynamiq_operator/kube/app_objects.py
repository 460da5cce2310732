"""Filters objects that were found by an App's name: those of this App have its uid as owner, not that of a deleted App."""

from __future__ import annotations

from urllib.parse import quote

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import METADATA_ONE, Api
from dynamiq_operator.model import ownership
from dynamiq_operator.model.manifests import API_VERSION, Manifest


def only_of_app(api: Api, namespace: str, app: str, objects: list[Manifest], uid: str | None = None) -> list[Manifest]:
    """Lists the objects of the App that has the name now; all if there is no such App, or the caller may not read it.

    `uid`: the App's, if known. Raises kube.errors.ApiError.
    """
    # Without owners there is nothing to compare with, and the App's uid is not read.
    if all(ownership.is_nobodys(each) for each in objects):
        return objects
    return ownership.only_of(uid or uid_of(api, namespace, app), objects)


def uid_of(api: Api, namespace: str, app: str) -> str | None:
    """Reads the uid of the App of this name; returns None if there is no such App, or the caller may not read it.

    Raises kube.errors.ApiError.
    """
    path = f"/apis/{API_VERSION}/namespaces/{quote(namespace, safe='')}/apps/{quote(app, safe='')}"
    try:
        uid: str = api.request("GET", path, accept=METADATA_ONE)["metadata"]["uid"]
    except errors.NotFound:
        return None
    except errors.Forbidden:
        return None
    return uid
