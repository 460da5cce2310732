"""Parses the body of a deploy into the request of the action. It refuses ids that do not fit together before anything is written."""

from __future__ import annotations

from dynamiq_operator.actions import reads
from dynamiq_operator.actions.deploy import DeployRequest, no_sessions
from dynamiq_operator.actions.rollback import config_of
from dynamiq_operator.kube.resources import ROWS, RUNTIMES
from dynamiq_operator.model.completion import why_not_restorable
from dynamiq_operator.model.objects import Manifest, Row
from dynamiq_operator.model.ownership import may_be_of
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments.requests import NewDeployment
from dynamiq_operator.rest.http.errors import hidden_as_unknown, invalid_field, unknown_id
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.reads.body_ids import Named, resolve


def deploy_request(
    context: ApiContext, session: CallerSession, app: Manifest, body: NewDeployment, archived: Manifest | None = None
) -> DeployRequest:
    """Returns the deploy that the body describes. Raises HttpProblem and errors.ApiError.

    `archived`: the row that it restores, if only the archive has it.
    """
    if body.restores is not None and body.workflow_version_id is not None:
        raise invalid_field("restores", "leave out workflow_version_id: restores already selects the version")
    if body.with_config and body.restores is None:
        raise invalid_field("with_config", "add restores: the deployment whose scaling and resources are deployed")
    if body.with_config and body.deployment_config is not None:
        raise invalid_field("with_config", "leave out deployment_config: the config of the deployment in restores is deployed")
    namespace, name = app["metadata"]["namespace"], app["metadata"]["name"]
    if body.take_sessions and app["spec"].get("sessions") is None:
        raise invalid_field("take_sessions", no_sessions(name))
    if body.workflow_id is not None:
        resolved = resolve(context, session, namespace, body.workflow_id, body)
    elif body.restores is not None:
        runtime = context.find(RUNTIMES, body.runtime_id, "runtime_id").name if body.runtime_id is not None else None
        resolved = Named(app["spec"]["workflow"], None, runtime)
    else:
        raise invalid_field("workflow_id", "add the workflow of the App: it may be left out only with restores")
    if resolved.workflow != app["spec"]["workflow"]:
        raise invalid_field("workflow_id", f"this App runs workflow {app['spec']['workflow']}, not {resolved.workflow}")
    restored = _restored(context, session, app, body.restores, archived) if body.restores is not None else None
    config = body.deployment_config.as_stored() if body.deployment_config is not None else None
    return DeployRequest(
        namespace,
        name,
        version=resolved.version,
        restores=restored["metadata"]["name"] if restored is not None else None,
        runtime=resolved.runtime,
        config=config_of(restored) if restored is not None and body.with_config else config,
        message=body.message,
        hold=body.hold,
        bypass_reason=body.bypass_reason,
        take_sessions=body.take_sessions or None,
    )


def _restored(context: ApiContext, session: CallerSession, app: Manifest, row_id: str, archived: Manifest | None) -> Manifest:
    """Returns the row with this id, which must be one of the App's that went live. Raises HttpProblem."""
    row = archived if archived is not None else _in_cluster(context, session, app, row_id)
    if (why_not := why_not_restorable(reads.typed(Row, row))) is not None:
        raise invalid_field("restores", why_not)
    return row


def _in_cluster(context: ApiContext, session: CallerSession, app: Manifest, row_id: str) -> Manifest:
    entry = context.index.find(ROWS, row_id.lower())
    if entry is None or entry.namespace != app["metadata"]["namespace"]:
        raise unknown_id("deployment", row_id, "restores")
    with hidden_as_unknown("deployment", row_id):
        row: Manifest = session.api.request("GET", ROWS.path(entry.namespace, entry.name))
    if row["metadata"]["uid"] != entry.uid:
        raise unknown_id("deployment", row_id, "restores")
    if row["spec"]["app"] != app["metadata"]["name"] or not may_be_of(app["metadata"]["uid"], row):
        raise invalid_field("restores", "this deployment belongs to another App")
    return row
