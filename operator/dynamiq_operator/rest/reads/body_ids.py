"""Resolves the ids of a body, and validates its config. It refuses what does not fit together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from dynamiq_operator.kube.resources import RUNTIMES, VERSIONS, WORKFLOWS
from dynamiq_operator.model.completion import Refused, complete_config
from dynamiq_operator.model.row import Config
from dynamiq_operator.model.runtime import PinnedRuntime
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.errors import invalid_field, unknown_id
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.parts.config_fields import SCALING, SERVERLESS_CONFIG
from dynamiq_operator.rest.parts.requests import DeploymentConfig

_NO_RUNTIME = PinnedRuntime(name="none", version="0", image="none")


class NamesVersion(Protocol):
    """A body that may name a version and a Runtime, by their ids."""

    workflow_version_id: str | None
    runtime_id: str | None


class Named(NamedTuple):
    """The objects that the ids of a body name. `version` is one such as `v3`."""

    workflow: str
    version: str | None
    runtime: str | None


def resolve(context: ApiContext, session: CallerSession, namespace: str, workflow_id: str, body: NamesVersion) -> Named:
    """Returns what these ids of a body name: a workflow of the namespace, and a version of that workflow. Raises HttpProblem."""
    entries = context.find_all(
        session,
        workflow_id=(WORKFLOWS, workflow_id),
        workflow_version_id=(VERSIONS, body.workflow_version_id),
        runtime_id=(RUNTIMES, body.runtime_id),
    )
    workflow, version, runtime = entries["workflow_id"], entries.get("workflow_version_id"), entries.get("runtime_id")
    if workflow.namespace != namespace:
        # The caller may not see it, so it is as unknown as an id that does not exist.
        raise unknown_id("workflow", workflow_id, "workflow_id")
    if version is None:
        return Named(workflow.name, None, runtime.name if runtime else None)
    owner, _, number = version.name.rpartition("-")
    if version.namespace != namespace:
        raise unknown_id("workflow version", body.workflow_version_id or "", "workflow_version_id")
    if owner != workflow.name:
        raise invalid_field("workflow_version_id", f"{version.name} is a version of workflow {owner}, not of {workflow.name}")
    return Named(workflow.name, number, runtime.name if runtime else None)


def check_config(requested: DeploymentConfig | None, live: Mapping[str, Any] | None) -> None:
    """Raises HttpProblem 422 for a config with which the operator would fail the row, whatever the cluster has."""
    if requested is None:
        return
    for field in requested.foreign():
        raise invalid_field(f"deployment_config.config.{field}", f"a config of {requested.deployment_type} has no {field}: leave it out")
    completed = complete_config(Config.model_validate(requested.as_stored()), Config.model_validate(live) if live else None, _NO_RUNTIME)
    if isinstance(completed, Refused):
        raise invalid_field("deployment_config", _in_words_of_the_contract(completed.message))


def _in_words_of_the_contract(message: str) -> str:
    for ours, theirs in (
        *SCALING,
        *SERVERLESS_CONFIG,
        ("deployment_type serverless", "type serverless"),
        ("deployment_type server_based", "type server"),
        ("what is left out", "what the row leaves out"),
    ):
        message = re.sub(rf"(?<!_)\b{theirs}\b", ours, message)
    return message
