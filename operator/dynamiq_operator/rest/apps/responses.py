"""Responses about Apps, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import Id, ResponseModel, Time, example
from dynamiq_operator.rest.shared.examples import ANNA, APP, CONFIG, PROJECT, RELEASE, ROW, RUNS_ON, RUNTIME, VERSION, WORKFLOW
from dynamiq_operator.rest.shared.responses import Access, Author, ConfigShape, RuntimeShape, VersionRef


class WorkflowRef(ResponseModel):
    id: Id | None
    name: str
    description: str | None


class AppVersionRef(VersionRef):
    created_at: Time | None


class App(ResponseModel):
    model_config = example(
        id=APP,
        name="Customer support",
        description="Answers customers' questions",
        project_id=PROJECT,
        hostname="support.demo.example.com",
        runtime_id=RUNTIME,
        workflow_id=WORKFLOW,
        workflow_version_id=VERSION,
        deployment_config=CONFIG,
        access_control={"access_type": "private"},
        created_at="2026-11-24T22:19:23Z",
        created_by=ANNA,
        updated_at="2026-11-24T22:22:45Z",
        updated_by=ANNA,
        archived_at=None,
        archived_by=None,
        latest_deployment_id=ROW,
        runtime=RUNS_ON,
        workflow={"id": WORKFLOW, "name": "support", "description": "Answers customers' questions"},
        workflow_version={**RELEASE, "created_at": "2026-11-24T22:19:23Z"},
    )

    id: Id
    name: str
    description: str | None
    project_id: Id | None
    hostname: Annotated[
        str, Field(description="What callers use: a name to call by https, or a URL, where the gateway is called otherwise.")
    ]
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
