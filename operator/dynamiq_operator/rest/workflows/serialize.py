"""Serializes workflows and their releases as the contract's JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from dynamiq_operator.actions.rejections import sentence
from dynamiq_operator.kube.resources import NAMESPACES
from dynamiq_operator.model import flows
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.names import workflow_and_version
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.shared.serialize import Data, Ids, changed_at
from dynamiq_operator.serving.encoding import Json, dumps
from dynamiq_operator.views.flow_diff import flow_diff


class FlowOf(NamedTuple):
    """A release, or the draft, which has no id, with the text of its flow."""

    id: str | None
    version: str
    created_at: str
    text: str
    description: str | None = None


def workflow(raw: Manifest, ids: Ids) -> Data:
    """Serializes a workflow without its draft, from its metadata and `description`."""
    meta = raw["metadata"]
    return {
        "id": meta["uid"],
        "name": meta["name"],
        "description": raw["description"],
        "project_id": ids.id_of(NAMESPACES, "", meta["namespace"]),
        "created_at": meta["creationTimestamp"],
    }


def listed(raw: Manifest, ids: Ids, newest: Entry | None) -> Data:
    """Serializes a workflow of a list. `newest`: its newest release."""
    serialized = (
        None if newest is None else {"id": newest.uid, "version": workflow_and_version(newest.name)[1], "created_at": newest.created}
    )
    return {**workflow(raw, ids), "newest_version": serialized}


def version(raw: Manifest, workflow_id: str, rejection: Manifest | None = None) -> Data:
    """Serializes a release without its flow, from its metadata, `version` and `description`. `rejection`: the valid one of its flow."""
    return {
        "id": raw["metadata"]["uid"],
        "workflow_id": workflow_id,
        "version": raw["version"],
        "name": raw["description"],
        "description": raw["description"],
        "created_at": raw["metadata"]["creationTimestamp"],
        **_rejected(raw["version"], rejection),
    }


def _rejected(version: str, rejection: Manifest | None) -> Data:
    if rejection is None:
        return {"rejected": None, "rejection_id": None}
    return {"rejected": sentence(rejection, version), "rejection_id": rejection["metadata"]["uid"]}


def difference(before: FlowOf | None, after: FlowOf, rejections: Mapping[str, Manifest]) -> Data:
    """Serializes what changed from one flow of a workflow to another. `rejections`: the valid ones, by the hash of a flow."""

    def reference(flow: FlowOf) -> Data:
        serialized = {"id": flow.id, "version": flow.version, "description": flow.description, "created_at": flow.created_at}
        return serialized | _rejected(flow.version, rejections.get(flow_hash(flow.text)))

    diff = flow_diff(before.text, after.text, before.version, after.version) if before is not None else ()
    return {"from": reference(before) if before is not None else None, "to": reference(after), "flow_diff": "\n".join(diff)}


def detail(context: ApiContext, raw: Manifest, status: int = 200) -> Json:
    """Returns the response with a workflow and its draft. A flow that is stored as JSON is sent unchanged."""
    spec = raw["spec"]
    try:
        flow, wrong = flows.as_json(spec["flow"]), None
    except flows.FlowError as error:
        flow, wrong = "null", str(error)
    serialized = workflow({"metadata": raw["metadata"], "description": spec.get("description")}, context)
    meta = raw["metadata"]
    serialized |= {"updated_at": changed_at(meta), "object_version": meta["resourceVersion"], "flow_error": wrong}
    layout = _layout(spec.get("flowUI"))
    encoded = dumps(serialized)[:-1] + f',"flow":{flow},"flow_ui":{layout}}}'.encode()
    return Json(b'{"data":' + encoded + b"}", status)


def _layout(text: str | None) -> str:
    """Returns a layout as JSON. Text that kubectl stored and that is not JSON becomes a string."""
    if text is None:
        return "null"
    try:
        json.loads(text, parse_constant=_refused, parse_float=len, parse_int=len)
    except (ValueError, RecursionError):
        return json.dumps(text)
    return text


def _refused(name: str) -> None:
    raise ValueError(name)
