"""Promoting to a cluster that cannot be reached from here: what `kubectl apply` needs there, as objects to be written into a file.

Nothing is known of the other cluster, so nothing is compared with it. What has the version's name there and another flow makes the row end
Failed, by the hash that the row names (`model.completion`), and what is lacking makes it wait and say for what.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from dynamiq_operator.actions.deploy import DeployRequest, record_of
from dynamiq_operator.actions.promote import NeedsHostname, claim_of, first_app, values_taken
from dynamiq_operator.actions.refusals import Need
from dynamiq_operator.actions.travelling import Served, check_not_rejected_at_source, copied, served
from dynamiq_operator.kube.api import Api
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.children.variables import references


@dataclass(frozen=True)
class BundleRequest:
    """What is asked to be promoted. `cluster`: how the row names this one. `target_namespace`: left out, whoever applies it names that.

    `with_app`: the App goes along, for a first promotion, with runtime and config; `hostname`: of that App there. `version`: under which
    the flow goes, where its own is taken there.
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
    """Objects in the order in which they are applied: the version, the App where it goes along, and the row."""

    request: BundleRequest
    source: Served
    objects: tuple[Manifest, ...]

    @property
    def row(self) -> str:
        name: str = self.objects[-1]["metadata"]["name"]
        return name

    def apply(self, file: str) -> str:
        """The command that takes it. Above 256 KiB a flow passes a server-side apply alone."""
        place = "" if self.request.target_namespace else " -n NAMESPACE"
        return f"kubectl apply --server-side{place} -f {shlex.quote(file)}"

    def lines(self, file: str) -> list[str]:
        """The promotion as text."""
        asked = self.request
        there = asked.target_namespace or "the namespace of whoever applies it"
        said = [f"promote {self.source.title} by {file}", f"  into     {there}"]
        said += [f"  {made['kind']} {made['metadata']['name']}" for made in self.objects]
        if not asked.with_app:
            said.append("  runtime and config stay as they are live there; where there is no App yet, add --with-app")
        else:
            said += [f"  {each}" for each in _of_variables(self.source)]
        if asked.bypass_reason is not None:
            said.append(f"  it goes past the rules: {asked.bypass_reason}")
        return [*said, f"  nobody can verify there where this comes from: the row says so, and names cluster {asked.cluster}"]

    def as_json(self, file: str) -> dict[str, object]:
        return {"file": file, "apply": self.apply(file), "objects": list(self.objects)}


def _of_variables(source: Served) -> Iterator[str]:
    """What becomes of the variables of an App that goes along: plain values are in the file, and the rest has to be there, which nobody can see."""
    yield from values_taken(source.app)
    for each in references(source.app):
        yield str(Need(*each.of, "", each.key, each.variable, False))


def plan_bundle(api: Api, request: BundleRequest) -> Bundle:
    """What goes into the file. Raises Refusal where the App serves nothing, or its version is rejected, NeedsHostname, and kube.errors.ApiError."""
    source = served(api, request.namespace, request.app)
    check_not_rejected_at_source(api, source, bypass=request.bypass_reason is not None)
    if request.with_app and source.app.spec.hostname is not None and request.hostname is None:
        raise NeedsHostname(f"App {request.app} needs a hostname of its own there: give one", "hostname")
    version = request.version or source.pinned.workflow_version
    origin = f"cluster {request.cluster}, {request.namespace}/{request.app}"
    app = [first_app(source.app, request.target_namespace, request.hostname)] if request.with_app else []
    return Bundle(request, source, (copied(request.target_namespace, source, version, origin), *app, _row(request, source, version)))


def _row(request: BundleRequest, source: Served, version: str) -> Manifest:
    """The row, under a name of its own: applied twice it is one row, and promoted twice two."""
    asked = DeployRequest(
        request.target_namespace or "",
        request.app,
        version=version,
        runtime=source.pinned.runtime.name if request.with_app else None,
        config=source.pinned.config.as_json() if request.with_app else None,
        message=request.message,
        promoted_from=claim_of(source, request.cluster),
        bypass_reason=request.bypass_reason,
    )
    record = record_of(asked, names.confirmed_row(request.app, secrets.token_hex(4)))
    return record if request.target_namespace else {**record, "metadata": {"name": record["metadata"]["name"]}}
