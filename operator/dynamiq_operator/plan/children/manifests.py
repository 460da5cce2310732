"""The manifests of the children that an App is to have for the row it runs, and what keeps any of them from being made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dynamiq_operator.desired import exposure, network_policy, scaling, workload
from dynamiq_operator.desired.base import CONFIG_MAP, SECRET
from dynamiq_operator.model import names
from dynamiq_operator.model.digests import canonical
from dynamiq_operator.model.objects import Manifest, Record
from dynamiq_operator.model.record import Pinned
from dynamiq_operator.plan.children import access_keys, hostnames, variables
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.problems import ChildKey, ChildProblem, Hindrance


def desired_children(context: Context) -> Iterator[Manifest]:
    """Every child but the flow and the keys, whose content is not known here; without a target, those of an App that runs nothing."""
    app, target = context.app, context.target
    yield exposure.service(app)
    if hostnames.may_route(context) and (route := exposure.route(app, context.settings)) is not None:
        yield route
    if (policy := network_policy.network_policy(app)) is not None:
        yield policy
    if target is None or target.pinned is None:
        return
    if (made := _workload(context, target, target.pinned)) is not None:
        yield made
    yield scaling.autoscaler(app, target.name, target.pinned)
    yield scaling.disruption_budget(app)


def child_problems(context: Context) -> Mapping[ChildKey, ChildProblem]:
    """What keeps the target's children from being made, another owner's Secret in the place of the App's keys included.

    A problem of a child, or of a manifest, that is no longer desired is none.
    """
    desired = _digests(context) if context.snapshot.problems else {}
    found = {
        key: problem
        for key, problem in context.snapshot.problems.items()
        if key in desired and (problem.hindrance is not Hindrance.REFUSED or problem.digest == desired[key])
    }
    found |= hostnames.claim_problems(context) | hostnames.gateway_problems(context)
    if access_keys.are_foreign(context):
        name = names.access_keys(context.app.meta.name)
        found[(SECRET.kind, name)] = ChildProblem(Hindrance.TAKEN, f"Secret {name} exists and is not this App's: rename or delete it")
    return found


def key_of(manifest: Manifest) -> ChildKey:
    return manifest["kind"], manifest["metadata"]["name"]


def manifest_digest(manifest: Manifest) -> str:
    """Identifies a manifest, so that one which the API server refused is not sent again."""
    return canonical(manifest)


def _digests(context: Context) -> dict[ChildKey, str]:
    """What identifies each child that is desired; the keys' content is random and the flow's is named by its hash."""
    app, pinned = context.app, context.pinned
    found = {key_of(each): manifest_digest(each) for each in desired_children(context)}
    if app.spec.is_private:
        found[(SECRET.kind, names.access_keys(app.meta.name))] = ""
    if pinned is not None:
        found[(CONFIG_MAP.kind, names.flow(app.meta.name, pinned.workflow_hash))] = pinned.workflow_hash
    return found


def _workload(context: Context, target: Record, pinned: Pinned) -> Manifest | None:
    """The target's workload; as observed, or none, while a new template of it could not start, or must not."""
    observed = context.workload
    if not context.has_flow or access_keys.are_foreign(context):
        return observed
    keys = access_keys.key_note(context)
    if variables.missing_variables(context):
        if observed is None:
            return None
        if workload.has_pins(observed, pinned):
            return workload.held(context.app, target.name, observed, keys=keys)
    replicas = scaling.bounds(pinned).min_replicas if observed is None else None
    return workload.workload(context.app, target.name, pinned, observed, replicas=replicas, keys=keys)
