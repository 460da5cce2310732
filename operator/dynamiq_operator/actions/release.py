"""Releasing: the draft of a workflow as it is now becomes its next version, which never changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dynamiq_operator.actions import history
from dynamiq_operator.actions.refusals import Refusal, Unknown
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import VERSIONS, WORKFLOWS
from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.views.preview import flow_diff

TRIES = 8


@dataclass(frozen=True)
class Release:
    """A release that has not been made. `before`: the newest version there is; `record` is what would be created."""

    namespace: str
    workflow: str
    version: str
    before: str | None
    flow_diff: tuple[str, ...]
    is_no_op: bool
    manifest: Manifest

    def lines(self) -> list[str]:
        """The release as text; lines of the diff begin with `+`, `-`, `@` or a space."""
        said = [f"{self.workflow} in {self.namespace}", f"  version  {self.before or '(none)'} → {self.version}"]
        if self.is_no_op:
            said.append(f"  nothing changed since {self.before}")
        return said + (["", *self.flow_diff] if self.flow_diff else [])


def plan_release(api: Api, namespace: str, workflow: str, *, description: str | None = None, flow: str | None = None) -> Release:
    """The next version of a workflow: of its draft, or of `flow`. Raises Unknown and kube.errors.ApiError."""
    if flow is None or description is None:
        draft = _draft(api, namespace, workflow)["spec"]
        flow = draft["flow"] if flow is None else flow
        description = draft.get("description") if description is None else description
    released = history.releases(api, namespace, workflow)
    before = requests.get(api, VERSIONS, namespace, released[-1].name)["spec"] if released else None
    version = _next(released)
    return Release(
        namespace=namespace,
        workflow=workflow,
        version=version,
        before=before["version"] if before else None,
        flow_diff=flow_diff(before["flow"], flow, before["version"], version) if before else (),
        is_no_op=before is not None and before["flow"] == flow,
        manifest=version_manifest(namespace, workflow, version, flow, description),
    )


def release(api: Api, planned: Release) -> Manifest:
    """Makes the release; where somebody took its number meanwhile, it gets the next. Raises Refusal and kube.errors.ApiError."""
    return _made(api, planned.manifest)


def release_flow(api: Api, namespace: str, workflow: str, flow: str, description: str | None) -> Manifest:
    """Releases a flow as the next version, without a look at what it changes. Raises as `release` does."""
    version = _next(history.releases(api, namespace, workflow))
    return _made(api, version_manifest(namespace, workflow, version, flow, description))


def version_manifest(namespace: str, workflow: str, version: str, flow: str, description: str | None) -> Manifest:
    """The WorkflowVersion of a flow."""
    spec = {"workflow": workflow, "version": version, "flow": flow, **({"description": description} if description else {})}
    return {
        "apiVersion": API_VERSION,
        "kind": kinds.WORKFLOW_VERSION.kind,
        "metadata": {"name": f"{workflow}-{version}", "namespace": namespace},
        "spec": spec,
    }


def _made(api: Api, manifest: Manifest) -> Manifest:
    for _ in range(TRIES):
        try:
            return requests.create(api, VERSIONS, manifest)
        except errors.AlreadyExists:
            namespace, spec = manifest["metadata"]["namespace"], manifest["spec"]
            version = _next(history.releases(api, namespace, spec["workflow"]))
            manifest = version_manifest(namespace, spec["workflow"], version, spec["flow"], spec.get("description"))
    raise Refusal(f"others release {manifest['spec']['workflow']} at this moment: try again")


def _next(released: Sequence[history.Release]) -> str:
    return f"v{released[-1].number + 1 if released else 1}"


def _draft(api: Api, namespace: str, workflow: str) -> Manifest:
    try:
        return requests.get(api, WORKFLOWS, namespace, workflow)
    except errors.NotFound:
        found = requests.names_of(api, WORKFLOWS, namespace)
        there = f"workflows there: {', '.join(found)}" if found else "there is none at all: name another with -n"
        raise Unknown(f"no Workflow {workflow} in namespace {namespace}; {there}", "workflow") from None
