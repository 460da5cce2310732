"""Finds the environments of a project in the index. It does not check if the caller may see them."""

from __future__ import annotations

from dynamiq_operator.actions.promote import PRODUCTION
from dynamiq_operator.kube.resources import NAMESPACES
from dynamiq_operator.model.names import ENVIRONMENT_LABEL, PROJECT_LABEL
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.kube.entries import Entry

MOST = 32
"""Environments of a project that one request reads, at most."""


def other_environments(context: ApiContext, namespace: str) -> list[Entry]:
    """Returns the other environments of the namespace's project: production first, then by environment and name, at most `MOST`."""
    project = context.labels_of(namespace).get(PROJECT_LABEL)
    if not project:
        return []
    namespaces = context.index.of(NAMESPACES).all()
    others = [each for each in namespaces if each.name != namespace and each.labels.get(PROJECT_LABEL) == project]
    return sorted((each for each in others if each.labels.get(ENVIRONMENT_LABEL)), key=_order)[:MOST]


def _order(namespace: Entry) -> tuple[bool, str, str]:
    environment = namespace.labels[ENVIRONMENT_LABEL]
    return environment != PRODUCTION, environment, namespace.name
