"""Responses about Apps, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from dynamiq_operator.rest.http.models import Id, ResponseModel, Time, example
from dynamiq_operator.rest.shared.examples import (
    ANNA,
    APP,
    CONFIG,
    GUARD,
    PROJECT,
    RELEASE,
    ROW,
    RUNS_ON,
    RUNTIME,
    VERSION,
    WAITS,
    WORKFLOW,
)
from dynamiq_operator.rest.shared.responses import Access, Author, Condition, ConfigShape, Guard, RowRef, RuntimeShape, VersionRef, Waits
from dynamiq_operator.views.app_state import ServingState


class WorkflowRef(ResponseModel):
    id: Id | None
    name: str
    description: str | None


class AppVersionRef(VersionRef):
    created_at: Time | None


class AppStatus(ResponseModel):
    """The App's state in one word, with the reason from its condition."""

    word: Annotated[
        str,
        Field(
            json_schema_extra={"enum": [state.value for state in ServingState]},
            description="Asleep: scaled to zero on purpose. Progressing, Pending: a deployment is under way, with or without one that is live. "
            "Degraded: something is live, and not as it should be. Failed: nothing is live, and the newest deployment failed.",
        ),
    ]
    reason: str | None
    message: str | None


class LiveRef(ResponseModel):
    """The deployment that the App serves."""

    deployment_id: Annotated[Id | None, Field(description="None if the row was deleted, or the caller may not read it.")]
    name: str
    sequence: int
    version: str
    created_at: Time | None


class UnderWayRef(ResponseModel):
    """The newest deployment that is not decided yet."""

    deployment_id: Id
    name: str
    sequence: Annotated[int | None, Field(description="None until the operator has numbered the row.")]
    version: Annotated[str | None, Field(description="None until the row is pinned.")]
    status: Annotated[str, Field(json_schema_extra={"enum": ["Pending", "Progressing"]})]


class WaitingRef(UnderWayRef):
    """A waiting deployment."""

    waits: Waits | None


class GitAsks(ResponseModel):
    """The deployment that Git declares: `App.spec.deploy`."""

    workflow_version: Annotated[str | None, Field(description="None: the newest release at the time of the change.")]
    runtime: Annotated[str | None, Field(description="Name of a Runtime; none: the live row's.")]
    message: str | None
    changed_by: Annotated[str | None, Field(description="Who changed it last.")]
    is_live: Annotated[bool, Field(description="True: the App serves the deployment of this spec.deploy.")]


class WarmRef(ResponseModel):
    """A standby version, ready beside the live one for any row with its flow, runtime and resources."""

    version: str | None
    pods_ready: int


_APP: dict[str, Any] = {
    "id": APP,
    "name": "Customer support",
    "description": "Answers customers' questions",
    "project_id": PROJECT,
    "hostname": "support.demo.example.com",
    "runtime_id": RUNTIME,
    "workflow_id": WORKFLOW,
    "workflow_version_id": VERSION,
    "deployment_config": CONFIG,
    "access_control": {"access_type": "private"},
    "created_at": "2026-11-24T22:19:23Z",
    "created_by": ANNA,
    "updated_at": "2026-11-24T22:22:45Z",
    "updated_by": ANNA,
    "archived_at": None,
    "archived_by": None,
    "latest_deployment_id": ROW,
    "runtime": RUNS_ON,
    "workflow": {"id": WORKFLOW, "name": "support", "description": "Answers customers' questions"},
    "workflow_version": {**RELEASE, "created_at": "2026-11-24T22:19:23Z"},
    "namespace": "demo",
    "resource_name": "support",
    "environment": "production",
    "status": {"word": "Live", "reason": "Serving", "message": "v2 (#2, support-x8cc4) is live"},
    "live": {
        "deployment_id": ROW,
        "name": "support-x8cc4",
        "sequence": 2,
        "version": "v2",
        "created_at": "2026-11-24T22:22:45Z",
    },
    "under_way": None,
    "waiting": [
        {
            "deployment_id": "5f1a0b5e-52a5-5f0a-9c1e-7a9a3f0f7a11",
            "name": "support-k2x7p",
            "sequence": 3,
            "version": "v3",
            "status": "Pending",
            "waits": WAITS,
        }
    ],
    "holds": None,
    "suspended": False,
}


class App(ResponseModel):
    model_config = example(**_APP)

    id: Id
    name: str
    description: str | None
    project_id: Id | None
    hostname: Annotated[
        str, Field(description="What callers use: a name to call by https, or a URL if the gateway is called in another way.")
    ]
    runtime_id: Id | None
    workflow_id: Id | None
    workflow_version_id: Id | None
    deployment_config: ConfigShape
    access_control: Access
    created_at: Time
    created_by: Annotated[Author | None, Field(description="None for an App that was not created through this API.")]
    updated_at: Time
    updated_by: Author | None
    archived_at: Time | None
    archived_by: Author | None
    latest_deployment_id: Id | None
    runtime: RuntimeShape | None
    workflow: WorkflowRef
    workflow_version: AppVersionRef | None
    namespace: Annotated[str, Field(description="The App's namespace, for kubectl.")]
    resource_name: Annotated[str, Field(description="The App's own name there.")]
    environment: Annotated[str | None, Field(description="The namespace's label dynamiq.getdynamiq.ai/environment.")]
    status: AppStatus
    live: LiveRef | None
    under_way: Annotated[UnderWayRef | None, Field(description="Also none if the caller may not list deployments.")]
    waiting: Annotated[list[WaitingRef], Field(description="Deployments that a guard blocks, newest first.")]
    holds: Annotated[RowRef | None, Field(description="The rollback since which changes from Git are on hold.")]
    suspended: Annotated[bool, Field(description="While suspended, nobody can deploy the App. It keeps running.")]


class AppDetails(App):
    """An App as it is read by itself."""

    model_config = example(
        **_APP,
        conditions=[
            {
                "type": "Ready",
                "status": "True",
                "reason": "Serving",
                "message": "v2 (#2, support-x8cc4) is live",
                "since": "2026-11-24T22:22:49Z",
            }
        ],
        git={
            "workflow_version": "v2",
            "runtime": None,
            "message": "Questions go to the right team",
            "changed_by": "anna@example.com",
            "is_live": True,
        },
        warm=[{"version": "v1", "pods_ready": 1}],
        guards=[GUARD],
    )

    conditions: list[Condition]
    git: Annotated[GitAsks | None, Field(description="None for an App that Git does not deploy.")]
    warm: Annotated[list[WarmRef], Field(description="Of strategy Switch: the standby, if the caller may read workloads.")]
    guards: Annotated[list[Guard], Field(description="What would block a deployment that is requested now.")]
