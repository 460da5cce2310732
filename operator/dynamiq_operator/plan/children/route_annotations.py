"""Annotations of an App's Ingress that are not passed on.

An Ingress that serves stays as it is, with what it has of them: taken off, one that limits who may call would let everybody in, and one
that a caller relies on would break it. None is added, and none is made anew with a part of what was asked.
"""

from __future__ import annotations

from dynamiq_operator.desired import ingress_annotations
from dynamiq_operator.desired.base import INGRESS, ChildKey, is_ending, is_owned
from dynamiq_operator.desired.exposure import external_hostname
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason


def annotation_problems(context: Context) -> dict[ChildKey, ChildProblem]:
    """Why the App has no Ingress, or one that is not all that it asks for."""
    exposure = context.app.spec.exposure
    if exposure is None or context.app.spec.wants_gateway or external_hostname(context.app, context.settings) is None:
        return {}
    wrong = ingress_annotations.refused(exposure, context.settings)
    if not wrong:
        return {}
    named = "; ".join(f"annotation {name} is {why}" for name, why in sorted(wrong.items()))
    observed = context.snapshot.children.get(INGRESS.key(context.app.meta.name))
    then = "its Ingress stays as it is" if observed is not None and is_owned(observed, context.app) else "no Ingress is made"
    said = (
        f"{named}: remove it from spec.exposure.annotations, or have it allowed by the operator's --ingress-annotations; until then {then}"
    )
    return {INGRESS.key(context.app.meta.name): ChildProblem(ProblemReason.ANNOTATION, said)}


def serving_ingress(context: Context) -> Manifest | None:
    """The App's Ingress, as observed, where it is of the class that is asked for: what another class allows is taken to no other."""
    found = context.snapshot.children.get(INGRESS.key(context.app.meta.name))
    if found is None or not is_owned(found, context.app) or is_ending(found):
        return None
    exposure, has = context.app.spec.exposure, found["spec"].get("ingressClassName")
    wanted = (exposure.class_name if exposure is not None else None) or context.settings.ingress_class
    filled_in = wanted is None and has not in context.settings.ingress_annotations  # by the API server, with the cluster's default
    return found if has == wanted or filled_in else None


def kept_annotations(context: Context) -> dict[str, str]:
    """What the App's Ingress has of the annotations that are refused, as the App asks for them."""
    exposure, ingress = context.app.spec.exposure, serving_ingress(context)
    if exposure is None or ingress is None:
        return {}
    has = ingress["metadata"].get("annotations") or {}
    asked = exposure.annotations or {}
    return {name: asked[name] for name in ingress_annotations.refused(exposure, context.settings) if has.get(name) == asked[name]}
