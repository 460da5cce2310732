"""Reading the rows of many Apps for a report, or for what was live at a time. Rows come a page at a time: nothing here holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import METADATA, METADATA_ONE, Api
from dynamiq_operator.kube.resources import APPS, RECORDS
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.model.ownership import may_be_of

Uids = Mapping[tuple[str, str], str]
"""By namespace and name of an App, its uid."""


def audited_rows(api: Api, namespace: str = "", app: str | None = None) -> Iterator[Manifest]:
    """The rows of an App, of a namespace, or of all, in no order, without those of deleted Apps. Raises kube.errors.ApiError.

    Rows that nobody owns are among them: those of an App that never came, and of one that has just been restored.
    """
    uids = _uids(api, namespace, app)
    for page in requests.pages(api, RECORDS, namespace, field=f"spec.app={app}" if app is not None else ""):
        yield from (row for row in page["items"] if _is_of(uids, row))


def _uids(api: Api, namespace: str, app: str | None) -> Uids:
    if app is None:
        pages = requests.pages(api, APPS, namespace, accept=METADATA)
        found = [item["metadata"] for page in pages for item in page["items"] or ()]  # the API server writes an empty list as null
    else:
        try:
            found = [api.request("GET", APPS.path(namespace, app), accept=METADATA_ONE)["metadata"]]
        except errors.NotFound:
            found = []
    return {(meta["namespace"], meta["name"]): meta["uid"] for meta in found}


def _is_of(uids: Uids, row: Manifest) -> bool:
    """Whether a row is of the App that has the name now: the operator makes the App of a row its owner."""
    return may_be_of(uids.get((row["metadata"]["namespace"], row["spec"]["app"]), ""), row)
