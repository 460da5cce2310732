"""Decides which namespaces a DeployPolicy selects, by their names and labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dynamiq_operator.model.network import Operator
from dynamiq_operator.model.policy import NAME_OF_NAMESPACE, LabelRequirement, NamespaceSelector


def selects(selector: NamespaceSelector, namespace: str, labels: Mapping[str, str] | None) -> bool | None:
    """Returns True if a namespace is selected; None if that depends on labels, and `labels` is None because they are unknown.

    The name counts as the label `kubernetes.io/metadata.name`, whatever `labels` contains.
    """
    known = {**(labels or {}), NAME_OF_NAMESPACE: namespace}
    met = [
        None if each.key != NAME_OF_NAMESPACE and labels is None else _is_met(each, known.get(each.key)) for each in _requirements(selector)
    ]
    return False if False in met else None if None in met else True


def _requirements(selector: NamespaceSelector) -> Iterator[LabelRequirement]:
    for key, value in (selector.match_labels or {}).items():
        yield LabelRequirement(key=key, operator=Operator.IN, values=(value,))
    yield from selector.match_expressions


def _is_met(requirement: LabelRequirement, value: str | None) -> bool:
    """Evaluates one requirement like Kubernetes: NotIn holds for a missing label."""
    match requirement.operator:
        case Operator.IN:
            return value in requirement.values
        case Operator.NOT_IN:
            return value not in requirement.values
        case Operator.EXISTS:
            return value is not None
        case Operator.DOES_NOT_EXIST:
            return value is None
