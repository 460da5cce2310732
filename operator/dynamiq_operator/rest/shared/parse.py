"""From the ids and the config of a body to what they name. What does not fit together is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import VERSIONS, WORKFLOWS
from dynamiq_operator.model.completion import Refused, complete_config
from dynamiq_operator.model.record import Config
from dynamiq_operator.model.runtime import PinnedRuntime
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.errors import invalid_field, unknown_id
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.id_index import Entry
from dynamiq_operator.rest.shared.requests import DeploymentConfig

KNATIVE = "/apis/serving.knative.dev"
_NO_RUNTIME = PinnedRuntime(name="none", version="0", image="none")


def workflow_of(context: ApiContext, namespace: str, workflow_id: str) -> Entry:
    """The workflow of an id, which must be of the namespace. Raises HttpProblem."""
    found = context.find(WORKFLOWS, workflow_id, "workflow_id")
    if found.namespace != namespace:
        # It may be one that the caller may not see.
        raise unknown_id("workflow", workflow_id, "workflow_id")
    return found


def version_of(context: ApiContext, workflow: Entry, version_id: str | None) -> str | None:
    """The version, such as `v3`, of an id, which must be of the workflow. Raises HttpProblem."""
    if version_id is None:
        return None
    found = context.find(VERSIONS, version_id, "workflow_version_id")
    named, _, version = found.name.rpartition("-")
    if found.namespace != workflow.namespace:
        raise unknown_id("workflow version", version_id, "workflow_version_id")
    if named != workflow.name:
        raise invalid_field("workflow_version_id", f"{found.name} is a version of workflow {named}, not of {workflow.name}")
    return version


def check_config(session: CallerSession, given: DeploymentConfig | None, live: Mapping[str, Any] | None) -> None:
    """Refuses a config that the operator would fail the row for. Raises HttpProblem and errors.ApiError."""
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
