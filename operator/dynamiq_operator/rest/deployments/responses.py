"""Responses about deployments, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from dynamiq_operator.rest.http.models import Id, Many, ResponseModel, Time, example
from dynamiq_operator.rest.shared.examples import ANNA, CONFIG, DEPLOYMENT, PROJECT, ROW
from dynamiq_operator.rest.shared.responses import Author, Condition, ConfigShape, Deployment, Guard, ReadyPods, ResourcesShape

_RUNS: dict[str, Any] = {
    "runtime": "1.4.0",
    "runtime_name": "runtime-1.4.0",
    "image": "registry.example/runtime@sha256:5d7a…",
    "config": CONFIG,
    "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
    "restores": None,
}
PREVIEW: dict[str, Any] = {
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
    "guards": [],
    "waits": None,
    "begins_hold": True,
    "bypass_reason": None,
    "warnings": [],
}


class LastGood(ResponseModel):
    """The deployment to roll back to."""

    model_config = example(deployment=DEPLOYMENT, reason=None, warnings=[])

    deployment: Annotated[
        Deployment | None,
        Field(
            description="The newest that was live with another flow or runtime, without a rollback, revert or rejection since. None if "
            "there is no such one."
        ),
    ]
    reason: Annotated[str | None, Field(description="Why none is offered.")]
    warnings: Annotated[list[str], Field(description="A warning that the caller may not read Rejections, so it may be a rejected one.")]


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
        ResourcesShape | None, Field(description="The same as in `config`, for both types: each pod's requests and limits.")
    ]
    restores: Annotated[str | None, Field(description="Name of the deployment that this rolls back to.")]


class PreviewShape(ResponseModel):
    """The effects of a deploy."""

    model_config = example(**PREVIEW)

    from_: Annotated[PreviewSide | None, Field(alias="from", description="What is live; none before the first deploy.")]
    to: PreviewSide
    flow_diff: Annotated[str, Field(description="A unified diff of the flows.")]
    pods_restart: bool
    no_op: Annotated[bool, Field(description="The App would run exactly what it runs now, or what is under way.")]
    strategy: Annotated[str, Field(json_schema_extra={"enum": ["Rolling", "Switch"]}, description="How pods that restart are replaced.")]
    pods_warm: Annotated[int | None, Field(description="Of Switch: pods of this version that are ready already; none if unknown.")]
    pods_to_start: Annotated[int | None, Field(description="Of Switch: pods that start before calls move to this version.")]
    asleep: Annotated[bool, Field(description="The App is asleep now.")]
    under_way: Annotated[str | None, Field(description="A row that is being rolled out and would be overtaken.")]
    guards: Annotated[list[Guard], Field(description="What would block it, so that it would wait.")]
    waits: Annotated[str | None, Field(description="Of an existing deployment, what it waits for.")]
    begins_hold: Annotated[bool, Field(description="True: changes from Git are on hold after it, until somebody resumes them.")]
    bypass_reason: Annotated[str | None, Field(description="Why the guards are bypassed.")]
    warnings: list[str]


class PromotionPreview(PreviewShape):
    """The effects of a promotion."""

    model_config = example(**PREVIEW, project_id=PROJECT, environment="production", new_app=False, new_version="v1")

    project_id: Annotated[Id | None, Field(description="The target.")]
    environment: str
    new_app: Annotated[bool, Field(description="The target has no such App yet.")]
    new_version: Annotated[str | None, Field(description="The version that would be created in the target.")]


class Count(ResponseModel):
    value: str
    count: Annotated[int, Field(description="Rows of it.")]


class HistoryFilters(ResponseModel):
    """The values by which the rows of a history can be filtered."""

    model_config = example(
        statuses=[{"value": "Superseded", "count": 409}, {"value": "Failed", "count": 2}, {"value": "Live", "count": 1}],
        authors=[{"value": "anna@example.com", "count": 400}, {"value": "system:serviceaccount:argocd:argocd", "count": 12}],
        versions=[{"value": "v2", "count": 3}, {"value": "v1", "count": 409}],
        runtimes=[{"value": "1.4.0", "count": 412}],
        total=412,
        first_at="2026-03-02T09:12:40Z",
        last_at="2026-11-24T22:22:45Z",
    )

    statuses: Annotated[list[Count], Field(description="The most first.")]
    authors: Annotated[list[Count], Field(description="Usernames, the most first.")]
    versions: Annotated[list[Count], Field(description="Newest first; without rows that are not pinned yet.")]
    runtimes: Annotated[list[Count], Field(description="Versions of runtimes, the newest first.")]
    total: Annotated[int, Field(description="Rows of the App.")]
    first_at: Annotated[Time | None, Field(description="When the earliest deploy began.")]
    last_at: Annotated[Time | None, Field(description="When the latest deploy began.")]


class DeploymentDetail(Deployment):
    """One row of an App's history, whole."""

    model_config = example(
        **DEPLOYMENT,
        namespace="demo",
        app_name="support",
        asked={"app": "support", "workflowVersion": "v2", "message": DEPLOYMENT["message"], "createdBy": ANNA["username"]},
        pinned={
            "createdAt": DEPLOYMENT["created_at"],
            "workflow": "support",
            "workflowVersion": "v2",
            "workflowHash": "sha256:27d4…",
            "runtime": {"name": "runtime-1.4.0", "version": "1.4.0", "image": _RUNS["image"], "port": 8080},
            "config": {"type": "server", "autoscaling": {"minReplicas": 1, "maxReplicas": 2, "targetCPUUtilizationPercentage": 80}},
            "source": "Record",
            "digest": DEPLOYMENT["digest"],
        },
        outcome={"result": "Succeeded", "reason": "its pods are ready", "at": "2026-11-24T22:22:49Z", "digest": "sha256:0c1f…"},
        conditions=[
            {
                "type": "Succeeded",
                "status": "True",
                "reason": "Succeeded",
                "message": "its pods are ready",
                "since": "2026-11-24T22:22:49Z",
            }
        ],
        ready={"ready": 2, "wanted": 2, "serving": "v2"},
        flow='{"nodes":[{"id":"in","type":"dynamiq.nodes.utils.Input"}]}',
    )

    namespace: str
    app_name: Annotated[str, Field(description="The App's name in its namespace.")]
    asked: Annotated[dict[str, Any], Field(description="What the row requested: its spec as it was created, in the resource's fields.")]
    pinned: Annotated[
        dict[str, Any] | None, Field(description="Everything that it runs, as stored in the resource; none until its deploy began.")
    ]
    outcome: Annotated[dict[str, Any] | None, Field(description="How it ended, as stored in the resource.")]
    conditions: list[Condition]
    ready: Annotated[
        ReadyPods | None, Field(description="Its pods, until it has ended; none if it has no workload, or the caller may not read it.")
    ]
    flow: Annotated[str | None, Field(description="The text of its flow; none if it was deleted, or the caller may not read it.")]


