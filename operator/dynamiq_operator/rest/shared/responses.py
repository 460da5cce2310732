"""Parts of the responses about Apps and deployments, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from dynamiq_operator.model.endings import Ending
from dynamiq_operator.model.guards import GuardReason, RowKind
from dynamiq_operator.model.history_columns import of_rest
from dynamiq_operator.rest.http.models import Id, ResponseModel, Time, example
from dynamiq_operator.rest.shared.examples import DEPLOYMENT


class Access(ResponseModel):
    access_type: Annotated[str, Field(json_schema_extra={"enum": ["private", "public"]})]


class Author(ResponseModel):
    id: Id
    email: Annotated[str | None, Field(description="The username, if it is an address.")]
    username: str


class RuntimeShape(ResponseModel):
    id: Id | None
    version: str | None
    label: str | None


class VersionRef(ResponseModel):
    id: Annotated[Id | None, Field(description="None if the WorkflowVersion was deleted: the row still has what it ran.")]
    version: str
    description: str | None


class AutoscalingShape(ResponseModel):
    min_replicas: int
    max_replicas: int
    target_cpu_utilization_percentage: int


class AmountsShape(ResponseModel):
    cpu: Annotated[str | None, Field(description="CPU, such as 100m.")] = None
    memory: Annotated[str | None, Field(description="Memory, such as 256Mi.")] = None


class ResourcesShape(ResponseModel):
    requests: AmountsShape | None = None
    limits: AmountsShape | None = None


class ConfigBody(ResponseModel):
    autoscaling: Annotated[AutoscalingShape | None, Field(description="Left out for serverless.")] = None
    resources: Annotated[
        ResourcesShape | None,
        Field(
            description="What each pod asks for, and may use at most; null until it is decided. Of serverless, left out if it is "
            "undecided, or only 100m and 256Mi."
        ),
    ] = None
    idle_seconds: Annotated[int | None, Field(description="Of serverless, if it is not 300.")] = None
    max_replicas: Annotated[int | None, Field(description="Of serverless, if it is not 10.")] = None
    hold_seconds: Annotated[int | None, Field(description="Of serverless, if it is not 120.")] = None


class ConfigShape(ResponseModel):
    deployment_type: Annotated[str, Field(json_schema_extra={"enum": ["serverless", "server_based"]})]
    config: ConfigBody


class PromotedFrom(ResponseModel):
    namespace: str
    app: str
    row: str
    hash: str
    cluster: Annotated[str | None, Field(description="The cluster, if the row is in another one. Then nothing of this is verified.")]


class Right(ResponseModel):
    allowed: bool
    needs: Annotated[str | None, Field(description="What is missing, and the role that has it.")]


class Condition(ResponseModel):
    type: str
    status: Annotated[str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]})]
    reason: Annotated[str | None, Field(description="Why, as one word.")]
    message: Annotated[str | None, Field(description="Why, as a sentence.")]
    since: Annotated[Time | None, Field(description="When the status last changed.")]


class ReadyPods(ResponseModel):
    """Pods of a row."""

    ready: Annotated[int, Field(description="Pods of this row that are Ready.")]
    wanted: int
    serving: Annotated[str | None, Field(description="The version that the App serves meanwhile; none before the first.")]


GUARDS = [each.value for each in GuardReason]


class RowRef(ResponseModel):
    """A row, by its name and its place in the history."""

    row: str
    sequence: int


class Waits(ResponseModel):
    """The guards that block a waiting row."""

    reason: Annotated[str, Field(json_schema_extra={"enum": GUARDS}, description="The first thing that it waits for.")]
    message: Annotated[str, Field(description="Everything that it waits for, as a sentence, the same as in kubectl and the plugin.")]
    until: Annotated[Time | None, Field(description="Until when, if time alone ends it.")]
    approvals: Annotated[int | None, Field(description="Approvals that count already.")]
    approvals_needed: Annotated[int | None, Field(description="Approvals that it needs.")]
    resumable: Annotated[bool, Field(description="True: whoever may deploy can resume it now.")]


class Released(ResponseModel):
    """The admission of a row that waited."""

    at: Time
    guards: Annotated[list[str], Field(description="The guards that it had waited for.")]
    by: Annotated[list[Author], Field(description="Who approved or resumed it.")]
    approvals: Annotated[list[str], Field(description="Names of the Approvals that counted.")]


class Verified(ResponseModel):
    """The smoke test of a row's new pods: they passed its cases before a caller reached them."""

    at: Time
    cases: int
    calls: int
    seconds: float
    score: Annotated[float | None, Field(description="Score of the evaluation Job, if it gave one.")]
    message: Annotated[str | None, Field(description="Last message of the evaluation Job.")]


