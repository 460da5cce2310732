"""The status of an App: what the operator observed of it last."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import Condition, Part, Timestamp, conditions_field
from dynamiq_operator.model.guards import RowOf, StandingGuard
from dynamiq_operator.model.manifests import VARIABLES_HELD as VARIABLES_HELD
from dynamiq_operator.model.runtime import ImagePolicy
from dynamiq_operator.model.trial import Trial


class LiveRow(Part):
    """The row that the App serves."""

    row: Annotated[str, Field(description="Name of the live row.")]
    sequence: Annotated[int, Field(description="Its sequence.")]
    workflow_version: Annotated[str, Field(description="Its workflow version.")]
    runtime: Annotated[str, Field(description="Version of its runtime.")]


class LastGood(Part):
    """The standby behind the live row: the target of a rollback. Without a row there is none."""

    live: Annotated[int, Field(description="Sequence of the live row that it belongs to.")]
    row: Annotated[str | None, Field(description="Name of the last good row.")] = None
    pair: Annotated[str | None, Field(max_length=64, description="Digest of its flow and its runtime.")] = None


class FailedRow(Part):
    """The newest deploy, if it failed and the App serves an older row, or none."""

    row: Annotated[str, Field(description="Name of the row that failed.")]
    sequence: Annotated[int, Field(description="Its sequence.")]
    reason: Annotated[str, Field(description="Why it failed.")]


FINISHING_MOST = 20


class FinishingVersion(Part):
    """An earlier version whose background runs finish, or that has conversations: how many are open."""

    row: Annotated[str, Field(description="Name of the newest row that ran it.")]
    sequence: Annotated[int, Field(description="Its sequence.")]
    version: Annotated[str, Field(description="Its workflow version.")]
    pins: Annotated[str, Field(max_length=64, description="Digest of its flow, runtime and compute.")]
    queued: Annotated[int, Field(ge=0, description="Runs that wait for a pod.")] = 0
    running: Annotated[int, Field(ge=0, description="Runs that a pod has.")] = 0
    waiting: Annotated[int, Field(ge=0, description="Runs that wait for an answer or a time.")] = 0
    held: Annotated[int, Field(ge=0, description="Runs that wait for a decision of a person.")] = 0
    sessions: Annotated[int | None, Field(ge=0, description="Open conversations.")] = None
    oldest: Annotated[Timestamp | None, Field(description="When the oldest of them was accepted.")] = None

    @property
    def title(self) -> str:
        return f"{self.version} (#{self.sequence})"

    @property
    def open_runs(self) -> int:
        return self.queued + self.running + self.waiting + self.held


class RecordedSettings(Part):
    """The point up to which changes of the App's settings have been recorded."""

    generation: Annotated[int, Field(description="The App's metadata.generation that was compared last.")]
    sequence: Annotated[int, Field(description="Sequence of the newest AppChange.")]


class RunOutcome(StrEnum):
    """How a run of a trigger went. Missed: its time passed and no run could begin."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    MISSED = "Missed"


class TriggerRun(Part):
    """One run of a trigger."""

    trigger: Annotated[str, Field(description="Name of the trigger.")]
    job: Annotated[str, Field(description="Name of the Job that ran it, or would have.")]
    started_at: Annotated[Timestamp, Field(description="When the Job was created; of a missed run, when it was due.")]
    ended_at: Annotated[Timestamp | None, Field(description="When it ended.")] = None
    outcome: Annotated[RunOutcome, Field(description="Running, Succeeded, Failed or Missed.")]
    message: Annotated[str | None, Field(max_length=256, description="Its result, without the App's answer.")] = None
    workflow_version: Annotated[str | None, Field(description="The version that answered, if known.")] = None


CAPABILITIES_MOST, RUNTIMES_MOST = 32, 10
CAPABILITY, CAPABILITY_MAX = r"^[a-z][a-z_]*$", 32
Capability = Annotated[str, Field(pattern=CAPABILITY, max_length=CAPABILITY_MAX)]


class RuntimeReport(Part):
    """The features of one runtime, as a pod of it reported them."""

    image: Annotated[str, Field(max_length=512, description="Image of the pod.")]
    capabilities: Annotated[
        tuple[Capability, ...],
        Field(max_length=CAPABILITIES_MOST, description="Names of features. Empty: its runtime is from before the list."),
    ] = ()


RUNS_KEPT = 10
PROGRESSING = "Progressing"
"""Type of the App's condition that is True while a deploy is in flight."""


class AppStatus(Part):
    """The observed state of the App."""

    observed_generation: Annotated[
        int | None, Field(description="Generation that this status describes; 0 until the operator has seen the App.")
    ] = None
    last_sequence: Annotated[int | None, Field(description="Highest sequence that any row has had.")] = None
    live: Annotated[LiveRow | None, Field(description="What the App serves.")] = None
    failed: Annotated[FailedRow | None, Field(description="The newest deploy, if it failed.")] = None
    last_good: Annotated[
        LastGood | None,
        Field(description="Under strategy Switch, the standby. Missing if the live row is older than this field."),
    ] = None
    trial: Annotated[Trial | None, Field(description="The live row while it is watched, if the App reverts bad versions.")] = None
    holds: Annotated[RowOf | None, Field(description="The rollback since which changes from Git are on hold.")] = None
    guards: Annotated[tuple[StandingGuard, ...], Field(max_length=64, description="What would block a deploy that is requested now.")] = ()
    hostname: Annotated[str | None, Field(description="Name that callers use.")] = None
    url: Annotated[
        str | None, Field(description="What callers outside the cluster call, if the operator knows how its gateway is reached.")
    ] = None
    image_policy: Annotated[
        ImagePolicy | None, Field(description="What the operator requires of a Runtime's image, if anything. Previews use it.")
    ] = None
    triggers: Annotated[
        tuple[TriggerRun, ...], Field(max_length=RUNS_KEPT, description="The last runs of the App's triggers, the newest first.")
    ] = ()
    runtimes: Annotated[
        tuple[RuntimeReport, ...],
        Field(max_length=RUNTIMES_MOST, description="Features of the runtimes that ran last, the newest last. Previews compare them."),
    ] = ()
    finishing: Annotated[
        tuple[FinishingVersion, ...],
        Field(
            max_length=FINISHING_MOST,
            description="Earlier versions whose background runs finish, or that have conversations, the newest first.",
        ),
    ] = ()
    settings: Annotated[
        RecordedSettings | None, Field(description="Up to which generation changes of the App's settings are recorded as AppChanges.")
    ] = None
    conditions: tuple[Condition, ...] = conditions_field()

    @property
    def deploying_since(self) -> str | None:
        """The start of the deploy in flight, from the condition; None if the condition reports none."""
        return next((each.last_transition_time for each in self.conditions if (each.type, each.status) == (PROGRESSING, "True")), None)

    @property
    def is_holding_variables(self) -> bool:
        """True if a change of variables, access or runs waits for a row."""
        return any((each.type, each.status) == (VARIABLES_HELD, "True") for each in self.conditions)


DEFAULT_APP_STATUS = {"observedGeneration": 0}
"""The status of a new App: not yet seen by the operator, so that no GitOps tool considers it done."""
