"""Lists the notifications about a row: its written transitions, the Approvals that count, and holds that begin and end. It sends none.

A notification's id is made from the row's uid and from the transition. Receivers can drop one that two replicas send.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from dynamiq_operator.model import names
from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.guard_objects import Approval
from dynamiq_operator.model.guards import RowOf
from dynamiq_operator.model.objects import App, Row, parse_time
from dynamiq_operator.model.row import Phase, Result
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.guards import approvals
from dynamiq_operator.plan.guards.evaluation import evaluate_guards
from dynamiq_operator.plan.guards.hold import deploys_from_git
from dynamiq_operator.plan.history.lifecycle import RowHistory, completed
from dynamiq_operator.plan.operations import (
    AdmitRow,
    CompleteRow,
    Emit,
    EndRow,
    Operation,
    SetAppStatus,
    SetRowStatus,
    VerifyRow,
)
from dynamiq_operator.plan.output import events
from dynamiq_operator.plan.snapshot import Snapshot

TYPE = "ai.dynamiq.deployment"
"""The prefix of every notification type about rows; its reason in lower case follows."""
RUN_WAITING, RUN_WAITING_TYPE = "RunWaiting", "ai.dynamiq.run.waiting"
"""The reason, and the type, of a notification that background runs ask a person."""
_PHASES = {
    "Waiting": Phase.PENDING,
    "Released": Phase.PROGRESSING,
    "Progressing": Phase.PROGRESSING,
    "Bypassed": Phase.PROGRESSING,
    "Live": Phase.LIVE,
    "Failed": Phase.FAILED,
    "Overtaken": Phase.SUPERSEDED,
    "Superseded": Phase.SUPERSEDED,
}
"""The phase of the row after an Event of this reason; other reasons change none."""
_BEGINNING = ("Progressing", "Bypassed")
_PURPOSES = {
    Purpose.APPROVE: ("Approved", "was approved"),
    Purpose.RESUME: ("Resumed", "was resumed"),
    Purpose.REJECT: ("Rejected", "was rejected"),
    Purpose.WITHDRAW: ("Withdrawn", "was withdrawn"),
}
HOLD_BEGUN, HOLD_ENDED = "HoldBegun", "HoldEnded"


@dataclass(frozen=True)
class Notification:
    """One transition of a row, or questions of its background runs. `id`: the same for the same transition, and for no other. `at`: the time in the row, if it has one.

    `author`: the creator of the row. `by`: the people who did this. `waits`: the row's guards, as in its status.
    `questions`: open ones, and when the `oldest` was asked.
    """

    id: str
    reason: str
    namespace: str
    app: str
    row: str
    at: datetime
    message: str
    phase: str | None = None
    warning: bool = False
    sequence: int | None = None
    version: str | None = None
    runtime: str | None = None
    author: str | None = None
    by: tuple[str, ...] = ()
    waits: Mapping[str, Any] = field(default_factory=dict)
    questions: int | None = None
    oldest: str | None = None

    @property
    def type(self) -> str:
        return RUN_WAITING_TYPE if self.reason == RUN_WAITING else f"{TYPE}.{self.reason.lower()}"

    @property
    def source(self) -> str:
        """The path of the row's App in the API."""
        return f"/apis/{API_VERSION}/namespaces/{self.namespace}/apps/{self.app}"

    @property
    def data(self) -> dict[str, Any]:
        """The fields for receivers; unknown ones are left out."""
        known = {
            "namespace": self.namespace,
            "app": self.app,
            "row": self.row,
            "sequence": self.sequence,
            "version": self.version,
            "runtime": self.runtime,
            "phase": self.phase,
            "reason": self.reason,
            "message": self.message,
            "warning": self.warning,
            "author": self.author,
            "by": list(self.by),
            "waits": dict(self.waits),
            "questions": self.questions,
            "oldest": self.oldest,
        }
        return {key: value for key, value in known.items() if value not in (None, [], {})}


def notifications_of(snapshot: Snapshot, done: Sequence[Operation]) -> tuple[Notification, ...]:
    """Returns the notifications about rows from operations that were done in order, of a plan for this snapshot.

    Trailing Events are left out: the transition that each announces was not written. They follow once it is.
    """
    rows: dict[str, Row] = {}
    last = 0
    for place, operation in enumerate(done, 1):
        if not isinstance(operation, Emit):
            last = place
            if (changed := _written(operation, rows)) is not None:
                rows[changed.meta.uid] = changed
    ended = {each.row.meta.uid for each in done if isinstance(each, AdmitRow | EndRow)}
    changed_uids = ended | {each.row.meta.uid for each in done if isinstance(each, SetRowStatus) and each.status.waits is not None}
    emits = [(each, each.about) for each in done[:last] if isinstance(each, Emit)]
    return (
        *(each for row in snapshot.rows.observed if row.meta.uid in changed_uids for each in _approvals(snapshot, row)),
        *(_of(emit, rows.get(row.meta.uid, row), snapshot.now) for emit, row in emits if isinstance(row, Row)),
        *(each for operation in done if isinstance(operation, SetAppStatus) for each in _hold(snapshot, operation)),
    )


def notifications_since(app: App, rows: Iterable[Row], since: datetime) -> tuple[Notification, ...]:
    """Returns the notifications since a moment that the rows themselves show, for a sender who does not know which were sent."""
    history = RowHistory.of(rows)
    notifications = [each for row in history.rows for each in _of_life(app, row)]
    went_live = [row for row in history.rows if row.outcome is not None and row.outcome.result is Result.SUCCEEDED]
    for before, after in pairwise(went_live):
        at = parse_time(after.outcome.at) if after.outcome is not None else since
        notifications += [_of(emit, before, at) for emit in events.superseded(app, before, after) if isinstance(emit.about, Row)]
    return tuple(sorted((each for each in notifications if each.at >= since), key=lambda each: each.at))


