"""Workflows and their drafts: what is made of them, and what is changed. A release is in `release`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.actions.refusals import NotNow, Taken, unknown_object
from dynamiq_operator.actions.rights import read_same
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import MERGE, METADATA_ONE, Api
from dynamiq_operator.kube.resources import WORKFLOWS
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import Manifest

TRIES = 8


@dataclass(frozen=True)
class WorkflowPlan:
    """A workflow that has not been made, with its first draft."""

    manifest: Manifest


@dataclass(frozen=True)
class DraftPlan:
    """The fields of a workflow's spec that would be written, and no others; None removes one. `uid`: of this workflow alone."""

    namespace: str
    workflow: str
    uid: str
    spec: Mapping[str, Any]


def plan_workflow(namespace: str, name: str, flow: str, *, description: str | None = None, layout: str | None = None) -> WorkflowPlan:
    """Sends no request. `layout`: JSON that editors keep beside the flow."""
    spec = {"description": description, "flow": flow, "flowUI": layout}
    manifest = {
        "apiVersion": API_VERSION,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {field: value for field, value in spec.items() if value is not None},
    }
    return WorkflowPlan(manifest)


def perform_workflow(api: Api, plan: WorkflowPlan) -> Manifest:
    """Raises Taken and kube.errors.ApiError."""
    try:
        return requests.create(api, WORKFLOWS, plan.manifest)
    except errors.AlreadyExists:
        name = plan.manifest["metadata"]["name"]
        raise Taken(f"the project has a workflow named {name} already: use another name", "name", "taken") from None


def plan_draft(namespace: str, workflow: str, uid: str, spec: Mapping[str, Any]) -> DraftPlan:
    """Sends no request."""
    return DraftPlan(namespace, workflow, uid, dict(spec))


def perform_draft(api: Api, plan: DraftPlan) -> Manifest:
    """Writes the fields. Raises Unknown where the workflow is gone or may not be seen, NotNow, and kube.errors.ApiError.

    Nothing that was read is written back, so nothing that others write meanwhile is lost; what is written is what was asked for whole,
    so it is tried again where the API server could not put it between the writes of others.
    """
    path = WORKFLOWS.path(plan.namespace, plan.workflow)
    patch = {"metadata": {"uid": plan.uid}, "spec": dict(plan.spec)}
    for _ in range(TRIES):
        try:
            return api.request("PATCH", path, body=patch, content_type=MERGE)
        except errors.NotFound:
            raise unknown_object("workflow", plan.uid) from None
        except errors.Conflict:
            # Others write, or another workflow has this name by now.
            read_same(api, "workflow", path, plan.uid, METADATA_ONE)
        except errors.Denied:
            read_same(api, "workflow", path, plan.uid, METADATA_ONE)
            raise
    raise NotNow("others change this workflow at this moment: try again")
