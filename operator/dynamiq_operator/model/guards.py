"""Defines the guards of a pinned row, as its pins note them, and the note on its admission."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import SEQUENCE_MAX, ClusterName, Moment, ObjectName, Part, reason_field
from dynamiq_operator.model.manifests import GuardReason as GuardReason
from dynamiq_operator.model.manifests import RowKind as RowKind

AUTOMATION_GROUPS = ("system:serviceaccounts:flux-system", "system:serviceaccounts:argocd")
"""Groups whose rows count as Git's unless a policy names others: the service accounts of these namespaces."""


class AfterFreeze(StrEnum):
    """The fate of rows that waited for the end of a freeze."""

    HOLD = "Hold"
    DEPLOY = "Deploy"


class ApprovalWhen(StrEnum):
    """The rows that need approvals by a policy."""

    ALWAYS = "Always"
    BREAKING = "Breaking"


class Bypass(Part):
    """A bypass of all guards except suspension. It requires the `bypass` verb and stays in the history."""

    reason: str = reason_field("bypass.reason", "why the guards are bypassed")


class RowOf(Part):
    """A row, by name and sequence."""

    row: Annotated[ObjectName, Field(description="Name of the row.")]
    sequence: Annotated[int, Field(ge=1, le=SEQUENCE_MAX, description="Its sequence.")]


class Guard(Part):
    """A guard of a row, as evaluated when the row was pinned. Each reason has its own fields."""

    reason: Annotated[GuardReason, Field(description="AwaitingApproval, Frozen, Soaking, Held, Suspended or GuardsUnknown.")]
    policy: Annotated[ObjectName | None, Field(description="The DeployPolicy that requires it.")] = None
    approvals: Annotated[int | None, Field(ge=1, le=16, description="AwaitingApproval: how many people must approve.")] = None
    expires_seconds: Annotated[
        int | None, Field(ge=60, le=31536000, description="AwaitingApproval: seconds until an Approval expires.")
    ] = None
    service_accounts: Annotated[
        tuple[str, ...] | None,
        Field(max_length=32, description="AwaitingApproval: service accounts whose Approvals count as a person's."),
    ] = None
    window: Annotated[str | None, Field(max_length=63, description="Frozen: name of the freeze.")] = None
    until: Annotated[Moment | None, Field(description="Frozen and Soaking: the moment until which the row waits.")] = None
    after_freeze: Annotated[AfterFreeze | None, Field(description="Frozen: Hold if somebody must resume the row after it.")] = None
    held_by: Annotated[RowOf | None, Field(description="Held: the rollback since which changes from Git are on hold.")] = None


class Released(Part):
    """The admission of the row, and the guards that blocked it before."""

    at: Annotated[Moment, Field(description="When the row was admitted.")]
    guards: Annotated[tuple[GuardReason, ...], Field(min_length=1, max_length=16, description="The guards that it had waited for.")]
    approvals: Annotated[tuple[ObjectName, ...] | None, Field(max_length=32, description="Names of the Approvals that counted.")] = None
    by: Annotated[tuple[str, ...] | None, Field(max_length=32, description="Who approved or resumed it.")] = None


class Verified(Part):
    """The proof that the row's new pods passed its cases before a caller reached them."""

    at: Annotated[Moment, Field(description="When the last one passed.")]
    cases: Annotated[int, Field(ge=0, le=1000, description="Number of cases.")]
    calls: Annotated[int, Field(ge=0, le=1000000, description="Number of calls for them, repeats included.")]
    seconds: Annotated[float, Field(ge=0, le=1000000, description="Seconds of the whole smoke test.")]
    score: Annotated[float | None, Field(description="Score of the evaluation Job, if it gave one.")] = None
    message: Annotated[str | None, Field(max_length=512, description="Last message of the evaluation Job.")] = None


class Waits(Part):
    """The guards that block a row now, as in its status."""

    reason: Annotated[GuardReason, Field(description="The first thing that it waits for.")]
    message: Annotated[str, Field(max_length=2048, description="Everything that it waits for, as a sentence for people.")]
    until: Annotated[Moment | None, Field(description="Until when, if time alone ends it.")] = None
    approvals: Annotated[int | None, Field(description="Approvals that count already.")] = None
    approvals_needed: Annotated[int | None, Field(description="Approvals that it needs.")] = None
    resumable: Annotated[bool | None, Field(description="True: whoever may deploy can resume it now.")] = None


class StandingGuard(Part):
    """A guard that would block a deploy of the App now."""

    reason: Annotated[GuardReason, Field(description="Why it would wait.")]
    message: Annotated[str, Field(max_length=1024, description="The same as a sentence for people.")]
    applies_to: Annotated[
        tuple[RowKind, ...], Field(max_length=4, description="Rows that it would block: Deploy, Promotion, Rollback, Git.")
    ]
    policy: Annotated[ObjectName | None, Field(description="The DeployPolicy that requires it.")] = None
    until: Annotated[Moment | None, Field(description="Until when, if time alone ends it.")] = None
    seconds: Annotated[int | None, Field(description="Soaking: seconds for which a promoted version must be live at its source.")] = None
    namespaces: Annotated[
        tuple[ObjectName, ...] | None, Field(max_length=32, description="Soaking: namespaces of the source. Left out: any.")
    ] = None
    clusters: Annotated[
        tuple[ClusterName, ...] | None,
        Field(max_length=32, description="Soaking: other clusters that the source may be in. Left out: none."),
    ] = None
    when: Annotated[
        ApprovalWhen | None, Field(description="Breaking: only a version that may break callers would wait. Left out: every one.")
    ] = None
