"""The answers as models, for the OpenAPI document alone: what is answered is prepared by `shapes` and looked at by no model."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

ID_PATTERN = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
Id = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, UTC.")]
_T = TypeVar("_T")

_APP, _PROJECT, _CLUSTER = (
    "005c60c5-18dd-4f38-a146-a82be134a95f",
    "7c2eedb0-2296-4575-86f2-b8e1993949b6",
    "8edbb8b9-8c07-4568-9512-10a7d587e53e",
)
_WORKFLOW, _VERSION, _RUNTIME = (
    "04ac8f75-612f-4ff0-b239-7cda6a0aa611",
    "54c9b714-e3d5-41d7-a132-cd127c54fbab",
    "3d71afb7-2ad8-47f2-a802-ae42cf825731",
)
_ROW = "fd5c5c25-d384-4a9c-ae9d-901eedb2c7be"
_ANNA = {"id": "f2f4c7fb-6c53-5d3c-b3ac-3b3c6cf8d1a7", "email": "anna@example.com", "username": "anna@example.com"}
_CONFIG = {
    "deployment_type": "server_based",
    "config": {"autoscaling": {"min_replicas": 1, "max_replicas": 2, "target_cpu_utilization_percentage": 80}},
}
_RUNS_ON = {"id": _RUNTIME, "version": "1.4.0", "label": "Python 3.11, stable"}
_RELEASE = {"id": _VERSION, "version": "v2", "description": "Passes the question to the right team"}

_PREVIEW: dict[str, Any] = {
    "from": {"row": "support-x8cc4", "sequence": 2, "version": "v2", "flow_hash": "sha256:27d4…", "runtime": "1.4.0", "config": _CONFIG},
    "to": {"row": None, "sequence": None, "version": "v1", "flow_hash": "sha256:91ab…", "runtime": "1.4.0", "config": _CONFIG},
    "flow_diff": "--- v2\n+++ v1\n@@ -1 +1 @@",
    "pods_restart": True,
    "no_op": False,
    "under_way": None,
    "warnings": [],
}


def example(**fields: Any) -> ConfigDict:
    """The config of a model with an example."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [fields]})


