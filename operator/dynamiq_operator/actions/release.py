"""Releases the draft of a workflow as its next version, which never changes. It deploys nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dynamiq_operator.actions import running
from dynamiq_operator.actions.refusals import BrokenFlow, NotNow, Unknown
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import VERSIONS, WORKFLOWS
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.flow_check import FlowCheck, check_flow
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.views.flow_diff import flow_diff

TRIES = 8


@dataclass(frozen=True)
class ReleasePlan:
    """A release that has not been made. `before`: the newest version so far. `manifest`: the WorkflowVersion to create.

    Without a comparison `flow_diff` is empty and `is_no_op` is False. `warnings`: possible mistakes in the flow.
    """

    namespace: str
    workflow: str
    version: str
    before: str | None
    flow_diff: tuple[str, ...]
    is_no_op: bool
    manifest: Manifest
    warnings: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Describes the release in lines of text. Lines of the diff begin with `+`, `-`, `@` or a space."""
        text = [f"{self.workflow} in {self.namespace}", f"  version  {self.before or '(none)'} → {self.version}"]
        if self.is_no_op:
            text.append(f"  nothing changed since {self.before}")
        return [*text, *(f"  {each}" for each in self.warnings)] + (["", *self.flow_diff] if self.flow_diff else [])


def plan_release(
    api: Api,
    namespace: str,
    workflow: str,
    *,
    description: str | None = None,
    flow: str | None = None,
    is_compared: bool = True,
    force: bool = False,
) -> ReleasePlan:
    """Plans the next version of a workflow, from its draft or `flow`. `is_compared`: adds a diff to the newest version, by another request.

    `force`: accepts a broken flow, whose errors become warnings. Raises Unknown, BrokenFlow and kube.errors.ApiError.
    """
    described = description
    if flow is None:
        draft = _draft(api, namespace, workflow)["spec"]
        flow = draft["flow"]
        description = draft.get("description") if description is None else description
    released = running.releases(api, namespace, workflow)
    version, newest = _next(released), released[-1] if released else None
    spec = requests.read_object(api, VERSIONS, namespace, newest.name)["spec"] if newest is not None and is_compared else {}
    before = spec.get("flow")
    # A version never changes its description, so an explicit new one needs a new version.
    is_no_op = before is not None and before == flow and described in (None, spec.get("description"))
    checked = check_flow(flow) if not is_no_op else FlowCheck()
    if checked.errors and not force:
        raise BrokenFlow(checked.in_words())
    return ReleasePlan(
        namespace=namespace,
        workflow=workflow,
        version=version,
        before=newest.version if newest is not None else None,
        flow_diff=flow_diff(before, flow, newest.version, version) if newest is not None else (),
        is_no_op=is_no_op,
        manifest=version_manifest(namespace, workflow, version, flow, description),
        warnings=(*checked.errors, *checked.warnings),
    )


def perform_release(api: Api, plan: ReleasePlan) -> Manifest:
    """Creates the version, under the next free number if its own was taken meanwhile.

    Raises NotNow and kube.errors.ApiError.
    """
    manifest, spec = plan.manifest, plan.manifest["spec"]
    for _ in range(TRIES):
        try:
            return requests.create(api, VERSIONS, manifest)
        except errors.AlreadyExists:
            version = _next(running.releases(api, plan.namespace, plan.workflow))
            manifest = version_manifest(plan.namespace, plan.workflow, version, spec["flow"], spec.get("description"))
    raise NotNow(f"somebody else is releasing {plan.workflow}: try again")


def version_manifest(namespace: str, workflow: str, version: str, flow: str, description: str | None) -> Manifest:
    """Returns the WorkflowVersion of a flow."""
    spec = {"workflow": workflow, "version": version, "flow": flow, **({"description": description} if description else {})}
    return {
        "apiVersion": API_VERSION,
        "kind": kinds.WORKFLOW_VERSION.kind,
        "metadata": {"name": names.workflow_version(workflow, version), "namespace": namespace},
        "spec": spec,
    }


def _next(released: Sequence[running.ReleasedVersion]) -> str:
    return f"v{released[-1].number + 1 if released else 1}"


def _draft(api: Api, namespace: str, workflow: str) -> Manifest:
    try:
        return requests.read_object(api, WORKFLOWS, namespace, workflow)
    except errors.NotFound:
        workflows = requests.list_names(api, WORKFLOWS, namespace)
        existing = f"workflows there: {', '.join(workflows)}" if workflows else "there are none: name another namespace with -n"
        raise Unknown(f"no Workflow {workflow} in namespace {namespace}; {existing}", "workflow") from None