class Guard(ResponseModel):
    """A guard that would block a new deployment."""

    reason: Annotated[str, Field(json_schema_extra={"enum": GUARDS}, description="Why it would wait.")]
    message: Annotated[str, Field(description="The same as a sentence, as in kubectl and the plugin.")]
    applies_to: Annotated[
        list[Annotated[str, Field(json_schema_extra={"enum": [each.value for each in RowKind]})]],
        Field(description="Rows that it would block. Git: those of Git or other automation."),
    ]
    policy: Annotated[str | None, Field(description="The DeployPolicy that requires it.")]
    until: Annotated[Time | None, Field(description="Until when, if time alone ends it.")]


class DeployableShape(ResponseModel):
    """The evaluation of a row for a rollback to it now."""

    ok: Annotated[bool | None, Field(description="None if unknown, since the caller may not read everything that decides it.")]
    reasons: Annotated[list[str], Field(description="Why a rollback to it is not possible, or what is unknown, in sentences.")]
    waits: Annotated[list[str], Field(description="What its rollback would wait for, in sentences.")]
    notes: Annotated[list[str], Field(description="What else to know about it, in sentences.")]
    warm: Annotated[
        bool | None,
        Field(description="True: its pods are Ready, so that calls would move at once; none if unknown."),
    ]


class Deployment(ResponseModel):
    """One row of an App's history. The fields after `message` show where it came from."""

    model_config = example(**DEPLOYMENT)

    id: Id
    app_id: Id
    status: Annotated[str, Field(json_schema_extra={"enum": ["Pending", "Progressing", "Live", "Superseded", "Failed"]})]
    ending: Annotated[
        Ending | None,
        Field(description="How it ended, if the status does not show it: rejected, withdrawn or overtaken before it ran, or reverted."),
    ]
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
    sequence: Annotated[int | None, Field(description="Place in the history; none until the operator has numbered the row.")]
    restores: Annotated[str | None, Field(description="Name of the row that this one rolled back to.")]
    promoted_from: PromotedFrom | None
    provenance: Annotated[str | None, Field(description="Where the row came from, in words.")]
    source: Annotated[
        str | None,
        Field(description="App: by App.spec.deploy. Revert: the operator reverted a bad version. Record: somebody created the row."),
    ]
    digest: Annotated[str | None, Field(description="Over the row and the digest of the row before it.")]
    reason: Annotated[str | None, Field(description="Why it did not go Live.")]
    duration_seconds: Annotated[float | None, Field(description="Seconds from its begin to its end.")]
    is_live: Annotated[bool, Field(description="True: the App serves it.")]
    restores_sequence: Annotated[int | None, Field(description="The sequence of the row that this one rolled back to.")]
    waits: Annotated[Waits | None, Field(description="What it waits for; none if nothing blocks it, or it has ended.")]
    released: Annotated[Released | None, Field(description="Of a row that waited: when and by whom it was admitted.")]
    verified: Annotated[Verified | None, Field(description="The result of the smoke test of its new pods, if there was one.")]
    holds: Annotated[RowRef | None, Field(description="The rollback since which changes from Git are on hold, while this row is live.")]
    bypass_reason: Annotated[str | None, Field(description="Why guards were bypassed.")]
    flow_hash: Annotated[str | None, Field(description="SHA-256 of its flow, by which versions are rejected; none until it is pinned.")]
    deployable: Annotated[
        DeployableShape | None,
        Field(description="Whether a rollback to it is possible now; only with ?deployable=true."),
    ]

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Returns the schema, with the columns of a history that have no field of their own above."""
        made = handler(core_schema)
        schema = handler.resolve_ref_schema(made)
        for column in of_rest():
            if column.rest not in cls.model_fields:
                schema["properties"][column.rest] = column.json_schema()
                schema["required"].append(column.rest)
        return made
