"""Lists the releases of a workflow."""

from __future__ import annotations

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import VERSIONS
from dynamiq_operator.model.names import natural
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.kube.entries import Entry


def released(api: Api, entry: Entry) -> list[Manifest]:
    """The releases of a workflow, newest first, without their flows: metadata, version and description. Raises errors.ApiError."""
    pages = kube_api.pages(api, VERSIONS, entry.namespace, field=f"spec.workflow={entry.name}", accept=kube_api.TABLE)
    found: list[Manifest] = [
        {"metadata": meta, "version": cells["VERSION"], "description": cells["DESCRIPTION"] or None}
        for page in pages
        for meta, cells in kube_api.table_rows(page)
    ]
    return sorted(found, key=lambda each: natural(each["version"]), reverse=True)
