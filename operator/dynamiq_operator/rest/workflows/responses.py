"""Responses about workflows and their releases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, Self

import orjson
from pydantic import Field

from dynamiq_operator.actions.rejections import sentence
from dynamiq_operator.kube.resources import NAMESPACES
from dynamiq_operator.model import flows
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.names import workflow_and_version
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.http.models import AliasedModel, Id, Pagination, ResponseModel, Time
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.parts.responses import Ids, changed_at, identity
from dynamiq_operator.views.flow_diff import flow_diff


class FlowOf(NamedTuple):
    """A release, or the draft, which has no id, with the text of its flow."""

    id: str | None
    version: str
    created_at: str
    text: str
    description: str | None = None


class NewestVersion(ResponseModel):
    id: Id
    version: str
    created_at: Time


class Workflow(ResponseModel):
    """A workflow."""

    id: Id
    name: str
    description: str | None
    project_id: Id | None
    created_at: Time

    @classmethod
    def read(cls, data: Any, **fields: Any) -> Self:
        """Returns a workflow without its draft, from its metadata and `description`."""
        return super().read(data, **identity(data["metadata"]), **fields)


class ListedWorkflow(Workflow):
    """A workflow as a list has it."""

    newest_version: Annotated[
        NewestVersion | None,
        Field(description="Its newest release, with `with_newest_version`; null if there is none, or the caller may not list releases."),
    ]

    @classmethod
    def of(cls, raw: Manifest, ids: Ids, newest: Entry | None) -> ListedWorkflow:
        """Returns a workflow of a list. `newest`: its newest release."""
        version = workflow_and_version(newest.name)[1] if newest is not None else ""
        release = NewestVersion(id=newest.uid, version=version, created_at=newest.created) if newest is not None else None
        return cls.read(raw, project_id=ids.id_of(NAMESPACES, "", raw["metadata"]["namespace"]), newest_version=release)


class WorkflowDetail(Workflow):
    """A workflow with its draft."""

    updated_at: Time
    object_version: Annotated[str, Field(description="Changes with each change; a release confirms it.")]
    flow: Annotated[dict[str, Any] | None, Field(description="As it was written. YAML that kubectl stored is returned as JSON.")]
    flow_ui: Annotated[Any, Field(description="Canvas layout, as it was sent.")]
    flow_error: Annotated[str | None, Field(description="Why flow is null: kubectl stored what cannot be written as JSON.")]

    @classmethod
    def of(cls, raw: Manifest, ids: Ids) -> WorkflowDetail:
        """Returns a workflow and its draft. A flow that is stored as JSON is sent unchanged."""
        meta, spec = raw["metadata"], raw["spec"]
        try:
            flow, wrong = flows.as_json(spec["flow"]), None
        except flows.FlowError as error:
            flow, wrong = "null", str(error)
        return cls.read(
            {"metadata": meta, "description": spec.get("description")},
            project_id=ids.id_of(NAMESPACES, "", meta["namespace"]),
            updated_at=changed_at(meta),
            object_version=meta["resourceVersion"],
            flow=orjson.Fragment(flow.encode()),
            flow_ui=orjson.Fragment(_layout(spec.get("flowUI")).encode()),
            flow_error=wrong,
        )


class VersionResponse(ResponseModel):
    """A release, which never changes."""

    id: Id
    workflow_id: Id
    version: str
    name: Annotated[str | None, Field(description="The same as description.")]
    description: Annotated[str | None, Field(description="What is new; the history of an App shows it.")]
    created_at: Time
    rejected: Annotated[
        str | None,
        Field(
            description="Who rejected its flow and why, as a sentence: nobody may deploy it. None if it is not rejected, or the caller "
            "may not read that."
        ),
    ]
    rejection_id: Annotated[
        Id | None, Field(description="The newest rejection of its flow that is in force, of those that an App of its namespace lists.")
    ]

    @classmethod
    def of(cls, raw: Manifest, workflow_id: str, rejection: Manifest | None = None) -> VersionResponse:
        """Returns a release without its flow, from its metadata, `version` and `description`. `rejection`: the valid one of its flow."""
        more = {**identity(raw["metadata"]), "name": raw["description"], **_rejected(raw["version"], rejection)}
        return cls.read(raw, workflow_id=workflow_id, **more)


class FlowRef(ResponseModel):
    """A release, or the draft."""

    id: Annotated[Id | None, Field(description="None for the draft.")]
    version: Annotated[str, Field(description="Such as v2; draft for the draft.")]
    description: Annotated[str | None, Field(description="What is new in a release.")]
    created_at: Annotated[Time, Field(description="Of the draft, when it was written last.")]
    rejected: Annotated[str | None, Field(description="Who rejected this flow and why, as of a version of the list.")]
    rejection_id: Annotated[Id | None, Field(description="The newest rejection of this flow that is in force.")]

    @classmethod
    def of(cls, flow: FlowOf, rejections: Mapping[str, Manifest]) -> FlowRef:
        """Returns a flow. `rejections`: the valid ones, by the hash of a flow."""
        more = _rejected(flow.version, rejections.get(flow_hash(flow.text)))
        return cls(id=flow.id, version=flow.version, description=flow.description, created_at=flow.created_at, **more)


class FlowDifference(AliasedModel):
    """The changes in the flow of a workflow."""

    from_: Annotated[FlowRef | None, Field(alias="from", description="None for the first release.")]
    to: FlowRef
    flow_diff: Annotated[str, Field(description="A unified diff.")]

    @classmethod
    def of(cls, before: FlowOf | None, after: FlowOf, rejections: Mapping[str, Manifest]) -> FlowDifference:
        """Returns what changed from one flow of a workflow to another. `rejections`: the valid ones, by the hash of a flow."""
        diff = flow_diff(before.text, after.text, before.version, after.version) if before is not None else ()
        sides = (FlowRef.of(flow, rejections) if flow is not None else None for flow in (before, after))
        return cls(**dict(zip(("from_", "to"), sides, strict=True)), flow_diff="\n".join(diff))


class RequirementForm(ResponseModel):
    title: str
    description: str | None


class RequirementResponse(ResponseModel):
    """Something that each caller of a workflow has to have, such as an account of their own."""

    id: Id
    name: str
    type: str
    form: RequirementForm
    spec: dict[str, Any]


class NodeType(ResponseModel):
    type: Annotated[str, Field(description="The SDK's class path.")]
    name: str


class NodeTypes(ResponseModel):
    """A list of node types, which may be all that the runtime runs."""

    data: list[NodeType]
    pagination: Pagination
    runtime: Annotated[str | None, Field(description="Version of the newest Runtime that is not deprecated.")]
    engine: Annotated[str | None, Field(description="What runs flows in it: tiny or sdk.")]
    complete: Annotated[bool, Field(description="True: the runtime runs only these.")]
    message: Annotated[str | None, Field(description="Why the list is not complete.")]


def _rejected(version: str, rejection: Manifest | None) -> dict[str, str | None]:
    if rejection is None:
        return {"rejected": None, "rejection_id": None}
    return {"rejected": sentence(rejection, version), "rejection_id": rejection["metadata"]["uid"]}


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
