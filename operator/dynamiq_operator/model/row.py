"""Deployment: one row of an App's history. Its request never changes; the operator completes it, each part once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import (
    SEQUENCE_MAX,
    ClusterName,
    Condition,
    Digest,
    DnsLabel,
    Moment,
    ObjectName,
    Part,
    VersionName,
    conditions_field,
    never_changes,
    rule,
    set_once,
    validated,
)
from dynamiq_operator.model.breaking import PinnedContract
from dynamiq_operator.model.endings import Ending
from dynamiq_operator.model.guards import Bypass, Guard, Released, RowOf, Verified, Waits
from dynamiq_operator.model.manifests import CLOSED as CLOSED
from dynamiq_operator.model.manifests import Phase as Phase
from dynamiq_operator.model.runtime import PinnedRuntime, Resources
from dynamiq_operator.model.verification import Verify


class ConfigType(StrEnum):
    """How an App is run: always-on servers under an autoscaler, or pods that sleep without calls."""

    SERVER = "server"
    SERVERLESS = "serverless"


class Result(StrEnum):
    """How a row's deploy ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    OVERTAKEN = "Overtaken"


class Source(StrEnum):
    """Who made the row: the operator for `App.spec.deploy` or to revert a bad version, or a user who created it."""

    APP = "App"
    RECORD = "Record"
    REVERT = "Revert"


AT_LEAST_ONE = "minReplicas is at least 1: to scale to zero, use type serverless"
IN_ORDER = "minReplicas is at most maxReplicas: raise maxReplicas or lower minReplicas"


@validated(
    rule(
        "!has(self.minReplicas) || self.minReplicas >= 1",
        AT_LEAST_ONE,
        fieldPath=".minReplicas",
    ),
    rule(
        "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        IN_ORDER,
        fieldPath=".minReplicas",
    ),
)
class Autoscaling(Part):
    """Replicas of a server, and when there are more."""

    min_replicas: Annotated[int | None, Field(ge=0, le=1000, description="Fewest pods, from 1.")] = None
    max_replicas: Annotated[int | None, Field(ge=1, le=1000, description="Most pods.")] = None
    target_cpu: Annotated[
        int | None,
        Field(
            alias="targetCPUUtilizationPercentage",
            ge=1,
            le=1000,
            description="CPU use, in percent of the request, that the autoscaler aims at.",
        ),
    ] = None


SERVERLESS_FIELDS = ("idleSeconds", "maxReplicas", "holdSeconds")


@validated(
    rule(
        "!has(self.type) || self.type != 'serverless' || !has(self.autoscaling)",
        "autoscaling is for type server: use maxReplicas, or use type server",
        fieldPath=".autoscaling",
    ),
    *(
        rule(
            f"!has(self.type) || self.type != 'server' || !has(self.{name})",
            f"{name} is for type serverless: remove it, or use type serverless",
            fieldPath=f".{name}",
        )
        for name in SERVERLESS_FIELDS
    ),
)
class Config(Part):
    """Deployment config. A field left out keeps the live row's value."""

    type: Annotated[
        ConfigType | None, Field(description="server: always running. serverless: asleep while nobody calls; the next call wakes it.")
    ] = None
    autoscaling: Annotated[Autoscaling | None, Field(description="Only for type server: replicas and target CPU.")] = None
    resources: Annotated[Resources | None, Field(description="Compute for each pod.")] = None
    idle_seconds: Annotated[
        int | None, Field(ge=5, le=86400, description="Only for type serverless: seconds without a call after which it sleeps; first 300.")
    ] = None
    max_replicas: Annotated[int | None, Field(ge=1, le=1000, description="Only for type serverless: most pods while awake; first 10.")] = (
        None
    )
    hold_seconds: Annotated[
        int | None,
        Field(ge=1, le=3600, description="Only for type serverless: seconds that a call waits for the App to wake; first 120."),
    ] = None


