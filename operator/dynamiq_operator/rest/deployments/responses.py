"""Responses about deployments, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from dynamiq_operator.rest.http.models import Id, ResponseModel, example
from dynamiq_operator.rest.shared.examples import CONFIG, PROJECT
from dynamiq_operator.rest.shared.responses import ConfigShape, ResourcesShape

_RUNS: dict[str, Any] = {
    "runtime": "1.4.0",
    "runtime_name": "runtime-1.4.0",
    "image": "registry.example/runtime@sha256:5d7a…",
    "config": CONFIG,
    "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
    "restores": None,
}
_PREVIEW: dict[str, Any] = {
    "from": {"row": "support-x8cc4", "sequence": 2, "version": "v2", "flow_hash": "sha256:27d4…", **_RUNS},
    "to": {"row": None, "sequence": None, "version": "v1", "flow_hash": "sha256:91ab…", **_RUNS, "restores": "support-474j8"},
    "flow_diff": "--- v2\n+++ v1\n@@ -1 +1 @@",
    "pods_restart": True,
    "no_op": False,
    "strategy": "Switch",
    "pods_warm": 2,
    "pods_to_start": 0,
    "asleep": False,
    "under_way": None,
    "warnings": [],
}


class PreviewSide(ResponseModel):
    row: str | None
    sequence: int | None
    version: str
    flow_hash: str
    runtime: Annotated[str, Field(description="Version of the runtime.")]
    runtime_name: Annotated[str, Field(description="Name of the Runtime: two may be of one version.")]
    image: Annotated[str, Field(description="Image that pods run.")]
    config: ConfigShape
    resources: Annotated[
        ResourcesShape | None, Field(description="The same as in `config`, whatever the type: what each pod asks for and may use at most.")
    ]
    restores: Annotated[str | None, Field(description="Name of the deployment that is brought back.")]


class PreviewShape(ResponseModel):
    """What a deploy would do."""

    model_config = example(**_PREVIEW)

    from_: Annotated[PreviewSide | None, Field(alias="from", description="What is live; none before the first deploy.")]
    to: PreviewSide
    flow_diff: Annotated[str, Field(description="A unified diff of the flows.")]
    pods_restart: bool
    no_op: Annotated[bool, Field(description="The App would run exactly what it runs now.")]
    strategy: Annotated[str, Field(json_schema_extra={"enum": ["Rolling", "Switch"]}, description="How pods that restart are replaced.")]
    pods_warm: Annotated[
        int | None, Field(description="Of Switch: pods of this version that are ready already; none where it is not known.")
    ]
    pods_to_start: Annotated[int | None, Field(description="Of Switch: pods that start before calls move to this version.")]
    asleep: Annotated[bool, Field(description="The App is asleep now.")]
    under_way: Annotated[str | None, Field(description="A row that is being rolled out, and would be overtaken.")]
    warnings: list[str]


class PromotionPreview(PreviewShape):
    """What a promotion would do."""

    model_config = example(**_PREVIEW, project_id=PROJECT, environment="production", new_app=False, new_version="v1")

    project_id: Annotated[Id | None, Field(description="The target.")]
    environment: str
    new_app: Annotated[bool, Field(description="The target has no such App yet.")]
    new_version: Annotated[str | None, Field(description="The version that would be put into the target.")]
