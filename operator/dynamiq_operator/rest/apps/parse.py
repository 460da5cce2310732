"""Parses the body of a new App into the request of the action. It refuses ids that do not fit together before anything is created."""

from __future__ import annotations

from dynamiq_operator.actions.create_app import AppRequest
from dynamiq_operator.rest.apps.requests import NewApp
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.reads.body_ids import check_config, resolve


def app_request(context: ApiContext, session: CallerSession, project: Entry, body: NewApp) -> AppRequest:
    """Returns the request of the action. Raises HttpProblem and errors.ApiError."""
    resolved = resolve(context, session, project.name, body.workflow_id, body)
    check_config(body.deployment_config, None)
    return AppRequest(
        project.name,
        body.name,
        resolved.workflow,
        version=resolved.version,
        runtime=resolved.runtime,
        config=body.deployment_config.as_stored() if body.deployment_config else None,
        description=body.description,
        access=body.access_control.access_type if body.access_control else None,
        origins=tuple(body.access_control.origins) if body.access_control and body.access_control.origins else None,
    )
