"""What travels from one place to another: the row that an App serves, and the release of its flow, which is found again by its hash."""

from __future__ import annotations

from dataclasses import dataclass

from dynamiq_operator.actions import guards, history
from dynamiq_operator.actions.deploy import Flow
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.actions.release import version_manifest
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, Record
from dynamiq_operator.model.record import Pinned


@dataclass(frozen=True)
class Served:
    """What an App serves: the live row with its pins, and the text of its flow."""

    app: App
    row: Record
    pinned: Pinned
    text: str

    @property
    def title(self) -> str:
        """As previews name it: `demo/support v2 (#12)`."""
        return f"{self.app.meta.namespace}/{self.app.meta.name} {self.pinned.workflow_version} (#{self.row.sequence})"


def served(api: Api, namespace: str, name: str) -> Served:
    """What the App serves. Raises Refusal where it serves nothing, or its flow cannot be read, and kube.errors.ApiError."""
    app = history.find_app(api, namespace, name)
    live = history.open_rows(api, namespace, name, app.meta.uid).live
    if live is None or live.pinned is None:
        raise Refusal(f"{name} serves nothing in namespace {namespace} yet: deploy it there first")
    text = history.flow_of(api, namespace, name, live.pinned)
    if text is None:
        raise Refusal(f"the flow of {name} {live.pinned.workflow_version} is in no ConfigMap and no WorkflowVersion that you may read")
    return Served(app, live, live.pinned, text)


def check_not_rejected_at_source(api: Api, found: Served, *, bypass: bool) -> None:
    """Raises Rejected where nobody is to deploy it any more, though it is live."""
    guards.check_not_rejected(api, found.app.meta.namespace, found.pinned, None, bypass=bypass)


def release_there(api: Api, namespace: str, found: Served, origin: str | None = None) -> tuple[Flow, Manifest | None]:
    """The release of this flow in a namespace, and the manifest of one where there is none: under its own name, else the next free one.

    `origin`: where it came from, which the one that is made notes.
    """
    pinned = found.pinned
    try:
        there = Flow.of(requests.get(api, VERSIONS, namespace, names.workflow_version(pinned.workflow, pinned.workflow_version)))
        if there.version.flow_hash == pinned.workflow_hash:
            return there, None
    except errors.NotFound:
        made = copied(namespace, found, pinned.workflow_version, origin)
        return Flow.of(made), made
    brought = requests.items(api, VERSIONS, namespace, label=f"{names.FLOW_LABEL}={names.flow_label(pinned.workflow_hash)}")
    for flow in map(Flow.of, brought):
        if (flow.version.workflow, flow.version.flow_hash) == (pinned.workflow, pinned.workflow_hash):
            return flow, None
    newest = history.releases(api, namespace, pinned.workflow)[-1].number
    made = copied(namespace, found, f"v{newest + 1}", origin)
    return Flow.of(made), made


def copied(namespace: str | None, found: Served, version: str, origin: str | None) -> Manifest:
    """The WorkflowVersion of the flow under this version; without `namespace` whoever applies it names that."""
    manifest = version_manifest(namespace or "", found.pinned.workflow, version, found.text, found.pinned.description)
    meta = {"name": manifest["metadata"]["name"], **({"namespace": namespace} if namespace else {})}
    meta["labels"] = {names.FLOW_LABEL: names.flow_label(found.pinned.workflow_hash)}
    if origin is not None:
        meta["annotations"] = {names.ORIGIN_ANNOTATION: f"{origin} {found.pinned.workflow_version}"}
    return {**manifest, "metadata": meta}
