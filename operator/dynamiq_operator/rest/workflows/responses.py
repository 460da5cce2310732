"""Responses about workflows, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from dynamiq_operator.rest.http.models import Id, Pagination, ResponseModel, Time, example
from dynamiq_operator.rest.shared.examples import PROJECT, WORKFLOW

_INPUT, _PYTHON, _OUTPUT = "in", "answer", "out"
FLOW: dict[str, Any] = {
    "id": "c0b1d1a5-6c68-44c4-9b0e-0d8f7d8f2f4e",
    "nodes": [
        {"id": _INPUT, "name": "Input", "type": "dynamiq.nodes.utils.Input", "depends": []},
        {
            "id": _PYTHON,
            "name": "Answer",
            "type": "dynamiq.nodes.tools.Python",
            "code": "def run(input_data):\n    return {'content': 'Hello, ' + input_data['name']}",
            "depends": [{"node": _INPUT}],
            "input_transformer": {"selector": {"name": "$.in.output.name"}},
        },
        {
            "id": _OUTPUT,
            "name": "Output",
            "type": "dynamiq.nodes.utils.Output",
            "depends": [{"node": _PYTHON}],
            "input_transformer": {"selector": {"output": "$.answer.output.content"}},
        },
    ],
}
FLOW_UI: dict[str, Any] = {"positions": {_INPUT: [0, 0], _PYTHON: [240, 0], _OUTPUT: [480, 0]}}
_LISTED = {
    "id": WORKFLOW,
    "name": "support",
    "description": "Answers customers' questions",
    "project_id": PROJECT,
    "created_at": "2026-11-24T22:10:05Z",
}
_NEWEST = {"id": "54c9b714-e3d5-41d7-a132-cd127c54fbab", "version": "v2", "created_at": "2026-11-24T22:19:23Z"}


class NewestVersion(ResponseModel):
    id: Id
    version: str
    created_at: Time


class Workflow(ResponseModel):
    """A workflow."""

    model_config = example(**_LISTED)

    id: Id
    name: str
    description: str | None
    project_id: Id | None
    created_at: Time


class ListedWorkflow(Workflow):
    """A workflow as a list has it."""

    model_config = example(**_LISTED, newest_version=_NEWEST)

    newest_version: Annotated[
        NewestVersion | None,
        Field(description="Its newest release, with `with_newest_version`; null if there is none, or the caller may not list releases."),
    ]


class WorkflowDetail(Workflow):
    """A workflow with its draft."""

    model_config = example(
        **_LISTED, updated_at="2026-11-24T22:18:11Z", object_version="48213", flow=FLOW, flow_ui=FLOW_UI, flow_error=None
    )

    updated_at: Time
    object_version: Annotated[str, Field(description="Changes with each change; a release confirms it.")]
    flow: Annotated[dict[str, Any] | None, Field(description="As it was written. YAML that kubectl stored is returned as JSON.")]
    flow_ui: Annotated[Any, Field(description="Canvas layout, as it was sent.")]
    flow_error: Annotated[str | None, Field(description="Why flow is null: kubectl stored what cannot be written as JSON.")]


class Version(ResponseModel):
    """A release, which never changes."""

    model_config = example(
        id="54c9b714-e3d5-41d7-a132-cd127c54fbab",
        workflow_id=WORKFLOW,
        version="v2",
        name="Passes the question to the right team",
        description="Passes the question to the right team",
        created_at="2026-11-24T22:19:23Z",
        rejected=None,
        rejection_id=None,
    )

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


class FlowRef(ResponseModel):
    """A release, or the draft."""

    id: Annotated[Id | None, Field(description="None for the draft.")]
    version: Annotated[str, Field(description="Such as v2; draft for the draft.")]
    description: Annotated[str | None, Field(description="What is new in a release.")]
    created_at: Annotated[Time, Field(description="Of the draft, when it was written last.")]
    rejected: Annotated[str | None, Field(description="Who rejected this flow and why, as of a version of the list.")]
    rejection_id: Annotated[Id | None, Field(description="The newest rejection of this flow that is in force.")]


class FlowDifference(ResponseModel):
    """The changes in the flow of a workflow."""

    model_config = example(
        **{
            "from": {
                "id": "2b0c9a4e-70a5-4e0e-9b3f-5f5ad0f6a3de",
                "version": "v1",
                "description": "First release",
                "created_at": "2026-11-20T08:01:00Z",
                "rejected": None,
                "rejection_id": None,
            },
            "to": {
                "id": "54c9b714-e3d5-41d7-a132-cd127c54fbab",
                "version": "v2",
                "description": "Passes the question to the right team",
                "created_at": "2026-11-24T22:19:23Z",
                "rejected": None,
                "rejection_id": None,
            },
            "flow_diff": "--- v1\n+++ v2\n@@ -1 +1 @@",
        }
    )

    from_: Annotated[FlowRef | None, Field(alias="from", description="None for the first release.")]
    to: FlowRef
    flow_diff: Annotated[str, Field(description="A unified diff.")]


class RequirementForm(ResponseModel):
    title: str
    description: str | None


class Requirement(ResponseModel):
    """Something that each caller of a workflow has to have, such as an account of their own."""

    model_config = example(
        id="6f1e7c39-8d8e-4d0a-8f0e-7b8d2b0d6a3c",
        name="mail",
        type="connection",
        form={"title": "Your mailbox", "description": None},
        spec={"type": "dynamiq.connections.Mail"},
    )

    id: Id
    name: str
    type: str
    form: RequirementForm
    spec: dict[str, Any]


class NodeType(ResponseModel):
    model_config = example(type="dynamiq.nodes.tools.Python", name="Python")

    type: Annotated[str, Field(description="The SDK's class path.")]
    name: str


class NodeTypes(ResponseModel):
    """A list of node types, which may be all that the runtime runs."""

    model_config = example(
        data=[
            {"type": f"dynamiq.nodes.{name}", "name": name.rpartition(".")[2]} for name in ("utils.Input", "tools.Python", "utils.Output")
        ],
        pagination={"page": 1, "page_size": 25, "page_count": 1, "total_count": 3},
        runtime="1.4.0",
        engine="tiny",
        complete=True,
        message=None,
    )

    data: list[NodeType]
    pagination: Pagination
    runtime: Annotated[str | None, Field(description="Version of the newest Runtime that is not deprecated.")]
    engine: Annotated[str | None, Field(description="What runs flows in it: tiny or sdk.")]
    complete: Annotated[bool, Field(description="True: the runtime runs only these.")]
    message: Annotated[str | None, Field(description="Why the list is not complete.")]
