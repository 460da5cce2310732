"""The manifests of the children that an App is to have for the row it runs, and what keeps any of them from being made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dynamiq_operator.desired import child_kinds
from dynamiq_operator.desired.base import CONFIG_MAP, SECRET, ChildKey, key_of
from dynamiq_operator.desired.drift import manifest_digest
from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.children import access_keys, hostnames, route_annotations
from dynamiq_operator.plan.children.given_up import noting_given_up
from dynamiq_operator.plan.children.maker_inputs import maker_inputs
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason
from dynamiq_operator.plan.workloads import environment


def desired_children(context: Context) -> dict[ChildKey, Manifest]:
    """Every child of which the content is known here, those of triggers excepted."""
    made = made_of(maker_inputs(context), of_triggers=False)
    return {key: noting_given_up(manifest, context.snapshot.children.get(key), context.given_up) for key, manifest in made.items()}


def made_of(inputs: Inputs, *, of_triggers: bool) -> dict[ChildKey, Manifest]:
    """The manifests of the kinds that are for triggers, or of the others."""
    return {
        key_of(manifest): manifest
        for entry in child_kinds.CHILD_KINDS
        if entry.make is not None and entry.of_triggers is of_triggers
        for manifest in entry.make(inputs)
    }


def child_problems(context: Context) -> Mapping[ChildKey, ChildProblem]:
    """What keeps the target's children from being made, another owner's Secret in the place of the App's keys included."""
    found = still_hindering(context, _digests(context)) if context.snapshot.problems else {}
    if context.snapshot.denied:
        found |= denied_problems(context, desired_children(context))
    found |= route_annotations.annotation_problems(context) | hostnames.claim_problems(context) | hostnames.gateway_problems(context)
    if access_keys.are_foreign(context):
        key = SECRET.key(context.app.meta.name)
        found[key] = ChildProblem(ProblemReason.TAKEN, f"Secret {key[1]} exists and is not this App's: rename or delete it")
    return found


def denied_problems(context: Context, desired: Iterable[ChildKey]) -> dict[ChildKey, ChildProblem]:
    """The problems of what is desired of kinds that the operator may not list. What is there of them stays as it is."""
    denied = context.snapshot.denied
    return {
        key: ChildProblem(ProblemReason.DENIED, f"{key[0]} {key[1]} is left alone: the operator cannot list this kind: {denied[key[0]]}")
        for key in desired
        if key[0] in denied
    }


def still_hindering(context: Context, digests: Mapping[ChildKey, str]) -> dict[ChildKey, ChildProblem]:
    """The observed problems of what is desired, by its digest: a child, or a manifest, that is no longer desired has none."""
    return {key: problem for key, problem in context.snapshot.problems.items() if key in digests and problem.is_of(digests[key])}


def digests_of(manifests: Iterable[Manifest]) -> dict[ChildKey, str]:
    return {key_of(manifest): manifest_digest(manifest) for manifest in manifests}


def _digests(context: Context) -> dict[ChildKey, str]:
    """What identifies each child that is desired; the keys' content is random and the flow's is named by its hash."""
    app, pinned = context.app, context.pinned
    found = digests_of(desired_children(context).values())
    if environment.needs_keys(context):
        found[SECRET.key(app.meta.name)] = ""
    if pinned is not None:
        found[CONFIG_MAP.key(app.meta.name, pinned.workflow_hash)] = pinned.workflow_hash
    return found