class Shape(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(Shape):
    code: Annotated[str, Field(description="A word for programs, such as not_found.")]
    message: Annotated[str, Field(description="What is wrong, and how to mend it.")]
    details: Annotated[dict[str, Any], Field(description="By field of the request, what is wrong with it.")]


class Error(Shape):
    error: ErrorBody


class Pagination(Shape):
    page: int
    page_size: int
    page_count: int
    total_count: int


class One(Shape, Generic[_T]):
    data: _T


class Many(Shape, Generic[_T]):
    data: list[_T]
    pagination: Pagination


class Me(Shape):
    model_config = example(**_ANNA, first_name="Anna", last_name="Ek")

    id: Annotated[Id, Field(description="Made from the username: the same in every cluster.")]
    email: str | None
    first_name: str
    last_name: str
    username: str


class Author(Shape):
    id: Id
    email: Annotated[str | None, Field(description="The username, where it is an address.")]
    username: str


class Organisation(Shape):
    model_config = example(id=_CLUSTER, name="kubernetes")

    id: Id
    name: str


class Project(Shape):
    model_config = example(id=_PROJECT, name="demo", org_id=_CLUSTER, environment="production")

    id: Annotated[Id, Field(description="The namespace's uid.")]
    name: str
    org_id: Id
    environment: Annotated[str | None, Field(description="The namespace's label dynamiq.getdynamiq.ai/environment.")]


class RuntimeShape(Shape):
    id: Id | None
    version: str | None
    label: str | None


class WorkflowRef(Shape):
    id: Id | None
    name: str
    description: str | None


class VersionRef(Shape):
    id: Annotated[Id | None, Field(description="None where the WorkflowVersion was deleted: the row still has what it ran.")]
    version: str
    description: str | None


class AppVersionRef(VersionRef):
    created_at: Time | None


class AutoscalingShape(Shape):
    min_replicas: int
    max_replicas: int
    target_cpu_utilization_percentage: int


class ConfigBody(Shape):
    autoscaling: Annotated[AutoscalingShape | None, Field(description="Left out for serverless.")] = None


class ConfigShape(Shape):
    deployment_type: Annotated[str, Field(json_schema_extra={"enum": ["serverless", "server_based"]})]
    config: ConfigBody


class Access(Shape):
    access_type: Annotated[str, Field(json_schema_extra={"enum": ["private", "public"]})]


class PromotedFrom(Shape):
    namespace: str
    app: str
    row: str
    hash: str


class Deployment(Shape):
    """One row of an App's history; the fields after `message` say where it came from."""

    model_config = example(
        id=_ROW,
        app_id=_APP,
        status="Live",
        created_at="2026-11-24T22:22:45Z",
        created_by=_ANNA,
        runtime_id=_RUNTIME,
        runtime=_RUNS_ON,
        workflow_id=_WORKFLOW,
        workflow_version_id=_VERSION,
        workflow_version=_RELEASE,
        deployment_config=_CONFIG,
        message="Questions go to the right team",
        name="support-x8cc4",
        sequence=2,
        restores=None,
        promoted_from=None,
        provenance=None,
        source="Record",
        digest="sha256:e07b1d22dcc3888f1197f7c7ac2ed05ac1ae9a5ae951459ad6109d8fd6b118ad",
        reason=None,
        duration_seconds=4.0,
    )

    id: Id
    app_id: Id
    status: Annotated[str, Field(json_schema_extra={"enum": ["Pending", "Progressing", "Live", "Superseded", "Failed"]})]
    created_at: Annotated[Time, Field(description="When the deploy began.")]
    created_by: Author | None
    runtime_id: Id | None
    runtime: RuntimeShape | None
    workflow_id: Id | None
    workflow_version_id: Id | None
    workflow_version: VersionRef | None
    deployment_config: ConfigShape
    message: str | None
    name: Annotated[str, Field(description="The record's name: kubectl get ddep.")]
    sequence: Annotated[int | None, Field(description="Place in the history; none until the operator has taken the row up.")]
    restores: Annotated[str | None, Field(description="Name of the row that this one brought back.")]
    promoted_from: PromotedFrom | None
    provenance: Annotated[str | None, Field(description="Where the row came from, in words.")]
    source: Annotated[str | None, Field(description="App: from Git, by App.spec.deploy. Record: somebody created the row.")]
    digest: Annotated[str | None, Field(description="Over the row and the digest of the row before it.")]
    reason: Annotated[str | None, Field(description="Why it did not go Live.")]
    duration_seconds: Annotated[float | None, Field(description="From its begin to its end.")]


class PreviewSide(Shape):
    row: str | None
    sequence: int | None
    version: str
    flow_hash: str
    runtime: str
    config: ConfigShape


class PreviewShape(Shape):
    """What a deploy would do."""

    model_config = example(**_PREVIEW)

    from_: Annotated[PreviewSide | None, Field(alias="from", description="What is live; none before the first deploy.")]
    to: PreviewSide
    flow_diff: Annotated[str, Field(description="A unified diff of the flows.")]
    pods_restart: bool
    no_op: Annotated[bool, Field(description="The App would run exactly what it runs now.")]
    under_way: Annotated[str | None, Field(description="A row that is being rolled out, and would be overtaken.")]
    warnings: list[str]


class PromotionPreview(PreviewShape):
    """What a promotion would do."""

    model_config = example(**_PREVIEW, project_id=_PROJECT, environment="production", new_app=False, new_version="v1")

    project_id: Annotated[Id | None, Field(description="The target.")]
    environment: str
    new_app: Annotated[bool, Field(description="The target has no such App yet.")]
    new_version: Annotated[str | None, Field(description="The version that would be put into the target.")]


class App(Shape):
    model_config = example(
        id=_APP,
        name="Customer support",
        description="Answers customers' questions",
        project_id=_PROJECT,
        hostname="support.demo.example.com",
        runtime_id=_RUNTIME,
        workflow_id=_WORKFLOW,
        workflow_version_id=_VERSION,
        deployment_config=_CONFIG,
        access_control={"access_type": "private"},
        created_at="2026-11-24T22:19:23Z",
        created_by=_ANNA,
        updated_at="2026-11-24T22:22:45Z",
        updated_by=_ANNA,
        archived_at=None,
        archived_by=None,
        latest_deployment_id=_ROW,
        runtime=_RUNS_ON,
        workflow={"id": _WORKFLOW, "name": "support", "description": "Answers customers' questions"},
        workflow_version={**_RELEASE, "created_at": "2026-11-24T22:19:23Z"},
    )

    id: Id
    name: str
    description: str | None
    project_id: Id | None
    hostname: Annotated[str, Field(description="What callers use; http:// before it where it has no TLS.")]
    runtime_id: Id | None
    workflow_id: Id | None
    workflow_version_id: Id | None
    deployment_config: ConfigShape
    access_control: Access
    created_at: Time
    created_by: Annotated[Author | None, Field(description="None for an App that was not made through this API.")]
    updated_at: Time
    updated_by: Author | None
    archived_at: Time | None
    archived_by: Author | None
    latest_deployment_id: Id | None
    runtime: RuntimeShape | None
    workflow: WorkflowRef
    workflow_version: AppVersionRef | None


class NodeType(Shape):
    model_config = example(type="dynamiq.nodes.tools.Python", name="Python")

    type: Annotated[str, Field(description="The SDK's class path.")]
    name: str
