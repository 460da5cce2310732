"""From the body of a deploy to what the action is asked for. Ids that do not fit together are refused before anything is written."""

from __future__ import annotations

from dynamiq_operator.actions.deploy import Deploy
from dynamiq_operator.kube.resources import RECORDS, RUNTIMES
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments.requests import NewDeployment
from dynamiq_operator.rest.http.errors import hidden_as_unknown, invalid_field, unknown_id
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.shared.parse import version_of, workflow_of


def deploy(context: ApiContext, session: CallerSession, app: Manifest, body: NewDeployment) -> Deploy:
    """What the body asks of an App. Raises HttpProblem and errors.ApiError."""
    namespace, name = app["metadata"]["namespace"], app["metadata"]["name"]
    workflow = workflow_of(context, namespace, body.workflow_id)
    if workflow.name != app["spec"]["workflow"]:
        raise invalid_field("workflow_id", f"this App runs workflow {app['spec']['workflow']}, not {workflow.name}")
    if body.restores is not None and body.workflow_version_id is not None:
        raise invalid_field("restores", "leave out workflow_version_id: restores takes the version of the deployment that it names")
    return Deploy(
        namespace,
        name,
        version=version_of(context, workflow, body.workflow_version_id),
        restores=_row_of(context, session, app, body.restores),
        runtime=context.find(RUNTIMES, body.runtime_id, "runtime_id").name if body.runtime_id else None,
        config=body.deployment_config.as_record() if body.deployment_config else None,
        message=body.message,
    )


def _row_of(context: ApiContext, session: CallerSession, app: Manifest, row_id: str | None) -> str | None:
    """The name of one of the App's rows. Raises HttpProblem."""
    if row_id is None:
        return None
    entry = context.index.find(RECORDS, row_id.lower())
    if entry is None or entry.namespace != app["metadata"]["namespace"]:
        raise unknown_id("deployment", row_id, "restores")
    with hidden_as_unknown("deployment", row_id):
        row = session.api.request("GET", RECORDS.path(entry.namespace, entry.name))
    if row["spec"]["app"] != app["metadata"]["name"]:
        raise invalid_field("restores", "this deployment is of another App")
    return entry.name
