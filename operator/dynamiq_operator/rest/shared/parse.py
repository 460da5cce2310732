"""Resolves the ids of a body, and validates its config. What does not fit together is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import RUNTIMES, VERSIONS, WORKFLOWS
from dynamiq_operator.model.completion import Refused, complete_config
from dynamiq_operator.model.record import Config
from dynamiq_operator.model.runtime import PinnedRuntime
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.errors import invalid_field, unknown_id
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.shared.requests import DeploymentConfig

KNATIVE = "/apis/serving.knative.dev"
_NO_RUNTIME = PinnedRuntime(name="none", version="0", image="none")


class NamesWorkflow(Protocol):
    """A body that names a workflow, and may name a version of it and a Runtime, by their ids."""

    workflow_id: str
    workflow_version_id: str | None
    runtime_id: str | None


class Named(NamedTuple):
    """What the ids of a body name. `version` is one such as `v3`."""

    workflow: str
    version: str | None
    runtime: str | None


def resolve(context: ApiContext, session: CallerSession, namespace: str, body: NamesWorkflow) -> Named:
    """What a body names: a workflow of the namespace, and a version of that workflow. Raises HttpProblem."""
    found = context.find_all(
        session,
        workflow_id=(WORKFLOWS, body.workflow_id),
        workflow_version_id=(VERSIONS, body.workflow_version_id),
        runtime_id=(RUNTIMES, body.runtime_id),
    )
    workflow, version, runtime = found["workflow_id"], found.get("workflow_version_id"), found.get("runtime_id")
    if workflow.namespace != namespace:
        # The caller may not see it, so it is as unknown as an id of nothing.
        raise unknown_id("workflow", body.workflow_id, "workflow_id")
    if version is None:
        return Named(workflow.name, None, runtime.name if runtime else None)
    named, _, number = version.name.rpartition("-")
    if version.namespace != namespace:
        raise unknown_id("workflow version", body.workflow_version_id or "", "workflow_version_id")
    if named != workflow.name:
        raise invalid_field("workflow_version_id", f"{version.name} is a version of workflow {named}, not of {workflow.name}")
    return Named(workflow.name, number, runtime.name if runtime else None)


def check_config(session: CallerSession, given: DeploymentConfig | None, live: Mapping[str, Any] | None) -> None:
    """Raises HttpProblem 422 for a config with which the operator would fail the row, and errors.ApiError."""
    if given is None:
        return
    if given.deployment_type == "serverless":
        if given.config is not None and given.config.autoscaling is not None:
            raise invalid_field("deployment_config.config", "a serverless config is {}: leave out autoscaling")
        if _has_knative(session):
            raise invalid_field("deployment_config.deployment_type", "this version runs no serverless Apps on Knative: use server_based")
    found = complete_config(Config.model_validate(given.as_record()), Config.model_validate(live) if live else None, _NO_RUNTIME)
    if isinstance(found, Refused):
        raise invalid_field("deployment_config", _in_words_of_the_contract(found.message))


def _in_words_of_the_contract(message: str) -> str:
    for theirs, ours in (
        ("minReplicas", "min_replicas"),
        ("maxReplicas", "max_replicas"),
        ("type server", "deployment_type server_based"),
        ("what the row leaves out", "what is left out"),
    ):
        message = message.replace(theirs, ours)
    return message


def _has_knative(session: CallerSession) -> bool:
    try:
        session.api.request("GET", KNATIVE)
    except errors.NotFound:
        return False
    return True
