"""From the body of a promotion to its target, its plan, and its row."""

from __future__ import annotations

from dataclasses import replace

from dynamiq_operator.actions import promote as promoting
from dynamiq_operator.actions.refusals import Taken
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import NAMESPACES, RECORDS
from dynamiq_operator.model.names import PROJECT_LABEL
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments.requests import Promotion
from dynamiq_operator.rest.http import idempotency
from dynamiq_operator.rest.http.errors import unknown_id
from dynamiq_operator.rest.http.idempotency import KeyedRequest
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.id_index import Entry
from dynamiq_operator.rest.kube.visibility import may_read

TRIES = 8


def target_of(context: ApiContext, session: CallerSession, app: Entry, body: Promotion) -> str:
    """The namespace to promote to: by id, else by the labels that the index knows, since few may list namespaces. Raises Refusal, HttpProblem.

    Of a project's namespaces, those that the caller may not read are none.
    """
    if body.project_id is not None:
        target = context.find(NAMESPACES, body.project_id, "project_id")
        if not may_read(session.api, target.name):
            raise unknown_id("project", body.project_id, "project_id")
        return target.name
    every = {each.name: each.labels for each in context.index.of(NAMESPACES).all()}
    own = every.get(app.namespace, {})
    project = own.get(PROJECT_LABEL)
    found = {
        name: labels
        for name, labels in every.items()
        if project and labels.get(PROJECT_LABEL) == project and (name == app.namespace or may_read(session.api, name))
    }
    return promoting.target_among(found, app.namespace, own, body.environment)


def promote(context: ApiContext, session: CallerSession, app: Entry, asked: Promotion, keyed: KeyedRequest | None) -> tuple[Manifest, bool]:
    """The row of the promotion, and whether it was made before under the same key. Raises HttpProblem, Refusal and errors.ApiError."""
    if keyed is None:
        return promoting.promote(session.api, plan(session, app, asked, target_of(context, session, app, asked))), False
    left = TRIES
    while True:
        # What it would be now, after the first, is not what it was: the row that is there is asked for before.
        if (found := idempotency.find_row(session, places_of(context, keyed, app.namespace), keyed)) is not None:
            return found, True
        target = target_of(context, session, app, asked)
        if (found := idempotency.find_row(session, [target], keyed)) is not None:
            return found, True
        planned = plan(session, app, asked, target)
        planned = replace(planned, preview=replace(planned.preview, record=keyed.marked(planned.preview.record)))
        try:
            return promoting.promote(session.api, planned), False
        except (errors.AlreadyExists, Taken):
            # The same request is carried out by another thread or replica at this moment.
            left -= 1
            if not left:
                raise


def places_of(context: ApiContext, keyed: KeyedRequest, namespace: str) -> set[str]:
    """Where a row of the key may be: where the index has one, and in the App's project, since another replica may have made it just now."""
    every = context.index.of(NAMESPACES).all()
    project = next((each.labels.get(PROJECT_LABEL) for each in every if each.name == namespace), None)
    known = {each.name for each in every if context.id_of(RECORDS, each.name, keyed.row) is not None}
    return known | {each.name for each in every if project and each.labels.get(PROJECT_LABEL) == project}


def plan(session: CallerSession, app: Entry, body: Promotion, target: str) -> promoting.Promotion:
    return promoting.plan_promotion(
        session.api,
        app.namespace,
        app.name,
        environment=body.environment,
        target_namespace=target,
        hostname=body.hostname,
        message=body.message,
    )
