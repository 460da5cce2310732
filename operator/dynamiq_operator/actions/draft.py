"""Creates workflows and changes their drafts. It releases nothing: `release` does."""

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
    """A workflow that has not been created, with its first draft."""

    manifest: Manifest


@dataclass(frozen=True)
class DraftPlan:
    """The fields of a workflow's spec to write; None removes one, and others stay. `uid`: another workflow under the name is left alone."""

    namespace: str
    workflow: str
    uid: str
    spec: Mapping[str, Any]


def plan_workflow(namespace: str, name: str, flow: str, *, description: str | None = None, layout: str | None = None) -> WorkflowPlan:
    """Plans a workflow without a request. `layout`: JSON that editors keep beside the flow."""
    spec = {"description": description, "flow": flow, "flowUI": layout}
    manifest = {
        "apiVersion": API_VERSION,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {field: value for field, value in spec.items() if value is not None},
    }
    return WorkflowPlan(manifest)


def perform_workflow(api: Api, plan: WorkflowPlan) -> Manifest:
    """Creates the workflow.

    Raises Taken and kube.errors.ApiError.
    """
    try:
        return requests.create(api, WORKFLOWS, plan.manifest)
    except errors.AlreadyExists:
        name = plan.manifest["metadata"]["name"]
        raise Taken(f"the project has a workflow named {name} already: use another name", "name", "taken") from None


def plan_draft(namespace: str, workflow: str, uid: str, spec: Mapping[str, Any]) -> DraftPlan:
    """Plans a change of the draft without a request."""
    return DraftPlan(namespace, workflow, uid, dict(spec))


def perform_draft(api: Api, plan: DraftPlan) -> Manifest:
    """Writes the fields.

    Raises Unknown if the workflow was deleted or may not be seen, NotNow, and kube.errors.ApiError.
    """
    path = WORKFLOWS.path(plan.namespace, plan.workflow)
    # No resourceVersion: the patch has only fields of the request, so it loses no writes of others and may be repeated.
    patch = {"metadata": {"uid": plan.uid}, "spec": dict(plan.spec)}
    for _ in range(TRIES):
        try:
            return api.request("PATCH", path, body=patch, content_type=MERGE)
        except errors.NotFound:
            raise unknown_object("workflow", plan.uid) from None
        except errors.Conflict:
            # Others wrote at this moment, or another workflow has this name now: then this raises Unknown.
            read_same(api, "workflow", path, plan.uid, METADATA_ONE)
        except errors.Denied:
            read_same(api, "workflow", path, plan.uid, METADATA_ONE)
            raise
    raise NotNow("somebody else is changing this workflow: try again")
