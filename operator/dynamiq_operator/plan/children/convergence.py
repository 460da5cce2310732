"""Converges observed children to desired ones: creates, applies, adopts, scales or deletes. It does not decide what is desired."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from dynamiq_operator.desired import child_kinds
from dynamiq_operator.desired.base import CONFIG_MAP, NETWORK_POLICY, SERVICE, WORKLOAD, ChildKey, is_ending, is_owned
from dynamiq_operator.desired.drift import changed_field, drift, manifest_digest, noted
from dynamiq_operator.desired.inputs import scale_of
from dynamiq_operator.desired.service import turns_of
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.plan.children import access_keys, callback_key, hostnames, selection, standby
from dynamiq_operator.plan.children.manifests import desired_children
from dynamiq_operator.plan.children.workload_inputs import awaits_policy
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.children import ObservedChildren
from dynamiq_operator.plan.operations import ApplyChild, CreateChild, CreateFlow, DeleteChild, Emit, Operation, OwnChild, ScaleWorkload
from dynamiq_operator.plan.output import events
from dynamiq_operator.plan.sleep.decisions import sleep_operations, wake
from dynamiq_operator.plan.sleep.state import Sleep, sleep_of


def converge_children(context: Context) -> tuple[Operation, ...]:
    """Returns the operations that converge all children, except those of triggers, to the target's pins and the App."""
    desired = desired_children(context)
    beside = {key: manifest for key, manifest in desired.items() if _is_beside(context, key)}
    return (
        *callback_key.creation(context),
        *_converge_target(context, {key: manifest for key, manifest in desired.items() if key not in beside}, beside),
        *converge_each(context, beside),
        *standby.scale_standby(context),
        *standby.scale_finishing(context),
        *standby.scale_conversing(context),
        *standby.delete_unneeded(context),
        *sleep_operations(context),
    )


def _converge_target(context: Context, desired: Mapping[ChildKey, Manifest], beside: Container[ChildKey]) -> tuple[Operation, ...]:
    """Returns the operations that the target's rollout waits for."""
    # The Service comes first: under strategy Switch callers wait for nothing else.
    return (
        *hostnames.claim_operations(context),
        *access_keys.key_creation(context),
        *_create_flow(context),
        *converge_to(context, desired, of_triggers=False, beside=beside),
        *_own_restored(context.app, context.snapshot.children),
        *_scale(context),
        *standby.scale_target(context),
    )


def are_ready(context: Context) -> bool:
    """Returns True if all children are as desired and at rest. Children of triggers, and workloads of other pins, are ignored."""
    if awaits_policy(context) or not selection.has_arrived(context):
        return False
    observed = context.snapshot.children.observed
    children = desired_children(context)
    desired = {key: manifest for key, manifest in children.items() if not _is_beside(context, key)}
    at_rest = all(child_kinds.child_kind(key[0]).is_ready(observed[key]) for key in desired if key in observed)
    return at_rest and all(isinstance(operation, Emit) for operation in _converge_target(context, desired, children))


def _is_beside(context: Context, key: ChildKey) -> bool:
    """Returns True if the target's rollout does not wait for a child: workloads of other pins, and what finishes their runs."""
    is_other = key[0] == WORKLOAD.kind and key != WORKLOAD.key(context.app.meta.name, context.label)
    return is_other or key == (NETWORK_POLICY.kind, names.finishing_policy(context.app.meta.name))


def converge_to(
    context: Context, desired: Mapping[ChildKey, Manifest], *, of_triggers: bool, beside: Container[ChildKey] = ()
) -> Iterator[Operation]:
    """Yields the operations for the kinds of triggers, or for all others. `beside`: children that stay, and that others converge."""
    denied = context.snapshot.children.denied
    yield from converge_each(context, desired)
    # The new route is created before the old one is deleted: the API server may refuse it.
    awaited = any(child_kinds.child_kind(key[0]).serves_hostname and key not in context.snapshot.children.observed for key in desired)
    routes_stay = awaited or hostnames.routes_stay(context)
    for key, observed in context.snapshot.children.observed.items():
        entry = child_kinds.child_kind(key[0])
        if entry.make is None or not entry.removable or entry.of_triggers is not of_triggers or (entry.serves_hostname and routes_stay):
            continue
        if observed in (*context.workloads.by_label.values(), *context.workloads.finishing.values()):
            continue  # `standby.delete_unneeded`
        if key[0] == SERVICE.kind and turns_of(context.app, observed) is None:
            continue  # callers keep the address of the App's own
        if (
            key not in desired
            and key not in beside
            and key[0] not in denied
            and is_owned(observed, context.app)
            and not is_ending(observed)
        ):
            yield DeleteChild(observed, keep_dependents=entry.keeps_dependents)


def converge_each(context: Context, desired: Mapping[ChildKey, Manifest]) -> Iterator[Operation]:
    """Yields the operations that converge each of these children to its manifest."""
    for key, manifest in desired.items():
        if key[0] not in context.snapshot.children.denied:
            yield from _converge(context, key, manifest)


def _converge(context: Context, key: ChildKey, manifest: Manifest) -> Iterator[Operation]:
    """Yields the operations for one child; none if it equals its manifest, or cannot be made."""
    observed, entry = context.snapshot.children.observed.get(key), child_kinds.child_kind(key[0])
    if observed is manifest or (observed is not None and is_ending(observed)):
        return
    if observed is not None and entry.replaced_for and changed_field(manifest, observed, entry.replaced_for) is not None:
        yield DeleteChild(observed, keep_dependents=entry.keeps_dependents)
        return
    difference = drift(manifest, observed) if observed is not None else None
    if observed is not None and difference is None:
        return
    digest = manifest_digest(manifest)  # the most expensive step: only for manifests that are sent
    if context.snapshot.children.holds_back(key, digest):
        return
    if observed is None or difference is None:
        yield CreateChild(context.app, noted(manifest, digest), digest)
        return
    if entry.is_edit(manifest, observed, difference):
        yield events.repaired(context.app, key[0], key[1], difference, observed["metadata"].get("resourceVersion", ""))
    yield ApplyChild(context.app, noted(manifest, digest), observed, digest, difference)


def _own_restored(app: App, children: ObservedChildren) -> Iterator[OwnChild]:
    """Yields the adoption of restored children without an owner, of kinds that are not applied, such as flows.

    Only immutable ones are adopted.
    """
    for key, observed in children.observed.items():
        # A mutable one is not ours.
        is_kept = child_kinds.child_kind(key[0]).immutable and observed.get("immutable") is True
        if is_kept and not is_owned(observed, app) and not is_ending(observed):
            yield OwnChild(app, observed)


def _create_flow(context: Context) -> Iterator[CreateFlow]:
    pinned, children = context.pinned, context.snapshot.children
    if pinned is None or pinned.workflow_hash in children.flows:
        return
    release = context.snapshot.sources.release_of(pinned.workflow_hash)
    text = context.snapshot.archive.flows.get(pinned.workflow_hash) if release is None else None
    if release is None and text is None:
        return
    if not children.holds_back(CONFIG_MAP.key(context.app.meta.name, pinned.workflow_hash), pinned.workflow_hash):
        yield CreateFlow(context.app, pinned.workflow_hash, release.name if release is not None else "", text)


def _scale(context: Context) -> Iterator[Operation]:
    """Yields the operations that scale the serving workload up from 0, where an autoscaler does nothing, unless the App sleeps."""
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
        f"the workload was scaled to 0, which stops its autoscaler: it is scaled to {minimum} again",
        key=f"scale/{observed['metadata'].get('resourceVersion', '')}",
    )
    yield ScaleWorkload(observed, minimum)
