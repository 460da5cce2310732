"""Drafts and releases of workflows: how a flow is stored, read back as it was written, and changed by nothing but `save`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import VERSIONS, WORKFLOWS
from dynamiq_operator.model import flows
from dynamiq_operator.model.base import FLOW_MAX_BYTES
from dynamiq_operator.model.names import natural
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.errors import HttpProblem, Json, dumps, invalid_field, unknown_id
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.id_index import EVENT, Entry
from dynamiq_operator.rest.shared import serialize

FLOW_UI_MAX_BYTES = 256 * 1024
MERGE = "application/merge-patch+json"
TRIES = 8


def flow_of(written: Mapping[str, str]) -> str:
    """The flow of a body, as it is stored. Raises HttpProblem."""
    return _bounded("flow", written["flow"], FLOW_MAX_BYTES, "900 KiB")


def flow_ui_of(written: Mapping[str, str]) -> str | None:
    """The layout of a body, as it is stored; None for none. Raises HttpProblem."""
    text = written.get("flow_ui", "null")
    return None if text == "null" else _bounded("flow_ui", text, FLOW_UI_MAX_BYTES, "256 KiB")


def _bounded(field: str, text: str, most: int, said: str) -> str:
    if (size := len(text.encode())) > most:
        raise invalid_field(field, f"it has {size} bytes as compact JSON, and at most {said} ({most} bytes) are kept")
    return text


def told(context: ApiContext, raw: Manifest, status: int = 200) -> Json:
    """The answer that has a workflow with its draft. What is stored as JSON goes out as it stands."""
    spec = raw["spec"]
    try:
        flow, wrong = flows.as_json(spec["flow"]), None
    except flows.FlowError as error:
        flow, wrong = "null", str(error)
    shaped = serialize.workflow({"metadata": raw["metadata"], "description": spec.get("description")}, context)
    shaped |= {"updated_at": serialize.changed_at(raw["metadata"]), "flow_error": wrong}
    layout = _layout(spec.get("flowUI"))
    told = dumps(shaped)[:-1] + f',"flow":{flow},"flow_ui":{layout}}}'.encode()
    return Json(b'{"data":' + told + b"}", status)


def _layout(text: str | None) -> str:
    """A layout as JSON: what kubectl stored and is none goes as a string."""
    if text is None:
        return "null"
    try:
        json.loads(text, parse_constant=_refused, parse_float=len, parse_int=len)
    except (ValueError, RecursionError):
        return json.dumps(text)
    return text


def _refused(name: str) -> None:
    raise ValueError(name)


def change(context: ApiContext, session: CallerSession, entry: Entry, spec: Mapping[str, Any]) -> Manifest:
    """Writes these fields of a workflow and no others; None removes one. Raises HttpProblem and errors.ApiError.

    Nothing that was read is written back, so nothing that others write meanwhile is lost; what is written is what was asked for whole,
    so it is tried again where the API server could not put it between the writes of others.
    """
    patch = {"metadata": {"uid": entry.uid}, "spec": dict(spec)}
    for _ in range(TRIES):
        try:
            return session.api.request("PATCH", WORKFLOWS.path(entry.namespace, entry.name), body=patch, content_type=MERGE)
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
