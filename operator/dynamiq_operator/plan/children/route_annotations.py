"""Lists the refused annotations of an App's Ingress, and those of them that an existing Ingress keeps.

A serving Ingress keeps its refused annotations. Without one that limits callers, anyone could call; and callers may rely on others. A new
Ingress gets none of them, and is not made with only a part of the annotations.
"""

from __future__ import annotations

from dynamiq_operator.desired import ingress_annotations
from dynamiq_operator.desired.base import INGRESS, ChildKey, is_ending, is_owned
from dynamiq_operator.desired.exposure import external_hostname
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason


def annotation_problems(context: Context) -> dict[ChildKey, ChildProblem]:
    """Returns why the App has no Ingress, or one without all of its annotations."""
    exposure = context.app.spec.exposure
    if exposure is None or context.app.spec.wants_gateway or external_hostname(context.app, context.snapshot.settings) is None:
        return {}
    wrong = ingress_annotations.refused(exposure, context.snapshot.settings)
    if not wrong:
        return {}
    named = "; ".join(f"annotation {name} is {why}" for name, why in sorted(wrong.items()))
    observed = context.snapshot.children.observed.get(INGRESS.key(context.app.meta.name))
    then = "its Ingress stays as it is" if observed is not None and is_owned(observed, context.app) else "no Ingress is made"
    message = f"{named}: remove it from spec.exposure.annotations, or allow it by the operator's --ingress-annotations; until then {then}"
    return {INGRESS.key(context.app.meta.name): ChildProblem(ProblemReason.ANNOTATION, message)}


def serving_ingress(context: Context) -> Manifest | None:
    """Returns the App's Ingress, as observed, if it has the desired class; else None."""
    # An annotation that one class allows is not carried over to another.
    ingress = context.snapshot.children.observed.get(INGRESS.key(context.app.meta.name))
    if ingress is None or not is_owned(ingress, context.app) or is_ending(ingress):
        return None
    exposure, ingress_class = context.app.spec.exposure, ingress["spec"].get("ingressClassName")
    desired_class = (exposure.class_name if exposure is not None else None) or context.snapshot.settings.ingress_class
    # The API server fills in the cluster's default class.
    filled_in = desired_class is None and ingress_class not in context.snapshot.settings.ingress_annotations
    return ingress if ingress_class == desired_class or filled_in else None


def kept_annotations(context: Context) -> dict[str, str]:
    """Returns the refused annotations that the App's Ingress already has with the values in the App."""
    exposure, ingress = context.app.spec.exposure, serving_ingress(context)
    if exposure is None or ingress is None:
        return {}
    observed = ingress["metadata"].get("annotations") or {}
    desired = exposure.annotations or {}
    refused = ingress_annotations.refused(exposure, context.snapshot.settings)
    return {name: desired[name] for name in refused if observed.get(name) == desired[name]}
