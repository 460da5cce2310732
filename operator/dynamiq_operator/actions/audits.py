"""Reads the rows of many Apps for a report, one page at a time. It keeps no rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import METADATA, METADATA_ONE, Api
from dynamiq_operator.kube.resource import APPS, ROWS
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.model.ownership import may_be_of

Uids = Mapping[tuple[str, str], str]
"""The uid of each App, by namespace and name."""


def audited_rows(api: Api, namespace: str = "", app: str | None = None) -> Iterator[Manifest]:
    """Yields the rows of an App, of a namespace, or of the cluster, in no order, without those of deleted Apps.

    Rows without an owner are included: their App was never created, or has just been restored from a backup.
    Raises kube.errors.ApiError.
    """
    uids = _uids(api, namespace, app)
    for page in requests.pages(api, ROWS, namespace, field=f"spec.app={app}" if app is not None else ""):
        yield from (row for row in page["items"] if _is_of(uids, row))


def _uids(api: Api, namespace: str, app: str | None) -> Uids:
    if app is None:
        pages = requests.pages(api, APPS, namespace, accept=METADATA)
        metas = [item["metadata"] for page in pages for item in page["items"] or ()]  # the API server writes an empty list as null
    else:
        try:
            metas = [api.request("GET", APPS.path(namespace, app), accept=METADATA_ONE)["metadata"]]
        except errors.NotFound:
            metas = []
    return {(meta["namespace"], meta["name"]): meta["uid"] for meta in metas}


def _is_of(uids: Uids, row: Manifest) -> bool:
    """Returns True if the row can belong to the App that has the name now. The operator makes a row's App its owner."""
    return may_be_of(uids.get((row["metadata"]["namespace"], row["spec"]["app"]), ""), row)
