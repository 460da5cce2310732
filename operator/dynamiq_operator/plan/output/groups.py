"""Groups the operations of a plan: which run whatever else fails, and which wait for others.

A failed operation ends its own group, and stops the groups that rely on it. All others still run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dynamiq_operator.desired.base import CONFIG_MAP, NETWORK_POLICY, SECRET, WORKLOAD, key_of
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Row
from dynamiq_operator.plan.operations import (
    AdmitRow,
    AnnotatePod,
    ApplyChild,
    ClaimHostname,
    CompleteRow,
    CreateAccessKeys,
    CreateCallbackKey,
    CreateChild,
    CreateEvaluationKey,
    CreateFlow,
    DeleteChild,
    Emit,
    EndRow,
    Group,
    KeepClaim,
    LeaveRow,
    Operation,
    OwnChild,
    OwnRow,
    ReleaseClaim,
    RunOnce,
    ScaleWorkload,
    SetRowStatus,
    StartEvaluation,
    VerifyRow,
)

NUMBERS = "numbers of rows"
"""The group that reserves sequences in the App's status."""
FAILURE = "what failed"
STATUS = "status of the App"
_STATUS_OF = "status of "
_END_OF = "end of "
DEPLOY_SPEC = "row of spec.deploy"
SESSIONS = "conversations that were moved"
REVERT = "row that takes a version back"
RETENTION = "retention"

_NEEDED_BY_PODS = frozenset({CONFIG_MAP.kind, SECRET.kind, NETWORK_POLICY.kind})
"""Pods cannot start without their flow or keys. Without the NetworkPolicy anyone could reach them."""


def row_group(row: Row | None) -> str:
    """Returns the name of the group that writes a row's number, pins and outcome."""
    return f"row {row.name}" if row is not None else ""


def row_status_group(row: Row | None) -> str:
    """Returns the name of the group that writes a row's status."""
    return f"{_STATUS_OF}{row_group(row)}" if row is not None else ""


def by_object(operations: Iterable[Operation], after: Iterable[str] = ()) -> tuple[Group, ...]:
    """Returns a group for each written object, in the order of their first operations. Events join the group of the next operation."""
    by_name: dict[str, list[Operation]] = {}
    before: list[Operation] = []
    for operation in operations:
        before.append(operation)
        if (name := _object(operation)) is not None:
            by_name.setdefault(name, []).extend(before)
            before = []
    if before:  # Events alone
        by_name.setdefault("Events", []).extend(before)
    needed = frozenset(after)
    return tuple(Group(name, tuple(grouped), needed - {name}) for name, grouped in by_name.items())


def rows(operations: Iterable[Operation], numbered_first: bool) -> tuple[Group, ...]:
    """Returns the groups of rows. Each group that pins follows the one that pins the row before it: its digest is chained to that row's."""
    groups: list[Group] = []
    pinned_before = ""
    for group in by_object(operations, (NUMBERS,) if numbered_first else ()):
        pins = any(isinstance(each, CompleteRow) and each.pinned for each in group.operations)
        groups.append(replace(group, after=group.after | {pinned_before} - {""}) if pins else group)
        pinned_before = group.name if pins else pinned_before
    return tuple(groups)


def overtaken(operations: Iterable[Operation], target: Row | None) -> tuple[Group, ...]:
    """Returns a group for each overtaken row, after its other writes and those of the row that overtook it."""
    return tuple(
        Group(f"{_END_OF}{group.name}", group.operations, frozenset({group.name, row_group(target)})) for group in by_object(operations)
    )


def row_statuses(operations: Iterable[Operation], after: Iterable[str] = ()) -> tuple[Group, ...]:
    """Returns a group for each row's status, after the writes of the row itself."""
    status_groups = by_object(operations, after)
    row_groups = {group.name: group.name.removeprefix(_STATUS_OF) for group in status_groups}
    return tuple(
        replace(group, after=group.after | {row_groups[group.name], f"{_END_OF}{row_groups[group.name]}"}) for group in status_groups
    )


def ends(groups: Iterable[Group]) -> frozenset[str]:
    """Returns the names of the groups that write that a row went live or failed."""
    return frozenset(group.name for group in groups if any(isinstance(each, EndRow) for each in group.operations))


def children(operations: Iterable[Operation], after: Iterable[str]) -> tuple[Group, ...]:
    """Returns a group for each child; the workload's group follows the children that its pods need."""
    groups = by_object(operations, after)
    needed = {
        group.name for group in groups if _kind(group) in _NEEDED_BY_PODS and any(isinstance(each, _MAKES) for each in group.operations)
    }
    return tuple(replace(group, after=group.after | needed) if _kind(group) == WORKLOAD.kind else group for group in groups)


_MAKES = (CreateChild, ApplyChild, CreateFlow, CreateAccessKeys)


def _kind(group: Group) -> str:
    return group.name.split(" ")[0]


def _object(operation: Operation) -> str | None:
    """Returns the kind, and usually the name, of the object that an operation writes; None for an Event, which joins another group."""
    match operation:
        case Emit():
            return None
        case CompleteRow(row=row) | AdmitRow(row=row) | VerifyRow(row=row) | EndRow(row=row) | OwnRow(row=row):
            return row_group(row)
        case SetRowStatus(row=row):
            return row_status_group(row)
        case LeaveRow(meta=meta):
            return f"left row {meta.name}"
        case CreateChild(manifest=raw) | ApplyChild(manifest=raw) | RunOnce(manifest=raw):
            return " ".join(key_of(raw))
        case OwnChild(observed=raw) | DeleteChild(observed=raw) | ScaleWorkload(observed=raw) | StartEvaluation(observed=raw):
            return " ".join(key_of(raw))
        case CreateFlow(app=app, flow_hash=flow_hash):
            return " ".join(CONFIG_MAP.key(app.meta.name, flow_hash))
        case CreateAccessKeys(app=app):
            return " ".join(SECRET.key(app.meta.name))
        case CreateCallbackKey(app=app):
            return f"{SECRET.kind} {names.callback_key(app.meta.name)}"
        case CreateEvaluationKey(job=job):
            return f"{SECRET.kind} {job}"
        case AnnotatePod(pod=pod):
            return f"Pod {pod}"
        case ClaimHostname() | KeepClaim() | ReleaseClaim():
            return "hostname"
        case _:
            return type(operation).__name__
