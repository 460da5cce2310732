"""Reads workflows as a Table of the API server, without their flows, which may be large."""

from __future__ import annotations

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import WORKFLOWS
from dynamiq_operator.model.objects import Manifest


def list_workflows(api: Api, namespace: str, field: str = "") -> list[Manifest]:
    """Returns the workflows of a namespace, or of all, that the field selector matches: `metadata` and `description`.

    Raises errors.ApiError.
    """
    return [each for page in kube_api.pages(api, WORKFLOWS, namespace, field=field, accept=kube_api.TABLE) for each in _lines(page)]


def read_workflow(api: Api, namespace: str, name: str) -> Manifest:
    """Returns one workflow in the same form. Raises errors.ApiError."""
    return _lines(api.request("GET", WORKFLOWS.path(namespace, name), accept=kube_api.TABLE))[0]


def _lines(table: Manifest) -> list[Manifest]:
    return [{"metadata": meta, "description": cells["DESCRIPTION"] or None} for meta, cells in kube_api.table_rows(table)]
