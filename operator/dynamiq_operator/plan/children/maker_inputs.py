"""What the makers of an App's children are given, from what was observed of the App."""

from __future__ import annotations

from dynamiq_operator.desired import workload
from dynamiq_operator.desired.base import NETWORK_POLICY, key_of
from dynamiq_operator.desired.drift import drift
from dynamiq_operator.desired.inputs import Inputs, TemplateChoice
from dynamiq_operator.desired.network_policy import network_policy
from dynamiq_operator.plan.children import access_keys, hostnames, route_annotations, variables
from dynamiq_operator.plan.context import Context


def maker_inputs(context: Context) -> Inputs:
    """Those of the target, or, without one, of an App that runs nothing; triggers are left out."""
    return Inputs(
        context.app,
        context.settings,
        row=context.target.name if context.target is not None else "",
        pinned=context.pinned,
        may_route=hostnames.may_route(context),
        kept_annotations=route_annotations.kept_annotations(context),
        template_choice=_template_choice(context),
        workload=context.workload,
        key_note=access_keys.key_note(context),
    )


def awaits_policy(context: Context) -> bool:
    """Whether the NetworkPolicy that the App wants is not there as it should be: until it is, no pod may begin that relies on it.

    One that may not be listed any more is not known to be there, though it was seen.
    """
    wanted = network_policy(Inputs(context.app, context.settings))
    if wanted and NETWORK_POLICY.kind in context.snapshot.denied:
        return True
    observed = context.snapshot.children
    return any(key_of(each) not in observed or drift(each, observed[key_of(each)]) is not None for each in wanted)


def _template_choice(context: Context) -> TemplateChoice:
    """The pins' one, but for what its pods could not start without, or must not mount."""
    if not context.has_flow or access_keys.are_foreign(context) or access_keys.are_awaited(context) or awaits_policy(context):
        return TemplateChoice.OBSERVED
    if not variables.missing_variables(context):
        return TemplateChoice.PINNED
    if context.workload is None:
        return TemplateChoice.OBSERVED
    keeps_pins = context.pinned is not None and workload.has_pins(context.workload, context.pinned)
    return TemplateChoice.APPLIED if keeps_pins else TemplateChoice.PINNED
