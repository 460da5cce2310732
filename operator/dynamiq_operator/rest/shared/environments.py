"""The environments of a project, as the index knows them: whether the caller may see one is asked by whoever tells of it."""

from __future__ import annotations

from dynamiq_operator.actions.promote import PRODUCTION
from dynamiq_operator.kube.resources import NAMESPACES
from dynamiq_operator.model.names import ENVIRONMENT_LABEL, PROJECT_LABEL
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.kube.entries import Entry

MOST = 32
"""Environments of a project that one request asks about."""


def other_environments(context: ApiContext, namespace: str) -> list[Entry]:
    """The other namespaces of its project that are an environment: production first, then by environment and name, and the first `MOST`."""
    project = context.labels_of(namespace).get(PROJECT_LABEL)
    if not project:
        return []
    every = context.index.of(NAMESPACES).all()
    others = [each for each in every if each.name != namespace and each.labels.get(PROJECT_LABEL) == project]
    return sorted((each for each in others if each.labels.get(ENVIRONMENT_LABEL)), key=_order)[:MOST]


def _order(namespace: Entry) -> tuple[bool, str, str]:
    environment = namespace.labels[ENVIRONMENT_LABEL]
    return environment != PRODUCTION, environment, namespace.name