class PromotedFrom(Part):
    """The source of a promotion."""

    namespace: Annotated[ObjectName, Field(description="Namespace of the source App.")]
    app: Annotated[DnsLabel, Field(description="Name of the source App.")]
    row: Annotated[ObjectName, Field(description="Name of the source's row.")]
    hash: Annotated[Digest, Field(description="Hash of the source's flow.")]
    cluster: Annotated[
        ClusterName | None,
        Field(
            description="Where the source is in another cluster: which, by the uid of its namespace kube-system or a name that was given. What such "
            "a row says of its source cannot be verified; that it runs the flow of this hash can, or it fails. Left out: this cluster."
        ),
    ] = None


class Promoted(Part):
    """The operator's findings on the source row that a promotion names."""

    verified: Annotated[
        bool,
        Field(
            description="True if that row exists, belongs to that App, and ran the same flow as this one. Never true for another cluster."
        ),
    ]
    sequence: Annotated[int | None, Field(ge=1, le=SEQUENCE_MAX, description="Its sequence, if verified.")] = None


class Pinned(Part):
    """Everything that a row runs, frozen when its deploy began."""

    created_at: Annotated[Moment, Field(description="When the deploy began. Unlike the object's age, it survives a restore.")]
    workflow: Annotated[DnsLabel, Field(description="Workflow that is run.")]
    workflow_version: Annotated[VersionName, Field(description="Its version.")]
    workflow_hash: Annotated[Digest, Field(description="SHA-256 of the bytes of its flow.")]
    description: Annotated[str | None, Field(max_length=512, description="Description of the version.")] = None
    runtime: Annotated[PinnedRuntime, Field(description="The whole Runtime, as it was.")]
    config: Annotated[Config, Field(description="The whole config, with nothing left out.")]
    restores: Annotated[RowOf | None, Field(description="The row whose version this rollback or revert deploys.")] = None
    promoted_from: Annotated[Promoted | None, Field(description="The row that spec.promotedFrom names, and whether it was verified.")] = (
        None
    )
    created_by_verified: Annotated[
        bool | None,
        Field(description="True if the API server stamped createdBy. False before Kubernetes 1.36, and without our admission policies."),
    ] = None
    source: Annotated[
        Source,
        Field(description="App for a row of App.spec.deploy, Revert for one by which the operator reverted a bad version, else Record."),
    ]
    guards: Annotated[
        tuple[Guard, ...] | None,
        Field(min_length=1, max_length=128, description="The guards that blocked the row when it was pinned; none if it did not wait."),
    ] = None
    base: Annotated[
        RowOf | None, Field(description="Only with guards: the row that was live then. Missing fields were filled in from it.")
    ] = None
    environment: Annotated[
        Digest | None,
        Field(
            description="Beside guards, and of a bypass: SHA-256 of the App's variables, access and what it records then: what is agreed to is "
            "what runs. Of a rollback that brings none, while they change with rows alone: of those that were in force."
        ),
    ] = None
    holds: Annotated[
        RowOf | None,
        Field(
            description="The rollback since which changes from Git are on hold while this row is live: this row, or an earlier one with the same pins."
        ),
    ] = None
    verify: Annotated[Verify | None, Field(description="The smoke test that its new pods must pass before a caller reaches them.")] = None
    contract: Annotated[
        PinnedContract | None, Field(description="The fields that its flow reads and answers, and whom that may break.")
    ] = None
    previous_digest: Annotated[Digest | None, Field(description="Digest of the row before this one; none for the first.")] = None
    digest: Annotated[
        Digest, Field(description="SHA-256 over the canonical JSON (RFC 8785) of the spec without digest, released, verified and outcome.")
    ]


class Outcome(Part):
    """How the deploy ended."""

    result: Annotated[Result, Field(description="Succeeded, Failed or Overtaken.")]
    reason: Annotated[str, Field(max_length=1024, description="Why, in a sentence.")]
    at: Annotated[Moment, Field(description="When it ended.")]
    digest: Annotated[
        Digest, Field(description="SHA-256 over the row's digest, this outcome, and released and verified if the row has them.")
    ]


