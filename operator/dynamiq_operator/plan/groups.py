"""The groups of a plan: what is done whatever becomes of the rest, and what has to wait for what.

An operation that fails ends its own group, and holds up the groups that rely on it. All others are done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dynamiq_operator.desired.base import CONFIG_MAP, NETWORK_POLICY, SECRET, WORKLOAD, key_of
from dynamiq_operator.model.objects import Record
from dynamiq_operator.plan.operations import (
    AnnotatePod,
    ApplyChild,
    ClaimHostname,
    CompleteRecord,
    CreateAccessKeys,
    CreateChild,
    CreateEvaluationKey,
    CreateFlow,
    DeleteChild,
    Emit,
    EndRecord,
    Group,
    KeepClaim,
    LeaveRecord,
    Operation,
    OwnChild,
    OwnRecord,
    ReleaseClaim,
    ReleaseRecord,
    RunOnce,
    ScaleWorkload,
    SetRecordStatus,
    StartEvaluation,
    VerifyRecord,
)

NUMBERS = "numbers of rows"
"""The group that reserves sequences in the App's status."""
FAILURE = "what failed"
STATUS = "status of the App"
_STATUS_OF = "status of "
_END_OF = "end of "
DEPLOY_SPEC = "row of spec.deploy"
REVERT = "row that takes a version back"
RETENTION = "retention"

_NEEDED_BY_PODS = frozenset({CONFIG_MAP.kind, SECRET.kind, NETWORK_POLICY.kind})
"""Without its flow or its keys a pod cannot start; without the policy it could be reached by everybody."""


def row_group(row: Record | None) -> str:
    """The group that writes a row's number, pins and outcome."""
    return f"row {row.name}" if row is not None else ""


def row_status_group(row: Record | None) -> str:
    """The group that writes a row's status."""
    return f"{_STATUS_OF}{row_group(row)}" if row is not None else ""


def by_object(operations: Iterable[Operation], after: Iterable[str] = ()) -> tuple[Group, ...]:
    """A group for each object that is written, in the order of their first operations, with the Events that are made before each."""
    found: dict[str, list[Operation]] = {}
    before: list[Operation] = []
    for operation in operations:
        before.append(operation)
        if (name := _object(operation)) is not None:
            found.setdefault(name, []).extend(before)
            before = []
    if before:  # Events alone
        found.setdefault("Events", []).extend(before)
    needed = frozenset(after)
    return tuple(Group(name, tuple(done), needed - {name}) for name, done in found.items())


def rows(operations: Iterable[Operation], numbered_first: bool) -> tuple[Group, ...]:
    """The groups of rows: each that pins comes after the one that pins the row before it, by whose digest it is chained."""
    groups: list[Group] = []
    pinned_before = ""
    for group in by_object(operations, (NUMBERS,) if numbered_first else ()):
        pins = any(isinstance(each, CompleteRecord) and each.pinned for each in group.operations)
        groups.append(replace(group, after=group.after | {pinned_before} - {""}) if pins else group)
        pinned_before = group.name if pins else pinned_before
    return tuple(groups)


def overtaken(operations: Iterable[Operation], target: Record | None) -> tuple[Group, ...]:
    """A group for each row that ends as overtaken, after what else is written to it and to the row that overtook it."""
    return tuple(
        Group(f"{_END_OF}{group.name}", group.operations, frozenset({group.name, row_group(target)})) for group in by_object(operations)
    )


def row_statuses(operations: Iterable[Operation], after: Iterable[str] = ()) -> tuple[Group, ...]:
    """A group for each row's status, which comes after what is written to the row itself."""
    found = by_object(operations, after)
    of = {group.name: group.name.removeprefix(_STATUS_OF) for group in found}
    return tuple(replace(group, after=group.after | {of[group.name], f"{_END_OF}{of[group.name]}"}) for group in found)


def ends(groups: Iterable[Group]) -> frozenset[str]:
    """Of the groups of rows, those that write that a row went live, or failed."""
    return frozenset(group.name for group in groups if any(isinstance(each, EndRecord) for each in group.operations))


def children(operations: Iterable[Operation], after: Iterable[str]) -> tuple[Group, ...]:
    """A group for each child; the workload comes after what its pods cannot do without."""
    groups = by_object(operations, after)
    needed = {
        group.name for group in groups if _kind(group) in _NEEDED_BY_PODS and any(isinstance(each, _MAKES) for each in group.operations)
    }
    return tuple(replace(group, after=group.after | needed) if _kind(group) == WORKLOAD.kind else group for group in groups)


_MAKES = (CreateChild, ApplyChild, CreateFlow, CreateAccessKeys)


def _kind(group: Group) -> str:
    return group.name.split(" ")[0]


def _object(operation: Operation) -> str | None:
    """What an operation writes, by kind and name where many have that kind; None for an Event, which goes with what it tells of."""
    match operation:
        case Emit():
            return None
        case (
            CompleteRecord(record=record)
            | ReleaseRecord(record=record)
            | VerifyRecord(record=record)
            | EndRecord(record=record)
            | OwnRecord(record=record)
        ):
            return row_group(record)
        case SetRecordStatus(record=record):
            return row_status_group(record)
        case LeaveRecord(meta=meta):
            return f"left row {meta.name}"
        case CreateChild(manifest=raw) | ApplyChild(manifest=raw) | RunOnce(manifest=raw):
            return " ".join(key_of(raw))
        case OwnChild(observed=raw) | DeleteChild(observed=raw) | ScaleWorkload(observed=raw) | StartEvaluation(observed=raw):
            return " ".join(key_of(raw))
        case CreateFlow(app=app, flow_hash=flow_hash):
            return " ".join(CONFIG_MAP.key(app.meta.name, flow_hash))
        case CreateAccessKeys(app=app):
            return " ".join(SECRET.key(app.meta.name))
        case CreateEvaluationKey(job=job):
            return f"{SECRET.kind} {job}"
        case AnnotatePod(pod=pod):
            return f"Pod {pod}"
        case ClaimHostname() | KeepClaim() | ReleaseClaim():
            return "hostname"
        case _:
            return type(operation).__name__
