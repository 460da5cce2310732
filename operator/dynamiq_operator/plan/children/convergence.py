"""What brings the children that are observed to those that are desired: created, applied, re-owned, scaled or deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dynamiq_operator.desired import scaling
from dynamiq_operator.desired.base import (
    AUTOSCALER,
    CONFIG_MAP,
    DISRUPTION_BUDGET,
    HTTP_ROUTE,
    INGRESS,
    NETWORK_POLICY,
    SERVICE,
    WORKLOAD,
    is_ending,
    is_owned,
)
from dynamiq_operator.desired.drift import drifted
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan import events
from dynamiq_operator.plan.children import access_keys, hostnames
from dynamiq_operator.plan.children.manifests import desired_children, key_of, manifest_digest
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.problems import ChildKey, Hindrance
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

REMOVABLE = (INGRESS.kind, HTTP_ROUTE.kind, NETWORK_POLICY.kind, WORKLOAD.kind, AUTOSCALER.kind, DISRUPTION_BUDGET.kind)
"""Kinds that an App can have now and not later. Flows stay for a rollback, the Service and the keys for callers."""

OF_THE_APP = (names.KEYS_ANNOTATION, "progressDeadlineSeconds")
"""Fields of a workload that follow the App or its keys while the template stays: a difference there need not be anybody's edit."""


def converge_children(context: Context) -> tuple[Action, ...]:
    """What brings every child, those of triggers excepted, to what the target's pins and the App want."""
    desired = {key_of(manifest): manifest for manifest in desired_children(context)}
    return (
        *hostnames.claim_actions(context),
        *access_keys.key_creation(context),
        *_create_flow(context),
        *(action for key, manifest in desired.items() for action in converge(context, key, manifest)),
        *_delete_undesired(context, desired),
        *_own_restored_flows(context),
        *_scale(context),
    )


def converge(context: Context, key: ChildKey, manifest: Manifest) -> Iterator[Action]:
    """What brings one child to its manifest; nothing where they are equal, or where it cannot be made."""
    observed = context.snapshot.children.get(key)
    if observed is manifest or (observed is not None and is_ending(observed)):
        return
    found = _drift(manifest, observed) if observed is not None else None
    if observed is not None and found is None:
        return
    digest = manifest_digest(manifest)  # costs more than all else here, so it is taken of what is to be sent alone
    problem = context.snapshot.problems.get(key)
    if problem is not None and (problem.hindrance is not Hindrance.REFUSED or problem.digest == digest):
        return
    if observed is None or found is None:
        yield CreateChild(context.app, manifest, digest)
        return
    if _was_ours(manifest, observed) and not found.endswith(OF_THE_APP):
        yield events.repaired(context.app, key[0], key[1], found, observed["metadata"].get("resourceVersion", ""))
    yield ApplyChild(context.app, manifest, observed, digest, found)


def _delete_undesired(context: Context, desired: Mapping[ChildKey, Manifest]) -> Iterator[DeleteChild]:
    kept = (INGRESS.kind, HTTP_ROUTE.kind) if hostnames.gateway_problems(context) else ()
    for key, observed in context.snapshot.children.items():
        removable = key[0] in REMOVABLE and key[0] not in kept
        if removable and key not in desired and is_owned(observed, context.app) and not is_ending(observed):
            yield DeleteChild(observed)


def _own_restored_flows(context: Context) -> Iterator[OwnChild]:
    for key, observed in context.snapshot.children.items():
        if key[0] == CONFIG_MAP.kind and not is_owned(observed, context.app) and not is_ending(observed):
            yield OwnChild(context.app, observed)


def _create_flow(context: Context) -> Iterator[CreateFlow]:
    pinned, release = context.pinned, context.release_of_flow
    if pinned is None or release is None or pinned.workflow_hash in context.snapshot.flows:
        return
    if (CONFIG_MAP.kind, names.flow(context.app.meta.name, pinned.workflow_hash)) not in context.snapshot.problems:
        yield CreateFlow(context.app, pinned.workflow_hash, release)


def _scale(context: Context) -> Iterator[Action]:
    """Back from 0 replicas, at which an autoscaler does nothing."""
    observed, pinned = context.workload, context.pinned
    if observed is None or pinned is None or observed["spec"].get("replicas") != 0:
        return
    minimum = scaling.bounds(pinned).min_replicas or 1
    yield Emit(
        context.app,
        "Scaled",
        f"the workload had been scaled to 0, which stops its autoscaler for ever: back to {minimum}",
        key=f"scale/{observed['metadata'].get('resourceVersion', '')}",
    )
    yield ScaleWorkload(observed, minimum)


def _drift(manifest: Manifest, observed: Manifest) -> str | None:
    """The first field that differs; fields that we applied once and no longer want count, too."""
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
    """Whether a difference is another manager's edit and not a change of what we want: the applied template says so for a workload."""
    if manifest["kind"] == SERVICE.kind:
        return True
    if manifest["kind"] != WORKLOAD.kind:
        return False
    noted: str | None = (observed["metadata"].get("annotations") or {}).get(names.TEMPLATE_ANNOTATION)
    wanted: str = manifest["metadata"]["annotations"][names.TEMPLATE_ANNOTATION]
    return bool(noted == wanted)
