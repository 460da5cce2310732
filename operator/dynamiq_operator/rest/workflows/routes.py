"""Serves workflows: their drafts, which only one call changes, and their releases, which nothing changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query

from dynamiq_operator.actions.confirmed import check
from dynamiq_operator.actions.draft import perform_draft, perform_workflow, plan_draft, plan_workflow
from dynamiq_operator.actions.release import perform_release, plan_release
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import METADATA_ONE
from dynamiq_operator.kube.resources import NAMESPACES, VERSIONS, WORKFLOWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import ApiContext, ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import OF_A_WRITE, documented
from dynamiq_operator.rest.http.errors import hidden_as_unknown, invalid_field, unknown_id
from dynamiq_operator.rest.http.models import Id, Many, One
from dynamiq_operator.rest.http.pagination import PagingOf, newest
from dynamiq_operator.rest.http.raw_body import MembersOf
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.kube.visibility import may_read
from dynamiq_operator.rest.kube.workflow_table import list_workflows, read_workflow
from dynamiq_operator.rest.workflows import parse, responses
from dynamiq_operator.rest.workflows import versions as releases
from dynamiq_operator.rest.workflows.requests import Draft, NewVersion, NewWorkflow, WorkflowChange
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1/workflows", tags=["workflows"], route_class=StrictRoute)
WorkflowId = Annotated[Id, Path(description="The workflow's id: its metadata.uid.")]
DETAIL = One[responses.WorkflowDetail]


@router.get("", responses=documented(Many[responses.ListedWorkflow], 404, 422))
def every_workflow(
    context: ContextOf,
    session: SessionOf,
    paging: PagingOf,
    project_id: Annotated[Id | None, Query(description="Only workflows of this project.")] = None,
    with_newest_version: Annotated[bool, Query(description="True: adds the newest release of each.")] = False,
) -> Json:
    """Returns the workflows that the caller may list, without their flows."""
    namespace = context.find(NAMESPACES, project_id, "project_id").name if project_id is not None else ""
    try:
        workflows = list_workflows(session.api, namespace)
    except errors.Forbidden:
        if project_id is not None:
            raise unknown_id("project", project_id, "project_id") from None
        by_namespace = context.in_each_namespace(WORKFLOWS, lambda each: list_workflows(session.api, each))
        workflows = [workflow for listed in by_namespace.values() for workflow in listed]
    released = releases.newest_of(context, session, workflows) if with_newest_version else {}
    return paging.of(newest(workflows), lambda raw: responses.ListedWorkflow.of(raw, context, released.get(raw["metadata"]["uid"])))


@router.post("", status_code=201, responses=documented(DETAIL, *OF_A_WRITE, status=201, says="The workflow."))
def create_workflow(context: ContextOf, session: SessionOf, body: NewWorkflow, members: MembersOf) -> Json:
    """Creates a workflow with its first draft. Nothing is released."""
    project = context.find(NAMESPACES, body.project_id, "project_id")
    flow, layout = parse.flow_in(members), parse.flow_ui_in(members)
    try:
        made = perform_workflow(session.api, plan_workflow(project.name, body.name, flow, description=body.description, layout=layout))
    except errors.Denied as error:
        if error.status != 401 and not may_read(session.api, project.name):
            raise unknown_id("project", body.project_id, "project_id") from None
        raise
    context.index.of(WORKFLOWS).put(made)
    return _detail(context, made, 201)


@router.get("/{workflow_id}", responses=documented(DETAIL, 404, 422))
def workflow(context: ContextOf, session: SessionOf, workflow_id: WorkflowId) -> Json:
    """Returns the workflow with its draft: the flow as it was written."""
    return _detail(context, context.open(session, WORKFLOWS, workflow_id)[1])


@router.put("/{workflow_id}", responses=documented(DETAIL, *OF_A_WRITE))
def change_workflow(context: ContextOf, session: SessionOf, workflow_id: WorkflowId, body: WorkflowChange) -> Json:
    """Changes the description. A changed name is refused: versions and Apps know the workflow by it."""
    entry = context.find(WORKFLOWS, workflow_id)
    if body.name is not None and body.name != entry.name:
        context.read(session, WORKFLOWS, entry)
        raise invalid_field(
            "name",
            f"a workflow keeps its name, {entry.name}, since its versions and Apps name it. To rename it, create another with this flow",
        )
    if "description" not in body.model_fields_set:
        return _detail(context, context.read(session, WORKFLOWS, entry))
    return _detail(context, _write(session, entry, {"description": body.description}))


@router.post("/{workflow_id}/save", responses=documented(DETAIL, *OF_A_WRITE))
def save(context: ContextOf, session: SessionOf, workflow_id: WorkflowId, body: Draft, members: MembersOf) -> Json:
    """Replaces the draft, as the only call that changes it. It does not affect what runs."""
    entry = context.find(WORKFLOWS, workflow_id)
    spec = {"flow": parse.flow_in(members)}
    layout = {"flowUI": parse.flow_ui_in(members)} if "flow_ui" in body.model_fields_set else {}
    return _detail(context, _write(session, entry, {**spec, **layout}))


@router.post(
    "/{workflow_id}/release",
    status_code=201,
    responses=documented(One[responses.VersionResponse], *OF_A_WRITE, status=201, says="The new version."),
)
def release(context: ContextOf, session: SessionOf, workflow_id: WorkflowId, body: NewVersion, members: MembersOf) -> Json:
    """Releases the flow of the body, or the draft, as the next version, which never changes. The draft stays as it is."""
    entry = context.find(WORKFLOWS, workflow_id)
    parse.flow_ui_in(members)
    flow = parse.flow_in(members) if "flow" in members else None
    if flow is None and (body.confirmed is None or body.confirmed.draft is None):
        raise invalid_field("flow", "send a flow, or the object_version of the draft as `confirmed.draft`")
    draft = releases.released_flow(context, session, entry, flow)
    description = body.name or draft.description
    plan = plan_release(
        session.api, entry.namespace, entry.name, description=description, flow=draft.text, is_compared=False, force=body.force
    )
    if body.confirmed is not None:
        check(
            body.confirmed.model_dump(exclude_unset=True), {"draft": draft.object_version, "before": plan.before}, "what would be released"
        )
    made = perform_release(session.api, plan)
    context.index.of(VERSIONS).put(made)
    spec = made["spec"]
    summary = {"metadata": made["metadata"], "version": spec["version"], "description": spec.get("description")}
    return Json({"data": responses.VersionResponse.of(summary, entry.uid)}, 201)


@router.get("/{workflow_id}/versions", responses=documented(Many[responses.VersionResponse], 404, 422))
def versions(context: ContextOf, session: SessionOf, paging: PagingOf, workflow_id: WorkflowId) -> Json:
    """Returns every release of the workflow, newest first, without their flows; for each that was rejected, the reason."""
    entry = context.find(WORKFLOWS, workflow_id)
    with hidden_as_unknown("workflow", workflow_id):
        listed = releases.released(session.api, entry)
    rejected = releases.rejections_of(context, session, entry.namespace, paging.shown(listed))
    return paging.of(listed, lambda raw: responses.VersionResponse.of(raw, entry.uid, rejected.get(raw["metadata"]["uid"])))


@router.get("/{workflow_id}/versions/{version_id}/diff", responses=documented(One[responses.FlowDifference], 404, 422))
def difference(
    context: ContextOf,
    session: SessionOf,
    workflow_id: WorkflowId,
    version_id: Annotated[Id, Path(description="The version's id: its metadata.uid.")],
    other: Annotated[
        Id | Literal["draft"] | None,
        Query(
            alias="with",
            description="The version to compare from; `draft` compares from this version to the draft. Left out: the one before.",
        ),
    ] = None,
) -> Json:
    """Returns what changed in the flow from one release of the workflow to another, or to its draft."""
    # Before any release: if the caller may not see the workflow, nothing reveals if a release exists.
    workflow, _ = context.open(session, WORKFLOWS, workflow_id, METADATA_ONE)
    before: responses.FlowOf | None
    before = after = releases.one(context, session, workflow, version_id)
    if other == releases.DRAFT:
        after = releases.draft(context, session, workflow)
    elif other is not None:
        before = releases.one(context, session, workflow, other, "with")
    else:
        before = releases.before(context, session, workflow, after)
    return Json({"data": responses.FlowDifference.of(before, after, releases.rejected_flows(session, workflow.namespace))})


@router.get("/{workflow_id}/requirements", responses=documented(Many[responses.RequirementResponse], 404, 422))
def requirements(context: ContextOf, session: SessionOf, paging: PagingOf, workflow_id: WorkflowId) -> Json:
    """Returns what each caller of the workflow has to have: always nothing. Here the variables of an App hold its credentials."""
    entry = context.find(WORKFLOWS, workflow_id)
    with hidden_as_unknown("workflow", workflow_id):
        current = read_workflow(session.api, entry.namespace, entry.name)
    if current["metadata"]["uid"] != entry.uid:
        raise unknown_id("workflow", workflow_id)
    return paging.of((), str)


def _detail(context: ApiContext, raw: Manifest, status: int = 200) -> Json:
    return Json({"data": responses.WorkflowDetail.of(raw, context)}, status)


def _write(session: CallerSession, entry: Entry, spec: Mapping[str, Any]) -> Manifest:
    return perform_draft(session.api, plan_draft(entry.namespace, entry.name, entry.uid, spec))