ASKED = (
    "app",
    "workflowVersion",
    "restores",
    "runtime",
    "config",
    "message",
    "promotedFrom",
    "hold",
    "takeSessions",
    "bypass",
    "createdBy",
)
SET_ONCE = ("sequence", "pinned", "released", "verified", "outcome")


@validated(
    *(never_changes(f"{name} of a row never changes: create another row to deploy something else", name) for name in ASKED),
    *(set_once(f"{name} of a row is set once, by the operator, and never changes", name) for name in SET_ONCE),
    rule(
        "!has(self.workflowVersion) || !has(self.restores)",
        "give either workflowVersion or restores: restores already selects the version of the row that it names",
    ),
)
class RowSpec(Part):
    """One deploy of an App: the request and, completed by the operator, exactly what ran and how it ended."""

    app: Annotated[DnsLabel, Field(description="App that is deployed, in the same namespace.")]
    workflow_version: Annotated[VersionName | None, Field(description="Version to deploy, such as v3. Left out: the newest release.")] = (
        None
    )
    restores: Annotated[
        ObjectName | None,
        Field(
            description="Name of a row of the App that went live: its workflow version and its runtime are deployed. Instead of "
            "workflowVersion."
        ),
    ] = None
    runtime: Annotated[
        ObjectName | None,
        Field(description="Runtime to run on. Left out: that of the row in restores, else the live row's, else the newest."),
    ] = None
    config: Annotated[Config | None, Field(description="Deployment config. What is left out keeps the live row's.")] = None
    message: Annotated[str | None, Field(max_length=1024, description="Why this is deployed.")] = None
    promoted_from: Annotated[PromotedFrom | None, Field(description="The row of another App that this promotes.")] = None
    hold: Annotated[
        bool | None,
        Field(description="Of a rollback, false: changes from Git are not put on hold. Left out: as the App's rollout.holdAfterRollback."),
    ] = None
    take_sessions: Annotated[
        bool | None,
        Field(description="True: once it is live, conversations that began before it on other versions are answered by it."),
    ] = None
    bypass: Annotated[Bypass | None, Field(description="Bypass all guards; needs the right to bypass.")] = None
    created_by: Annotated[
        str | None, Field(max_length=1024, description="Who created the row. The API server stamps it and ignores what was sent.")
    ] = None
    sequence: Annotated[int | None, Field(ge=1, le=SEQUENCE_MAX, description="Place in the App's history. Set once by the operator.")] = (
        None
    )
    pinned: Annotated[Pinned | None, Field(description="What is run, in full. Set once by the operator.")] = None
    released: Annotated[
        Released | None, Field(description="When and by whom the row was admitted. Set once by the operator, for rows that waited.")
    ] = None
    verified: Annotated[Verified | None, Field(description="The result of its smoke test. Set once by the operator.")] = None
    outcome: Annotated[Outcome | None, Field(description="How the deploy ended. Set once by the operator.")] = None

    @property
    def is_rollback(self) -> bool:
        """True if it only deploys an older row again, with nothing else new."""
        return self.restores is not None and self.runtime is None and self.config is None and self.promoted_from is None


class RowStatus(Part):
    """The state of the deploy. It can be derived from the spec, and is after a restore."""

    phase: Annotated[Phase | None, Field(description="Pending, Progressing, Live, Superseded or Failed.")] = None
    ending: Annotated[
        Ending | None,
        Field(
            description="How it ended, if phase does not show it: Rejected, Withdrawn, Overtaken or Reverted. Rows of older versions have none."
        ),
    ] = None
    waits: Annotated[Waits | None, Field(description="What the row waits for, if a guard blocks it.")] = None
    observed_generation: Annotated[
        int | None, Field(description="Generation that this status describes; 0 until the operator has seen the row.")
    ] = None
    conditions: tuple[Condition, ...] = conditions_field()


DEFAULT_RECORD_STATUS = {"phase": Phase.PROGRESSING.value, "observedGeneration": 0}
"""The status of a new row: under way, so that no GitOps tool considers an empty status done."""
