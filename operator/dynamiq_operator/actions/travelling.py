"""Reads the live row of an App, and finds the release of its flow in another namespace, by its hash. It writes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from dynamiq_operator.actions import guards, reads, running
from dynamiq_operator.actions.reads import Flow
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.actions.release import version_manifest
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resource import VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, Row
from dynamiq_operator.model.row import Pinned


@dataclass(frozen=True)
class Served:
    """The live row of an App, with its pins and the text of its flow."""

    app: App
    row: Row
    pinned: Pinned
    text: str

    @property
    def title(self) -> str:
        """The name in previews: `demo/support v2 (#12)`."""
        return f"{self.app.meta.namespace}/{self.app.meta.name} {self.pinned.workflow_version} (#{self.row.sequence})"


def served(api: Api, namespace: str, name: str) -> Served:
    """Reads the live row of the App.

    Raises Refusal if it has none, or the flow cannot be read, and kube.errors.ApiError.
    """
    app, rows = reads.find_app_and_rows(api, namespace, name)
    live = rows.live
    if live is None or live.pinned is None:
        raise Refusal(f"{name} serves nothing in namespace {namespace} yet: deploy it there first")
    text = reads.flow_of(api, namespace, name, live.pinned)
    if text is None:
        raise Refusal(f"the flow of {name} {live.pinned.workflow_version} is in no ConfigMap and no WorkflowVersion that you may read")
    return Served(app, live, live.pinned, text)


def check_not_rejected_at_source(api: Api, source: Served, *, bypass: bool) -> None:
    """Raises Rejected if the live version is rejected in its own namespace, unless `bypass` is set."""
    if not bypass:
        namespace = source.app.meta.namespace
        guards.check_not_rejected(reads.rejections_in_force(api, namespace, source.pinned.workflow_hash), namespace, source.pinned)


def release_there(api: Api, namespace: str, source: Served, origin: str | None = None) -> tuple[Flow, Manifest | None]:
    """Returns the release of this flow in a namespace, and its manifest if it must be made.

    A new release has the flow's own version, or the next free one if that is taken. `origin`: the source that it notes.
    """
    pinned = source.pinned
    try:
        release = Flow.of(requests.read_object(api, VERSIONS, namespace, names.workflow_version(pinned.workflow, pinned.workflow_version)))
        if release.version.flow_hash == pinned.workflow_hash:
            return release, None
    except errors.NotFound:
        manifest = copied(namespace, source, pinned.workflow_version, origin)
        return Flow.of(manifest), manifest
    copies = requests.items(api, VERSIONS, namespace, label=f"{names.FLOW_LABEL}={names.flow_label(pinned.workflow_hash)}")
    for flow in map(Flow.of, copies):
        if (flow.version.workflow, flow.version.flow_hash) == (pinned.workflow, pinned.workflow_hash):
            return flow, None
    newest = running.releases(api, namespace, pinned.workflow)[-1].number
    manifest = copied(namespace, source, f"v{newest + 1}", origin)
    return Flow.of(manifest), manifest


def copied(namespace: str | None, source: Served, version: str, origin: str | None) -> Manifest:
    """Returns a WorkflowVersion with the flow under this version. Without `namespace` the person who applies it chooses one."""
    manifest = version_manifest(namespace or "", source.pinned.workflow, version, source.text, source.pinned.description)
    meta = {"name": manifest["metadata"]["name"], **({"namespace": namespace} if namespace else {})}
    meta["labels"] = {names.FLOW_LABEL: names.flow_label(source.pinned.workflow_hash)}
    if origin is not None:
        meta["annotations"] = {names.ORIGIN_ANNOTATION: f"{origin} {source.pinned.workflow_version}"}
    return {**manifest, "metadata": meta}