class ComparedSide(PreviewSide):
    id: Id
    created_at: Time
    created_by: Author | None


class Change(ResponseModel):
    field: Annotated[
        str,
        Field(
            description="version, runtime, runtime_name, image, deployment_config.… or resources.…: the path in a deployment; in numbers "
            "of the whole config, with what is left out elsewhere because it is the default."
        ),
    ]
    from_: Annotated[str | None, Field(alias="from")]
    to: str | None


class ComparisonShape(ResponseModel):
    """The changes from one row to another."""

    model_config = example(
        **{
            "from": {
                **PREVIEW["from"],
                "restores": None,
                "id": "5f1a0b5e-52a5-5f0a-9c1e-7a9a3f0f7a11",
                "created_at": "2026-11-20T08:01:00Z",
                "created_by": ANNA,
            },
            "to": {
                **PREVIEW["to"],
                "row": "support-x8cc4",
                "sequence": 3,
                "id": ROW,
                "created_at": "2026-11-24T22:22:45Z",
                "created_by": ANNA,
            },
            "flow_diff": "--- v2 (#2)\n+++ v1 (#3)\n@@ -1 +1 @@",
            "changes": [{"field": "version", "from": "v2", "to": "v1"}],
            "warnings": [],
        }
    )

    from_: Annotated[ComparedSide | None, Field(alias="from", description="None for the first row of a history.")]
    to: ComparedSide
    flow_diff: Annotated[str, Field(description="A unified diff of the flows.")]
    changes: list[Change]
    warnings: Annotated[list[str], Field(description="Why there is no diff: a flow cannot be read.")]


class ArchiveShape(ResponseModel):
    """Facts about the archive of an App that has one."""

    rows: Annotated[int | None, Field(description="Rows in the archive; none if they are not listed here.")]
    says: Annotated[str | None, Field(description="Why archived rows are not listed; none if they are.")]


class History(Many[Deployment]):
    """Rows of a history, in the cluster and in the archive."""

    archive: Annotated[ArchiveShape | None, Field(description="Only for an App with an archive.")] = None


class LiveAtShape(ResponseModel):
    """The deployment that an App served at a time."""

    model_config = example(
        time="2026-11-24T23:00:00Z",
        known=True,
        deployment=DEPLOYMENT,
        live_from="2026-11-24T22:22:49Z",
        live_until=None,
        rolling_out=None,
        says="v2 (#2, support-x8cc4) was live, from 2026-11-24T22:22:49Z and still is",
    )

    time: Time
    known: Annotated[bool, Field(description="False if the rows that would show it were deleted.")]
    deployment: Annotated[Deployment | None, Field(description="What was live, as its row is now; none if nothing was.")]
    live_from: Time | None
    live_until: Annotated[Time | None, Field(description="When another row replaced it; none if it is still live.")]
    rolling_out: Annotated[
        Deployment | None, Field(description="A row that was being rolled out: by strategy Rolling it answered calls as well.")
    ]
    says: Annotated[str, Field(description="The same in a sentence.")]


