"""The children that an App is to have for the row it runs, and what brings those that are there to that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dynamiq_operator.desired import exposure, network_policy, scaling, workload
from dynamiq_operator.desired.base import (
    AUTOSCALER,
    CONFIG_MAP,
    DISRUPTION_BUDGET,
    HTTP_ROUTE,
    INGRESS,
    NETWORK_POLICY,
    SECRET,
    SERVICE,
    WORKLOAD,
    is_ending,
    is_owned,
)
from dynamiq_operator.desired.drift import drifted
from dynamiq_operator.model import names
from dynamiq_operator.model.digests import canonical
from dynamiq_operator.model.objects import App, Manifest, Record
from dynamiq_operator.model.record import Pinned
from dynamiq_operator.plan import events
from dynamiq_operator.plan.children import access_keys, hostnames, variables
from dynamiq_operator.plan.operations import (
    Action,
    ApplyChild,
    CreateChild,
    CreateFlow,
    DeleteChild,
    Emit,
    OwnChild,
    ScaleWorkload,
)
from dynamiq_operator.plan.snapshot import ChildKey, Hindrance, Problem, Snapshot

REMOVABLE = (INGRESS.kind, HTTP_ROUTE.kind, NETWORK_POLICY.kind, WORKLOAD.kind, AUTOSCALER.kind, DISRUPTION_BUDGET.kind)
"""Kinds that an App can have now and not later. Flows stay for a rollback, the Service and the keys for callers."""

OF_THE_APP = (names.KEYS_ANNOTATION, "progressDeadlineSeconds")
"""Fields of a workload that follow the App or its keys while the template stays: a difference there need not be anybody's edit."""


def child_actions(snapshot: Snapshot, app: App, target: Record | None) -> tuple[Action, ...]:
    """What makes the children those of `target`, or, where it is None, those of an App that runs nothing."""
    actions: list[Action] = [*hostnames.claim_actions(snapshot, app), *access_keys.creation(snapshot, app), *_flow(snapshot, app, target)]
    wanted = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in _manifests(snapshot, app, target)}
    for key, manifest in wanted.items():
        actions += converge(snapshot, app, key, manifest)
    kept = (INGRESS.kind, HTTP_ROUTE.kind) if hostnames.gateway_problems(snapshot, app) else ()
    actions += [
        DeleteChild(observed)
        for key, observed in snapshot.children.items()
        if key not in wanted and key[0] in REMOVABLE and key[0] not in kept and is_owned(observed, app) and not is_ending(observed)
    ]
    actions += [
        OwnChild(app, observed)
        for key, observed in snapshot.children.items()
        if key[0] == CONFIG_MAP.kind and not is_owned(observed, app) and not is_ending(observed)
    ]
    return (*actions, *_scale(snapshot, app, target))


def has_flow(snapshot: Snapshot, row: Record) -> bool:
    """Whether the flow of a pinned row is at hand, in a ConfigMap or a WorkflowVersion of the same content."""
    if row.pinned is None:
        return False
    return row.pinned.workflow_hash in snapshot.flows or _release_of(snapshot, row.pinned.workflow_hash) is not None


def problems(snapshot: Snapshot, app: App, target: Record | None) -> Mapping[ChildKey, Problem]:
    """What keeps the children for `target` from being made, a foreign Secret in the place of the App's keys included.

    What hindered a child that is no longer wanted, or was refused of a manifest that is no longer wanted so, hinders nothing.
    """
    wanted = _digests(snapshot, app, target) if snapshot.problems else {}
    found = {
        key: problem
        for key, problem in snapshot.problems.items()
        if key in wanted and (problem.hindrance is not Hindrance.REFUSED or problem.digest == wanted[key])
    }
    found |= hostnames.claim_problems(snapshot, app) | hostnames.gateway_problems(snapshot, app)
    if access_keys.are_foreign(snapshot, app):
        name = names.access_keys(app.meta.name)
        found[(SECRET.kind, name)] = Problem(Hindrance.TAKEN, f"Secret {name} exists and is not this App's: rename or delete it")
    return found


def manifest_digest(manifest: Manifest) -> str:
    """Identifies a manifest, so that one which the API server refused is not sent again."""
    return canonical(manifest)


def _digests(snapshot: Snapshot, app: App, target: Record | None) -> dict[ChildKey, str]:
    """What identifies each child that is wanted; the keys' content is random and the flow's is named by its hash."""
    found = {(each["kind"], each["metadata"]["name"]): manifest_digest(each) for each in _manifests(snapshot, app, target)}
    if app.spec.is_private:
        found[(SECRET.kind, names.access_keys(app.meta.name))] = ""
    if target is not None and target.pinned is not None:
        found[(CONFIG_MAP.kind, names.flow(app.meta.name, target.pinned.workflow_hash))] = target.pinned.workflow_hash
    return found


