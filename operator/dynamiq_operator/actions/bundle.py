"""Plans a promotion to a cluster that cannot be reached from here: the objects for a file that `kubectl apply` takes there.

It compares nothing with the other cluster. A version there with the same name and another flow makes the row fail, by the hash that the row
names (`model.completion`). Missing objects make the row wait, and its status names them.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from dynamiq_operator.actions.deploy import DeployRequest, row_manifest
from dynamiq_operator.actions.promote import NeedsHostname, claim_of, first_app, values_taken
from dynamiq_operator.actions.refusals import Need
from dynamiq_operator.actions.travelling import Served, check_not_rejected_at_source, copied, served
from dynamiq_operator.kube.api import Api
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.children.variables import references


@dataclass(frozen=True)
class BundleRequest:
    """A promotion into a file. `cluster`: this cluster's name in the row. `target_namespace`: None if the person who applies it chooses.

    `with_app`: the file includes the App, with runtime and config, for a first promotion. `hostname`: of that App.
    `version`: another version name for the flow, if its own is taken in the target.
    """

    namespace: str
    app: str
    cluster: str
    target_namespace: str | None = None
    with_app: bool = False
    hostname: str | None = None
    version: str | None = None
    message: str | None = None
    bypass_reason: str | None = None


@dataclass(frozen=True)
class Bundle:
    """Objects in the order in which they are applied: the version, the App if it is included, and the row."""

    request: BundleRequest
    source: Served
    objects: tuple[Manifest, ...]

    @property
    def row(self) -> str:
        name: str = self.objects[-1]["metadata"]["name"]
        return name

    def apply(self, file: str) -> str:
        """Returns the command that applies the file."""
        # A client-side apply fails for a flow above 256 KiB.
        place = "" if self.request.target_namespace else " -n NAMESPACE"
        return f"kubectl apply --server-side{place} -f {shlex.quote(file)}"

    def lines(self, file: str) -> list[str]:
        """Describes the promotion in lines of text."""
        request = self.request
        target = request.target_namespace or "the namespace of whoever applies it"
        text = [f"promote {self.source.title} by {file}", f"  into     {target}"]
        text += [f"  {manifest['kind']} {manifest['metadata']['name']}" for manifest in self.objects]
        if not request.with_app:
            text.append("  runtime and config stay as they are live there; if there is no App yet, add --with-app")
        else:
            text += [f"  {each}" for each in _of_variables(self.source)]
        if request.bypass_reason is not None:
            text.append(f"  it bypasses the guards: {request.bypass_reason}")
        return [*text, f"  its source cannot be verified there: the row says so, and names cluster {request.cluster}"]

    def as_json(self, file: str) -> dict[str, object]:
        return {"file": file, "apply": self.apply(file), "objects": list(self.objects)}


def _of_variables(source: Served) -> Iterator[str]:
    """Yields sentences on the variables of an included App: its plain values are in the file; all else must exist in the target."""
    # The target cannot be read from here, so each need is listed, met or not.
    yield from values_taken(source.app)
    for reference in references(source.app):
        yield str(Need(*reference.of, "", reference.key, reference.variable, False))


def plan_bundle(api: Api, request: BundleRequest) -> Bundle:
    """Plans the contents of the file.

    Raises Refusal if the App serves nothing or its version is rejected, NeedsHostname, and kube.errors.ApiError.
    """
    source = served(api, request.namespace, request.app)
    check_not_rejected_at_source(api, source, bypass=request.bypass_reason is not None)
    if request.with_app and source.app.spec.hostname is not None and request.hostname is None:
        raise NeedsHostname(f"give a hostname: App {request.app} needs its own there", "hostname")
    version = request.version or source.pinned.workflow_version
    origin = f"cluster {request.cluster}, {request.namespace}/{request.app}"
    app = [first_app(source.app, request.target_namespace, request.hostname)] if request.with_app else []
    return Bundle(request, source, (copied(request.target_namespace, source, version, origin), *app, _row(request, source, version)))


def _row(request: BundleRequest, source: Served, version: str) -> Manifest:
    """Returns the row of the promotion."""
    deploy = DeployRequest(
        request.target_namespace or "",
        request.app,
        version=version,
        runtime=source.pinned.runtime.name if request.with_app else None,
        config=source.pinned.config.as_json() if request.with_app else None,
        message=request.message,
        promoted_from=claim_of(source, request.cluster),
        bypass_reason=request.bypass_reason,
    )
    # The file has the row's name: applying it twice makes one row, promoting twice makes two.
    row = row_manifest(deploy, name=names.confirmed_row(request.app, secrets.token_hex(4)))
    return row if request.target_namespace else {**row, "metadata": {"name": row["metadata"]["name"]}}
