"""Builds the manifests of an App's desired children, and lists what prevents any of them from being made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dynamiq_operator.desired import child_kinds
from dynamiq_operator.desired.base import CONFIG_MAP, SECRET, ChildKey, key_of
from dynamiq_operator.desired.drift import manifest_digest
from dynamiq_operator.desired.inputs import Inputs, scale_of
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.row import Autoscaling
from dynamiq_operator.plan.children import access_keys, hostnames, route_annotations, selection, turns
from dynamiq_operator.plan.children.given_up import noting_given_up
from dynamiq_operator.plan.children.workload_inputs import finishing_inputs, finishing_keys, workload_inputs
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.children import ObservedChildren
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason
from dynamiq_operator.plan.workloads import environment
from dynamiq_operator.plan.workloads.finishing import wanted_finishing
from dynamiq_operator.plan.workloads.verified import verifies
from dynamiq_operator.plan.workloads.wanted import conversion, needed_replicas, wanted_workloads


def desired_children(context: Context) -> dict[ChildKey, Manifest]:
    """Returns every child whose content is known here, except those of triggers."""
    made = made_of(_maker_inputs(context), of_triggers=False)
    return {key: noting_given_up(manifest, context.snapshot.children.observed.get(key), context.given_up) for key, manifest in made.items()}


def made_of(inputs: Inputs, *, of_triggers: bool) -> dict[ChildKey, Manifest]:
    """Returns the manifests of the kinds for triggers, or of the others."""
    return {
        key_of(manifest): manifest
        for entry in child_kinds.CHILD_KINDS
        if entry.make is not None and entry.of_triggers is of_triggers
        for manifest in entry.make(inputs)
    }


def _maker_inputs(context: Context) -> Inputs:
    """Returns the inputs of the target, or, without one, of an App that runs nothing; triggers are left out."""
    return Inputs(
        context.app,
        context.snapshot.settings,
        pinned=context.pinned,
        may_route=hostnames.may_route(context),
        kept_annotations=route_annotations.kept_annotations(context),
        workloads=(*(workload_inputs(context, each) for each in wanted_workloads(context)), *finishing_inputs(context)),
        selected=selection.selected_label(context),
        watches_endpoints=selection.watches_endpoints(context),
        scaled=selection.scaled_label(context),
        guarded=selection.guarded_label(context),
        scale=_scale(context),
        verifies=verifies(context),
        # Pods that end are still limited by the policy.
        turns=turns.labels(context),
        finishes=bool(wanted_finishing(context) or context.workloads.finishing or context.snapshot.pods.finishing),
    )


def _scale(context: Context) -> Autoscaling | None:
    """Returns the scaling of the row that serves.

    While a candidate's pods start beside it, the autoscaler of the serving workload keeps its limits. During a change of strategy the
    minimum is the number of pods that the new workload needs, so that the autoscaler removes none of these.
    """
    live = context.history.live
    serves_another = context.switches and context.serving not in (None, context.label)
    row = live if serves_another and live is not None else context.history.target
    if row is None or row.pinned is None:
        return None
    scale, other = scale_of(row.pinned), conversion(context)
    if other is None or other != selection.scaled_label(context):
        return scale
    return scale.model_copy(update={"min_replicas": needed_replicas(context)})


def child_problems(context: Context) -> Mapping[ChildKey, ChildProblem]:
    """Returns what prevents the target's children from being made, including another owner's Secret in place of the App's keys."""
    observed = context.snapshot.children
    problems = still_hindering(observed, _digests(context)) if observed.problems else {}
    if observed.denied:
        problems |= denied_problems(observed, desired_children(context))
    problems = {key: problem for key, problem in problems.items() if key not in finishing_keys(context)} if problems else problems
    problems |= route_annotations.annotation_problems(context) | hostnames.claim_problems(context) | hostnames.gateway_problems(context)
    if access_keys.are_foreign(context):
        key = SECRET.key(context.app.meta.name)
        problems[key] = ChildProblem(ProblemReason.TAKEN, f"Secret {key[1]} exists and is not this App's: rename or delete it")
    return problems


def denied_problems(children: ObservedChildren, desired: Iterable[ChildKey]) -> dict[ChildKey, ChildProblem]:
    """Returns the problems of desired children of kinds that the operator may not list. Existing ones stay unchanged."""
    denied = children.denied
    return {
        key: ChildProblem(ProblemReason.DENIED, f"{key[0]} {key[1]} is left alone: the operator cannot list this kind: {denied[key[0]]}")
        for key in desired
        if key[0] in denied
    }


def still_hindering(children: ObservedChildren, digests: Mapping[ChildKey, str]) -> dict[ChildKey, ChildProblem]:
    """Returns the observed problems of desired children with these digests. Other children and other manifests have none."""
    return {key: problem for key, problem in children.problems.items() if key in digests and problem.is_of(digests[key])}


def digests_of(manifests: Iterable[Manifest]) -> dict[ChildKey, str]:
    return {key_of(manifest): manifest_digest(manifest) for manifest in manifests}


def _digests(context: Context) -> dict[ChildKey, str]:
    """Returns the digest of each desired child.

    The keys have an empty one, since their content is random. The flow's is its hash.
    """
    app, pinned = context.app, context.pinned
    digests = digests_of(desired_children(context).values())
    if environment.needs_keys(context):
        digests[SECRET.key(app.meta.name)] = ""
    if pinned is not None:
        digests[CONFIG_MAP.key(app.meta.name, pinned.workflow_hash)] = pinned.workflow_hash
    return digests