def _manifests(snapshot: Snapshot, app: App, target: Record | None) -> Iterator[Manifest]:
    yield exposure.service(app)
    if hostnames.may_route(snapshot, app) and (route := exposure.route(app, snapshot.settings)) is not None:
        yield route
    if (policy := network_policy.network_policy(app)) is not None:
        yield policy
    if target is None or target.pinned is None:
        return
    if (made := _workload(snapshot, app, target, target.pinned)) is not None:
        yield made
    yield scaling.autoscaler(app, target.name, target.pinned)
    yield scaling.disruption_budget(app)


def _workload(snapshot: Snapshot, app: App, target: Record, pinned: Pinned) -> Manifest | None:
    """The workload of `target`; as it is, or none, while a new template of it could not start, or must not."""
    observed = snapshot.workload_of(target)
    if not has_flow(snapshot, target) or access_keys.are_foreign(snapshot, app):
        return observed
    if variables.missing(snapshot, app, target):
        if observed is None:
            return None
        if workload.has_pins(observed, pinned):
            return workload.held(app, target.name, observed, keys=access_keys.note(snapshot, app, observed))
    replicas = scaling.bounds(pinned).min_replicas if observed is None else None
    return workload.workload(app, target.name, pinned, observed, replicas=replicas, keys=access_keys.note(snapshot, app, observed))


def converge(snapshot: Snapshot, app: App, key: ChildKey, manifest: Manifest) -> Iterator[Action]:
    """What makes a child that is wanted as its manifest is, and nothing where it is so, or cannot be."""
    observed = snapshot.children.get(key)
    if observed is manifest or (observed is not None and is_ending(observed)):
        return
    found = _drift(manifest, observed) if observed is not None else None
    if observed is not None and found is None:
        return
    digest = manifest_digest(manifest)  # costs more than all else here, so it is taken of what is to be sent alone
    problem = snapshot.problems.get(key)
    if problem is not None and (problem.hindrance is not Hindrance.REFUSED or problem.digest == digest):
        return
    if observed is None or found is None:
        yield CreateChild(app, manifest, digest)
        return
    if _was_ours(manifest, observed) and not found.endswith(OF_THE_APP):
        yield events.repaired(app, key[0], key[1], found, observed["metadata"].get("resourceVersion", ""))
    yield ApplyChild(app, manifest, observed, digest, found)


def _drift(manifest: Manifest, observed: Manifest) -> str | None:
    """The first field that is otherwise; fields that we applied once and no longer want count, too."""
    if (found := drifted(manifest, observed)) is not None:
        return found
    return next((f".{path}" for path in _leftovers(manifest, observed)), None)


def _leftovers(manifest: Manifest, observed: Manifest) -> Iterator[str]:
    """Annotations and Ingress fields can be left out again: what our field manager owns and the manifest lacks."""
    for entry in observed["metadata"].get("managedFields") or ():
        if entry.get("manager") == names.FIELD_MANAGER and not entry.get("subresource"):
            owned: dict[str, Any] = entry.get("fieldsV1") or {}
            yield from _missing(
                owned.get("f:metadata", {}).get("f:annotations", {}), manifest["metadata"].get("annotations") or {}, "metadata.annotations"
            )
            if manifest["kind"] == INGRESS.kind:
                yield from _missing(owned.get("f:spec", {}), manifest["spec"], "spec")


def _missing(owned: Mapping[str, Any], wanted: Mapping[str, Any], path: str) -> Iterator[str]:
    return (f"{path}.{field[2:]}" for field in owned if field.startswith("f:") and field[2:] not in wanted)


def _was_ours(manifest: Manifest, observed: Manifest) -> bool:
    """Whether a difference is somebody else's edit and not a change of what we want: the applied template says so for a workload."""
    if manifest["kind"] == SERVICE.kind:
        return True
    if manifest["kind"] != WORKLOAD.kind:
        return False
    noted: str | None = (observed["metadata"].get("annotations") or {}).get(names.TEMPLATE_ANNOTATION)
    wanted: str = manifest["metadata"]["annotations"][names.TEMPLATE_ANNOTATION]
    return bool(noted == wanted)


def _flow(snapshot: Snapshot, app: App, target: Record | None) -> Iterator[Action]:
    if target is None or target.pinned is None or target.pinned.workflow_hash in snapshot.flows:
        return
    key = (CONFIG_MAP.kind, names.flow(app.meta.name, target.pinned.workflow_hash))
    release = _release_of(snapshot, target.pinned.workflow_hash)
    if release is not None and key not in snapshot.problems:
        yield CreateFlow(app, target.pinned.workflow_hash, release)


def _release_of(snapshot: Snapshot, flow_hash: str) -> str | None:
    return next((version.name for version in snapshot.versions if version.flow_hash == flow_hash), None)


def _scale(snapshot: Snapshot, app: App, target: Record | None) -> Iterator[Action]:
    observed = snapshot.workload_of(target)
    if observed is None or target is None or target.pinned is None or observed["spec"].get("replicas") != 0:
        return
    minimum = scaling.bounds(target.pinned).min_replicas or 1
    yield Emit(
        app,
        "Scaled",
        f"the workload had been scaled to 0, which stops its autoscaler for ever: back to {minimum}",
        key=f"scale/{observed['metadata'].get('resourceVersion', '')}",
    )
    yield ScaleWorkload(observed, minimum)
