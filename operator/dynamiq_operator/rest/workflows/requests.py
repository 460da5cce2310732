"""Requests about workflows. The structure of a flow is validated here; its text is stored as it was sent, see `http.raw_body`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from dynamiq_operator.model.base import DNS_LABEL, DNS_LABEL_MAX
from dynamiq_operator.rest.http.models import IdInput, RequestModel

_NODES = {
    "anyOf": [
        {"type": "array", "minItems": 1, "items": {"type": "object"}},
        {"type": "object", "minProperties": 1, "additionalProperties": {"type": "object"}},
    ]
}


def _flow(value: Any) -> Any:
    if not isinstance(value, dict):
        raise PydanticCustomError("flow", "a flow is an object")
    nodes = value.get("nodes")
    listed = list(nodes.values()) if isinstance(nodes, dict) else nodes
    if not isinstance(listed, list) or not listed or not all(isinstance(node, dict) for node in listed):
        raise PydanticCustomError("flow", "a flow has nodes: a list of objects, or objects by id, and at least one")
    return value


Flow = Annotated[
    Any,
    PlainValidator(_flow),
    WithJsonSchema({"type": "object", "required": ["nodes"], "properties": {"nodes": _NODES}}),
    Field(description="The DAG, at most 900 KiB as compact JSON in UTF-8. It is returned as it was written. Duplicate keys are refused."),
]
FlowUi = Annotated[Any, Field(description="Canvas layout: any JSON of at most 256 KiB. It is stored unchanged.")]
Description = Annotated[str | None, Field(max_length=512, description="What the workflow does.")]


class NewWorkflow(RequestModel):
    """A workflow and its first draft."""

    name: Annotated[
        str, Field(max_length=DNS_LABEL_MAX, pattern=DNS_LABEL, description="Lower-case letters, digits and '-', beginning with a letter.")
    ]
    project_id: IdInput
    description: Description = None
    flow: Flow
    flow_ui: FlowUi = None


class WorkflowChange(RequestModel):
    """The fields of a workflow to change. Omitted fields stay."""

    name: Annotated[str | None, Field(description="Its current name. It cannot change, since versions are named after it.")] = None
    description: Description = None


class Draft(RequestModel):
    """The new draft."""

    flow: Flow
    flow_ui: Annotated[FlowUi, Field(description="Canvas layout: any JSON of at most 256 KiB. Left out: unchanged.")] = None


class ConfirmedDraft(RequestModel):
    """The state that was seen before a release. If it is another by now, nothing is released: 409 with both."""

    draft: Annotated[str | None, Field(description="`object_version` of the workflow whose draft was confirmed.")] = None
    before: Annotated[str | None, Field(description="The newest version at that time, such as v6; null: there was none.")] = None


class NewVersion(RequestModel):
    """A release of a flow."""

    name: Annotated[
        str | None, Field(max_length=512, description="What is new, for the history. Versions are numbered. Left out: the workflow's.")
    ] = None
    flow: Annotated[
        Flow,
        Field(description="What to release, as a draft's flow is written. Left out, with `confirmed.draft`: the stored draft."),
    ] = None
    flow_ui: Annotated[FlowUi, Field(description="Accepted, but not stored: a version has only what runs.")] = None
    confirmed: Annotated[ConfirmedDraft | None, Field(description="Left out: nothing is compared.")] = None
    force: Annotated[bool, Field(description="True: release a flow that cannot run. Left out: it is refused, with the reasons.")] = False
