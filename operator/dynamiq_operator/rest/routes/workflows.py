"""Workflows: their drafts, which one call alone changes, and their releases, which nothing changes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from dynamiq_operator.actions import release as releasing
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import NAMESPACES, VERSIONS, WORKFLOWS
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest import answers, drafts, problems, projects, shapes, workflow_answers
from dynamiq_operator.rest.documented import answers as documented
from dynamiq_operator.rest.identity import Session
from dynamiq_operator.rest.pages import PagingOf, newest
from dynamiq_operator.rest.problems import Json, Problem
from dynamiq_operator.rest.service import Service, ServiceOf, SessionOf
from dynamiq_operator.rest.workflow_bodies import Draft, NewVersion, NewWorkflow, WorkflowChange
from dynamiq_operator.rest.written import WrittenOf

router = APIRouter(prefix="/v1/workflows", tags=["workflows"])
WorkflowId = Annotated[answers.Id, Path(description="The workflow's id: its metadata.uid.")]
DETAIL = answers.One[workflow_answers.WorkflowDetail]
BODY = (404, 409, 413, 415, 422)


@router.get("", responses=documented(answers.Many[workflow_answers.Workflow], 404, 422))
def every_workflow(
    service: ServiceOf,
    session: SessionOf,
    paging: PagingOf,
    project_id: Annotated[answers.Id | None, Query(description="Workflows of this project alone.")] = None,
) -> Json:
    """The workflows that the caller may list, without their flows."""
    namespace = service.find(NAMESPACES, project_id).name if project_id is not None else ""
    try:
        found = projects.described(session.api, namespace)
    except errors.Denied as error:
        if error.status == 401:
            raise
        if project_id is not None:
            raise problems.unknown("project", project_id) from None
        found = _of_each_namespace(service, session)
    return paging.of(newest(found), lambda raw: shapes.workflow(raw, service))


@router.post("", status_code=201, responses=documented(DETAIL, *BODY, status=201, says="The workflow."))
def create_workflow(service: ServiceOf, session: SessionOf, body: NewWorkflow, written: WrittenOf) -> Json:
    """Creates a workflow with its first draft. Nothing is released."""
    project = service.find(NAMESPACES, body.project_id, "project_id")
    spec = {"description": body.description, "flow": drafts.flow_of(written), "flowUI": drafts.flow_ui_of(written)}
    manifest = {
        "apiVersion": API_VERSION,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": body.name, "namespace": project.name},
        "spec": {name: value for name, value in spec.items() if value is not None},
    }
    try:
        made = requests.create(session.api, WORKFLOWS, manifest)
    except errors.AlreadyExists:
        raise Problem(409, f"the project has a workflow named {body.name} already: use another name", {"name": "taken"}) from None
    except errors.Denied as error:
        if error.status != 401 and not projects.may_read(session, project.name):
            raise problems.unknown("project", body.project_id, "project_id") from None
        raise
    service.index.of(WORKFLOWS).put(made)
    return drafts.told(service, made, 201)


@router.get("/{workflow_id}", responses=documented(DETAIL, 404, 422))
def workflow(service: ServiceOf, session: SessionOf, workflow_id: WorkflowId) -> Json:
    """The workflow with its draft: the flow as it was written."""
    return drafts.told(service, service.read(session, WORKFLOWS, service.find(WORKFLOWS, workflow_id)))


@router.put("/{workflow_id}", responses=documented(DETAIL, *BODY))
def change_workflow(service: ServiceOf, session: SessionOf, workflow_id: WorkflowId, body: WorkflowChange) -> Json:
    """Changes the description. A changed name is refused: versions and Apps know the workflow by it."""
    entry = service.find(WORKFLOWS, workflow_id)
    if body.name is not None and body.name != entry.name:
        service.read(session, WORKFLOWS, entry)
        raise problems.invalid(
            "name", f"a workflow keeps its name, {entry.name}: its versions and Apps name it. To rename, create another with this flow"
        )
    if "description" not in body.model_fields_set:
        return drafts.told(service, service.read(session, WORKFLOWS, entry))
    return drafts.told(service, drafts.change(service, session, entry, {"description": body.description}))


@router.post("/{workflow_id}/save", responses=documented(DETAIL, *BODY))
def save(service: ServiceOf, session: SessionOf, workflow_id: WorkflowId, body: Draft, written: WrittenOf) -> Json:
    """Replaces the draft: the only call that changes it. What runs is not touched."""
    entry = service.find(WORKFLOWS, workflow_id)
    spec = {"flow": drafts.flow_of(written)}
    layout = {"flowUI": drafts.flow_ui_of(written)} if "flow_ui" in body.model_fields_set else {}
    return drafts.told(service, drafts.change(service, session, entry, {**spec, **layout}))


@router.post(
    "/{workflow_id}/release",
    status_code=201,
    responses=documented(answers.One[workflow_answers.Version], *BODY, status=201, says="The new version."),
)
def release(service: ServiceOf, session: SessionOf, workflow_id: WorkflowId, body: NewVersion, written: WrittenOf) -> Json:
    """Releases the flow of the body as the next version, which never changes. The draft stays as it is."""
    entry = service.find(WORKFLOWS, workflow_id)
    with problems.hidden("workflow", workflow_id):
        draft = projects.described_one(session.api, entry.namespace, entry.name)
    if draft["metadata"]["uid"] != entry.uid:
        raise problems.unknown("workflow", workflow_id)
    flow = drafts.flow_of(written)
    drafts.flow_ui_of(written)
    try:
        made = releasing.release_flow(session.api, entry.namespace, entry.name, flow, body.name or draft["description"])
    except Refusal as error:
        raise Problem(409, str(error)) from None
    service.index.of(VERSIONS).put(made)
    spec = made["spec"]
    told = {"metadata": made["metadata"], "version": spec["version"], "description": spec.get("description")}
    return Json({"data": shapes.version(told, entry.uid)}, 201)


@router.get("/{workflow_id}/versions", responses=documented(answers.Many[workflow_answers.Version], 404, 422))
def versions(service: ServiceOf, session: SessionOf, paging: PagingOf, workflow_id: WorkflowId) -> Json:
    """Every release of the workflow, newest first, without their flows."""
    entry = service.find(WORKFLOWS, workflow_id)
    with problems.hidden("workflow", workflow_id):
        found = drafts.versions(session.api, entry)
    return paging.of(found, lambda raw: shapes.version(raw, entry.uid))


def _of_each_namespace(service: Service, session: Session) -> list[Manifest]:
    """The workflows of every namespace in which the caller may list them."""
    there = sorted({entry.namespace for entry in service.index.of(WORKFLOWS).all()})
    listed = service.each(lambda namespace: projects.allowed(lambda: projects.described(session.api, namespace)), there)
    return [each for some in listed for each in some]