class SettingChangeShape(ResponseModel):
    field: Annotated[str, Field(description="The field of the App's spec, such as variables or hostname.")]
    name: Annotated[str | None, Field(description="Of variables and triggers, the name.")]
    change: Literal["Added", "Removed", "Changed"]
    from_: Annotated[str | None, Field(alias="from", description="The value before; only for fields that callers see anyway.")]
    to: str | None


class AppChangeShape(ResponseModel):
    """A change of an App besides its deployments."""

    model_config = example(
        id="b1c1f1de-6a3c-4c39-9d3e-4a5b1f2c7d80",
        name="support-settings-3",
        sequence=3,
        reason="Changed",
        created_at="2026-11-24T22:40:03Z",
        after=2,
        by=ANNA,
        by_verified=True,
        changes=[
            {"field": "hostname", "name": None, "change": "Changed", "from": "a.example.com", "to": "b.example.com"},
            {"field": "variables", "name": "MODEL", "change": "Changed", "from": None, "to": None},
        ],
        says="hostname a.example.com → b.example.com; variables MODEL changed",
        digest="sha256:6f1d0c8a5b8d6f6c7b0c2f1f4f8c0f2d3c8a9f5e1b7c6d5e4f3a2b1c0d9e8f7a",
    )

    id: Id
    name: str
    sequence: Annotated[int, Field(description="Its place among these records, from 1.")]
    reason: Annotated[
        Literal["First", "Changed", "Rekeyed"],
        Field(description="First: later ones are compared with it. Rekeyed: the key was lost, so it is unknown which values changed."),
    ]
    created_at: Annotated[Time, Field(description="When the operator saw the change.")]
    after: Annotated[int | None, Field(description="Sequence of the newest row at that time; none if there was none.")]
    by: Annotated[Author | None, Field(description="Who changed it last; none if unknown.")]
    by_verified: Annotated[bool, Field(description="True: the API server stamped who changed it, from before the change on.")]
    changes: list[SettingChangeShape]
    says: Annotated[str, Field(description="The same in a sentence.")]
    digest: str


class NewestRow(ResponseModel):
    deployment_id: Id
    sequence: int | None
    digest: str


class ExpectedRow(ResponseModel):
    digest: str
    deployment_id: Annotated[Id | None, Field(description="The row that has it.")]
    sequence: int | None
    found: bool


class MisfitShape(ResponseModel):
    deployment_id: Id
    name: str
    sequence: int | None
    says: str


class SettingsMisfit(ResponseModel):
    name: str
    says: str


class SettingsVerification(ResponseModel):
    records: Annotated[int, Field(description="Number of verified records of the App's settings.")]
    fits: bool
    newest_digest: Annotated[str | None, Field(description="Keep it, and expect it later.")]
    misfit_count: int
    misfits: Annotated[list[SettingsMisfit], Field(description="The records that do not fit, at most 100.")]
    says: Annotated[str, Field(description="The same in a sentence.")]


class Verification(ResponseModel):
    """The verification of a history, which finds rows that anybody changed or removed."""

    model_config = example(
        rows=412,
        fits=True,
        newest={"deployment_id": ROW, "sequence": 412, "digest": DEPLOYMENT["digest"]},
        expected=None,
        misfit_count=0,
        misfits=[],
        settings={
            "records": 17,
            "fits": True,
            "newest_digest": "sha256:6f1d0c8a5b8d6f6c7b0c2f1f4f8c0f2d3c8a9f5e1b7c6d5e4f3a2b1c0d9e8f7a",
            "misfit_count": 0,
            "misfits": [],
            "says": "17 records of its settings fit",
        },
        says="412 rows fit",
    )

    rows: Annotated[int, Field(description="Rows that were verified.")]
    fits: Annotated[
        bool, Field(description="True: every row and record of settings fits, and one has the expected digest, if one was given.")
    ]
    newest: Annotated[NewestRow | None, Field(description="The newest row that was rolled out. Keep its digest for a later verification.")]
    expected: Annotated[ExpectedRow | None, Field(description="The row with the expected digest, if one was given.")]
    misfit_count: int
    misfits: Annotated[list[MisfitShape], Field(description="The rows that do not fit, at most 100.")]
    settings: Annotated[
        SettingsVerification | None, Field(description="The same for the App's settings; none if the caller may not read them.")
    ]
    says: Annotated[str, Field(description="The same in a sentence.")]
