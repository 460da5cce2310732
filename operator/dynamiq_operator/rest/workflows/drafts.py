"""Writing a draft, and listing what was released of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import VERSIONS, WORKFLOWS
from dynamiq_operator.model.names import natural
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.errors import HttpProblem, unknown_id
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.client import MERGE_PATCH
from dynamiq_operator.rest.kube.id_index import EVENT, Entry

TRIES = 8


def change(context: ApiContext, session: CallerSession, entry: Entry, spec: Mapping[str, Any]) -> Manifest:
    """Writes these fields of a workflow and no others; None removes one. Raises HttpProblem and errors.ApiError.

    Nothing that was read is written back, so nothing that others write meanwhile is lost; what is written is what was asked for whole,
    so it is tried again where the API server could not put it between the writes of others.
    """
    patch = {"metadata": {"uid": entry.uid}, "spec": dict(spec)}
    for _ in range(TRIES):
        try:
            return session.api.request("PATCH", WORKFLOWS.path(entry.namespace, entry.name), body=patch, content_type=MERGE_PATCH)
        except errors.NotFound:
            raise unknown_id("workflow", entry.uid) from None
        except errors.Conflict:
            # Somebody else writes, or another workflow has this name by now.
            context.read(session, WORKFLOWS, entry, EVENT)
        except errors.Denied:
            context.read(session, WORKFLOWS, entry, EVENT)
            raise
    raise HttpProblem(409, "others change this workflow at this moment: try again")


def versions(api: Api, entry: Entry) -> list[Manifest]:
    """The releases of a workflow, newest first, without their flows: metadata, version and description. Raises errors.ApiError."""
    pages = kube_api.pages(api, VERSIONS, entry.namespace, field=f"spec.workflow={entry.name}", accept=kube_api.TABLE)
    found: list[Manifest] = [
        {"metadata": meta, "version": cells["VERSION"], "description": cells["DESCRIPTION"] or None}
        for page in pages
        for meta, cells in kube_api.lines(page)
    ]
    return sorted(found, key=lambda each: natural(each["version"]), reverse=True)
