"""What is answered about deployments."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from dynamiq_operator.rest.http.models import Id, ResponseModel, Time, example
from dynamiq_operator.rest.shared.examples import ANNA, APP, CONFIG, PROJECT, RELEASE, ROW, RUNS_ON, RUNTIME, VERSION, WORKFLOW
from dynamiq_operator.rest.shared.responses import Author, ConfigShape, RuntimeShape, VersionRef

_PREVIEW: dict[str, Any] = {
    "from": {"row": "support-x8cc4", "sequence": 2, "version": "v2", "flow_hash": "sha256:27d4…", "runtime": "1.4.0", "config": CONFIG},
    "to": {"row": None, "sequence": None, "version": "v1", "flow_hash": "sha256:91ab…", "runtime": "1.4.0", "config": CONFIG},
    "flow_diff": "--- v2\n+++ v1\n@@ -1 +1 @@",
    "pods_restart": True,
    "no_op": False,
    "under_way": None,
    "warnings": [],
}


class PromotedFrom(ResponseModel):
    namespace: str
    app: str
    row: str
    hash: str


class Deployment(ResponseModel):
    """One row of an App's history; the fields after `message` say where it came from."""

    model_config = example(
        id=ROW,
        app_id=APP,
        status="Live",
        created_at="2026-11-24T22:22:45Z",
        created_by=ANNA,
        runtime_id=RUNTIME,
        runtime=RUNS_ON,
        workflow_id=WORKFLOW,
        workflow_version_id=VERSION,
        workflow_version=RELEASE,
        deployment_config=CONFIG,
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


class PreviewSide(ResponseModel):
    row: str | None
    sequence: int | None
    version: str
    flow_hash: str
    runtime: str
    config: ConfigShape


class PreviewShape(ResponseModel):
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

    model_config = example(**_PREVIEW, project_id=PROJECT, environment="production", new_app=False, new_version="v1")

    project_id: Annotated[Id | None, Field(description="The target.")]
    environment: str
    new_app: Annotated[bool, Field(description="The target has no such App yet.")]
    new_version: Annotated[str | None, Field(description="The version that would be put into the target.")]
