"""What brings the children that are observed to those that are desired: created, applied, re-owned, scaled or deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dynamiq_operator.desired import child_kinds
from dynamiq_operator.desired.base import CONFIG_MAP, WORKLOAD, ChildKey, is_ending, is_owned
from dynamiq_operator.desired.drift import changed_field, drift, manifest_digest, noted
from dynamiq_operator.desired.inputs import scale_of
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan import events
from dynamiq_operator.plan.children import access_keys, hostnames, selection, standby
from dynamiq_operator.plan.children.manifests import desired_children
from dynamiq_operator.plan.children.workload_inputs import awaits_policy
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.operations import ApplyChild, CreateChild, CreateFlow, DeleteChild, Emit, Operation, OwnChild, ScaleWorkload
from dynamiq_operator.plan.sleep.decisions import sleep_operations, wake
from dynamiq_operator.plan.sleep.state import Sleep, sleep_of


def converge_children(context: Context) -> tuple[Operation, ...]:
    """What brings every child, those of triggers excepted, to what the target's pins and the App want."""
    desired = desired_children(context)
    beside = {key: manifest for key, manifest in desired.items() if _is_beside(context, key)}
    return (
        *_converge_target(context, {key: manifest for key, manifest in desired.items() if key not in beside}),
        *converge_each(context, beside),
        *standby.scale_standby(context),
        *standby.delete_left(context),
        *sleep_operations(context),
    )


def _converge_target(context: Context, desired: Mapping[ChildKey, Manifest]) -> tuple[Operation, ...]:
    """What the target's rollout waits for. First the Service: under strategy Switch that is all that a caller waits for."""
    return (
        *hostnames.claim_operations(context),
        *access_keys.key_creation(context),
        *_create_flow(context),
        *converge_to(context, desired, of_triggers=False),
        *_own_restored(context),
        *_scale(context),
        *standby.scale_target(context),
    )


def are_ready(context: Context) -> bool:
    """Whether every child is as desired and has come to rest, but for those of triggers, and workloads of other pins than the target's."""
    if awaits_policy(context) or not selection.has_arrived(context):
        return False
    observed = context.snapshot.children
    desired = {key: manifest for key, manifest in desired_children(context).items() if not _is_beside(context, key)}
    at_rest = all(child_kinds.child_kind(key[0]).is_ready(observed[key]) for key in desired if key in observed)
    return at_rest and all(isinstance(operation, Emit) for operation in _converge_target(context, desired))


def _is_beside(context: Context, key: ChildKey) -> bool:
    """Whether a child is the workload of other pins than the target's."""
    return key[0] == WORKLOAD.kind and key != WORKLOAD.key(context.app.meta.name, context.label)


def converge_to(context: Context, desired: Mapping[ChildKey, Manifest], *, of_triggers: bool) -> Iterator[Operation]:
    """What brings the kinds that are for triggers, or the others, to what is desired of them."""
    denied = context.snapshot.denied
    yield from converge_each(context, desired)
    # The route that takes another one's place is there before that goes: it may be refused.
    awaited = any(child_kinds.child_kind(key[0]).serves_hostname and key not in context.snapshot.children for key in desired)
    routes_stay = awaited or hostnames.routes_stay(context)
    for key, observed in context.snapshot.children.items():
        entry = child_kinds.child_kind(key[0])
        if entry.make is None or not entry.removable or entry.of_triggers is not of_triggers or (entry.serves_hostname and routes_stay):
            continue
        if observed in context.workloads.by_label.values():
            continue  # `standby.delete_left`
        if key not in desired and key[0] not in denied and is_owned(observed, context.app) and not is_ending(observed):
            yield DeleteChild(observed, keep_dependents=entry.keeps_dependents)


def converge_each(context: Context, desired: Mapping[ChildKey, Manifest]) -> Iterator[Operation]:
    """What brings each of these to its manifest."""
    for key, manifest in desired.items():
        if key[0] not in context.snapshot.denied:
            yield from _converge(context, key, manifest)


def _converge(context: Context, key: ChildKey, manifest: Manifest) -> Iterator[Operation]:
    """What brings one child to its manifest; nothing where they are equal, or where it cannot be made."""
    observed, entry = context.snapshot.children.get(key), child_kinds.child_kind(key[0])
    if observed is manifest or (observed is not None and is_ending(observed)):
        return
    if observed is not None and entry.replaced_for and changed_field(manifest, observed, entry.replaced_for) is not None:
        yield DeleteChild(observed, keep_dependents=entry.keeps_dependents)
        return
    found = drift(manifest, observed) if observed is not None else None
    if observed is not None and found is None:
        return
    digest = manifest_digest(manifest)  # costs more than all else here, so it is taken of what is to be sent alone
    problem = context.snapshot.problems.get(key)
    if problem is not None and problem.holds_back(digest):
        return
    if observed is None or found is None:
        yield CreateChild(context.app, noted(manifest, digest), digest)
        return
    if entry.is_edit(manifest, observed, found):
        yield events.repaired(context.app, key[0], key[1], found, observed["metadata"].get("resourceVersion", ""))
    yield ApplyChild(context.app, noted(manifest, digest), observed, digest, found)


def _own_restored(context: Context) -> Iterator[OwnChild]:
    """Of kinds that are not applied, such as flows, those that a restore brought back without an owner. One that could still change is not ours."""
    for key, observed in context.snapshot.children.items():
        is_kept = child_kinds.child_kind(key[0]).immutable and observed.get("immutable") is True
        if is_kept and not is_owned(observed, context.app) and not is_ending(observed):
            yield OwnChild(context.app, observed)


def _create_flow(context: Context) -> Iterator[CreateFlow]:
    pinned, release = context.pinned, context.release_of_flow
    if pinned is None or pinned.workflow_hash in context.snapshot.flows:
        return
    text = context.snapshot.archive.flows.get(pinned.workflow_hash) if release is None else None
    if release is None and text is None:
        return
    problem = context.snapshot.problems.get(CONFIG_MAP.key(context.app.meta.name, pinned.workflow_hash))
    if problem is None or not problem.holds_back(pinned.workflow_hash):
        yield CreateFlow(context.app, pinned.workflow_hash, release or "", text)


def _scale(context: Context) -> Iterator[Operation]:
    """What serves, back from 0 replicas, at which an autoscaler does nothing, unless it sleeps."""
    observed, pinned = context.serving_workload, context.pinned
    if observed is None or pinned is None or observed["spec"].get("replicas") != 0:
        return
    minimum = scale_of(pinned).min_replicas or 1
    if sleep_of(context) is not Sleep.NEVER:
        yield from wake(context, minimum)
        return
    yield Emit(
        context.app,
        "Scaled",
        f"the workload had been scaled to 0, which stops its autoscaler for ever: back to {minimum}",
        key=f"scale/{observed['metadata'].get('resourceVersion', '')}",
    )
    yield ScaleWorkload(observed, minimum)