def _of_life(app: App, row: Row) -> Iterator[Notification]:
    """Yields the notifications from those parts of a row that are set once."""
    emits: tuple[Emit, ...] = ()
    if row.spec.released is not None:
        emits += events.released(app, row, row.spec.released)
    if row.pinned is not None and (not row.pinned.guards or row.spec.released is not None):
        emits += events.began(app, row, row.pinned)
    if row.spec.verified is not None:
        emits += events.verified(app, row, row.spec.verified)
    if row.outcome is not None:
        emits += events.ended(app, row, row.outcome)
    return (_of(emit, row, row.meta.created) for emit in emits if isinstance(emit.about, Row))


def _written(operation: Operation, rows: Mapping[str, Row]) -> Row | None:
    """Returns the row as an operation left it; None if it wrote no row."""
    match operation:
        case CompleteRow(row=row, sequence=sequence, pinned=pinned):
            return completed(rows.get(row.meta.uid, row), sequence=sequence, pinned=pinned)
        case AdmitRow(row=row, released=released):
            return completed(rows.get(row.meta.uid, row), released=released)
        case VerifyRow(row=row, verified=verified):
            return completed(rows.get(row.meta.uid, row), verified=verified)
        case EndRow(row=row, outcome=outcome):
            return completed(rows.get(row.meta.uid, row), outcome=outcome)
        case SetRowStatus(row=row, status=status):
            return replace(rows.get(row.meta.uid, row), status=status)
        case _:
            return None


def _approvals(snapshot: Snapshot, row: Row) -> Iterator[Notification]:
    """Yields the Approvals that count for a waiting row and that its status did not show before."""
    pinned = row.pinned
    if pinned is None or not pinned.guards or row.spec.released or row.outcome or snapshot.app is None or not snapshot.guards.approvals:
        return
    context = Context.of(snapshot, snapshot.app)
    counted = evaluate_guards(context, row, pinned).counted
    agreed = [each for each in counted if each.spec.purpose is Purpose.APPROVE]
    shown = (row.status.waits.approvals or 0) if row.status.waits is not None else 0
    others = [each for each in counted if each.spec.purpose is not Purpose.APPROVE]
    guards = snapshot.guards
    ending = [each for each in (approvals.find_rejection(guards, row), approvals.find_withdrawal(guards, row)) if each is not None]
    for approval in (*sorted(agreed, key=lambda each: each.meta.created)[shown:], *others, *ending[:1]):
        yield _of_approval(row, approval)


def _of_approval(row: Row, approval: Approval) -> Notification:
    reason, was = _PURPOSES[approval.spec.purpose]
    why = f": {approval.spec.message}" if approval.spec.message else ""
    message = f"{row.title} {was} by {approval.spec.by}{why}"
    notification = _of(Emit(row, reason, message, key=approval.meta.uid), row, approval.meta.created)
    return replace(notification, by=(approval.spec.by,) if approval.spec.by else ())


def _hold(snapshot: Snapshot, operation: SetAppStatus) -> Iterator[Notification]:
    """Yields the beginning or the end of a hold, if the App's status that was written shows it and the one before did not."""
    before, after = operation.app.status.holds, operation.status.holds
    if before != after and after is not None:
        message = f"after the rollback in #{after.sequence}, changes from Git are on hold"
        yield _of_hold(snapshot, operation.app, after, HOLD_BEGUN, message)
    elif before is not None and after is None and deploys_from_git(Context.of(snapshot, operation.app)):
        yield _of_hold(
            snapshot, operation.app, before, HOLD_ENDED, f"the hold of row {before.row} (#{before.sequence}) is over: Git deploys again"
        )


def _of_hold(snapshot: Snapshot, app: App, held_by: RowOf, reason: str, message: str) -> Notification:
    row = next((each for each in snapshot.rows.observed if each.name == held_by.row), None)
    if row is not None:
        return replace(_of(Emit(row, reason, message, key=""), row, snapshot.now), sequence=held_by.sequence)
    identity = names.event(app.meta.uid, reason, held_by.row)
    return Notification(identity, reason, app.meta.namespace, app.meta.name, held_by.row, snapshot.now, message, sequence=held_by.sequence)


def _of(emit: Emit, row: Row, now: datetime) -> Notification:
    pinned, phase = row.pinned, _PHASES.get(emit.reason) or row.status.phase
    released = row.spec.released if emit.reason == "Released" else None
    return Notification(
        id=emit.names[-1],
        reason=emit.reason,
        namespace=row.meta.namespace,
        app=row.spec.app,
        row=row.name,
        at=_at(emit.reason, row) or now,
        message=emit.message,
        phase=phase.value if phase is not None else None,
        warning=emit.warning,
        sequence=row.spec.sequence,
        version=pinned.workflow_version if pinned is not None else row.spec.workflow_version,
        runtime=pinned.runtime.version if pinned is not None else None,
        author=row.spec.created_by,
        by=(released.by or ()) if released is not None else (),
        waits=row.status.waits.as_json() if row.status.waits is not None and emit.reason == "Waiting" else {},
    )


def _at(reason: str, row: Row) -> datetime | None:
    """Returns when a transition happened, if the row itself has that time: repeated notifications then have the same time."""
    if reason in ("Live", "Failed", "Overtaken") and row.outcome is not None:
        return parse_time(row.outcome.at)
    if reason in ("Released", *_BEGINNING) and row.spec.released is not None:
        return parse_time(row.spec.released.at)
    if reason == "Verified" and row.spec.verified is not None:
        return parse_time(row.spec.verified.at)
    return parse_time(row.pinned.created_at) if reason in _BEGINNING and row.pinned is not None else None
