"""Builds the inputs of the makers of an App's children from what was observed."""

from __future__ import annotations

from dynamiq_operator.desired.inputs import Inputs, scale_of
from dynamiq_operator.model.row import Autoscaling
from dynamiq_operator.plan.children import hostnames, route_annotations, selection
from dynamiq_operator.plan.children.workload_inputs import workload_inputs
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.workloads.verified import verifies
from dynamiq_operator.plan.workloads.wanted import conversion, needed_replicas, wanted_workloads


def maker_inputs(context: Context) -> Inputs:
    """Returns the inputs of the target, or, without one, of an App that runs nothing; triggers are left out."""
    return Inputs(
        context.app,
        context.snapshot.settings,
        pinned=context.pinned,
        may_route=hostnames.may_route(context),
        kept_annotations=route_annotations.kept_annotations(context),
        workloads=tuple(workload_inputs(context, each) for each in wanted_workloads(context)),
        selected=selection.selected_label(context),
        watches_endpoints=selection.watches_endpoints(context),
        scaled=selection.scaled_label(context),
        guarded=selection.guarded_label(context),
        scale=_scale(context),
        verifies=verifies(context),
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
