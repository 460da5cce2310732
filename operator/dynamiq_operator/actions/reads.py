"""Reads what actions plan from: an App, its rows, releases, flows, Rejections, and all that one deploy needs. It decides nothing.

A missing one raises Unknown, whose message lists those that exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from dynamiq_operator.actions.refusals import NotNow, Unknown
from dynamiq_operator.actions.running import (
    ReleasedVersion,
    app_manifest,
    find,
    flow_text,
    listed,
    releases,
    rows,
    some_of,
    undecided,
    workloads_of,
)
from dynamiq_operator.actions.workloads import AppWorkloads
from dynamiq_operator.desired.applied import with_access_of
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resource import REJECTIONS, ROWS, RUNTIMES, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.objects import App, Manifest, Readable, Row, Runtime, Unreadable, Version, read
from dynamiq_operator.model.ownership import only_of
from dynamiq_operator.model.row import Pinned, RowSpec, Source
from dynamiq_operator.model.runtime import PinnedRuntime
from dynamiq_operator.model.text import plugin_command
from dynamiq_operator.plan.guards.kinds import is_automation
from dynamiq_operator.plan.history.lifecycle import RowHistory
from dynamiq_operator.views.waiting import is_waiting

NEWEST = "(the newest)"
UNREAD_IMAGE = "(unknown)@sha256:"
"""Placeholder for the image of a Runtime that the caller may not read."""
T = TypeVar("T", bound=Readable)


@dataclass(frozen=True)
class Flow:
    """A release with the text of its flow. It may be missing in the App's namespace."""

    version: Version
    text: str

    @classmethod
    def of(cls, raw: Manifest) -> Flow:
        spec = raw["spec"]
        version = Version(raw["metadata"]["name"], spec["workflow"], spec["version"], spec.get("description"), flow_hash(spec["flow"]))
        return cls(version, spec["flow"])


@dataclass(frozen=True)
class DeployInputs:
    """The objects that a deploy is completed from. `restored`: the row that it deploys again. `version`: its release, if it restores none.

    - `text`: its flow; None if that cannot be read.
    - `runtimes`: those to choose from. `is_runtime_unread`: the only one is a placeholder for one that the caller may not read.
    """

    restored: Row | None
    version: Version | None
    text: str | None
    runtimes: Mapping[str, Runtime]
    is_runtime_unread: bool


@dataclass(frozen=True)
class Surroundings:
    """The state that a completed row meets. `app`: may not be created yet. `rows`: the App's live and undecided rows.

    - `live_text`: the live row's flow; None if it cannot be read.
    - `restarts`: the row needs other pods than the running row. `workloads`: then, for strategy Switch; None if they may not be read.
    - `begins_hold`: changes from Git are on hold after the row.
    - `rejections`: those in force of its flow; None if they may not be read.
    """

    app: App
    rows: RowHistory
    live_text: str | None
    restarts: bool
    workloads: AppWorkloads | None
    begins_hold: bool
    rejections: Sequence[Manifest] | None


def read_inputs(api: Api, app: App, rows: RowHistory, spec: RowSpec, arriving: Flow | None = None) -> DeployInputs:
    """Reads what a row of this spec is completed from. `arriving`: a release that its namespace lacks.

    Raises Unknown, NotNow and kube.errors.ApiError.
    """
    namespace, name = app.meta.namespace, app.meta.name
    restored = typed(Row, find_row(api, namespace, name, app.meta.uid, spec.restores)) if spec.restores is not None else None
    release = arriving or (release_of(api, namespace, app.spec.workflow, spec.workflow_version) if restored is None else None)
    pinned = restored.pinned if restored is not None else None
    kept = restored or rows.live
    runtimes, is_unread = _runtimes(api, spec.runtime, kept.pinned.runtime if kept is not None and kept.pinned is not None else None)
    text = release.text if release is not None else flow_of(api, namespace, name, pinned) if pinned is not None else None
    return DeployInputs(restored, release.version if release is not None else None, text, runtimes, is_unread)


def read_surroundings(
    api: Api, app: App, rows: RowHistory, then: Pinned, text: str | None, *, restarts: bool, may_hold: bool, may_be_rejected: bool
) -> Surroundings:
    """Reads what a row with these pins meets. `text`: its flow. `may_hold`: it begins a hold if Git deploys the App, too.

    `may_be_rejected`: False to read no Rejections.

    Raises kube.errors.ApiError.
    """
    namespace, name = app.meta.namespace, app.meta.name
    live = rows.live.pinned if rows.live is not None else None
    return Surroundings(
        app,
        rows,
        flow_of(api, namespace, name, live) if live is not None and live.workflow_hash != then.workflow_hash else text,
        restarts,
        workloads_of(api, namespace, name, app.meta.uid) if restarts and app.spec.rollout.switches else None,
        may_hold and _deploys_from_git(api, app),
        rejections_in_force(api, namespace, then.workflow_hash) if may_be_rejected else (),
    )


def typed(kind: type[T], raw: Manifest) -> T:
    """Parses the object by its model.

    Raises NotNow if this version cannot read it.
    """
    if isinstance(parsed := read(kind, raw), Unreadable):
        raise NotNow(f"{parsed.message}. Upgrade, or fix the object")
    return parsed


def _readable(kind: type[T], raws: Iterable[Manifest]) -> Iterator[T]:
    for raw in raws:
        with suppress(NotNow):
            yield typed(kind, raw)


def find_app(api: Api, namespace: str, name: str) -> App:
    """Returns the App.

    Raises Unknown, whose message lists the Apps of the namespace, NotNow if this version cannot read it, and kube.errors.ApiError.
    """
    return typed(App, app_manifest(api, namespace, name))


def find_app_and_rows(api: Api, namespace: str, name: str) -> tuple[App, RowHistory]:
    """Returns the App, and its rows that are live or undecided. Raises as `find_app` does."""
    app = find_app(api, namespace, name)
    return app, open_rows(api, namespace, name, app.meta.uid)


def open_rows(api: Api, namespace: str, app: str, uid: str | None) -> RowHistory:
    """Reads the rows that are live or undecided."""
    return RowHistory.of(typed(Row, raw) for raw in undecided(api, namespace, app, uid))


def waiting_rows(api: Api, namespace: str, app: str, uid: str | None) -> list[Manifest]:
    """Lists the waiting rows of the App, newest first."""
    return [row for row in undecided(api, namespace, app, uid) if is_waiting(row)]


def find_row(api: Api, namespace: str, app: str, uid: str | None, number_or_name: str | int) -> Manifest:
    """Returns the row of a sequence (`12`, `#12`) or of a name.

    Raises Unknown, whose message has the range of sequences, and kube.errors.ApiError.
    """
    text = str(number_or_name).removeprefix("#")
    if not text.isdecimal():
        row_of_name = find(api, ROWS, namespace, text)
        if row_of_name is not None and row_of_name["spec"]["app"] == app and only_of(uid, [row_of_name]):
            return row_of_name
        raise Unknown(f"no row {text} of {app} in namespace {namespace}; see {plugin_command(f'history {app} -o wide', namespace)}")
    every = rows(api, namespace, app, uid)
    if not every:
        find_app(api, namespace, app)
    for row in every:
        if row["spec"].get("sequence") == int(text):
            return row
    numbers = sorted(row["spec"]["sequence"] for row in every if "sequence" in row["spec"])
    existing = f"rows are #{numbers[0]} to #{numbers[-1]}" if numbers else "nothing has been deployed yet"
    raise Unknown(f"no row #{text} of {app} in namespace {namespace}; {existing}")


def release_of(api: Api, namespace: str, workflow: str, version: str | None) -> Flow | None:
    """Returns the release of this version; without one the newest, None if there is none. Raises Unknown and kube.errors.ApiError."""
    if version is not None:
        if (release := find(api, VERSIONS, namespace, names.workflow_version(workflow, version))) is None:
            raise unknown_version(namespace, workflow, version, releases(api, namespace, workflow))
        return Flow.of(release)
    released = releases(api, namespace, workflow)
    newest = find(api, VERSIONS, namespace, released[-1].name) if released else None
    return Flow.of(newest) if newest is not None else None


def unknown_version(namespace: str, workflow: str, version: str, released: Iterable[ReleasedVersion]) -> Unknown:
    """Returns the refusal of an unknown version: `no version v9 of support; released are v1 to v7`."""
    listed = list(released)
    numbers = [release.number for release in listed]
    if not listed:
        existing = f"nothing is released yet: {plugin_command(f'release {workflow}', namespace)}"
    elif len(listed) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        existing = f"released are {listed[0].version} to {listed[-1].version}"
    else:
        existing = f"released: {some_of([release.version for release in listed])}"
    return Unknown(f"no version {version} of {workflow}; {existing}", "workflowVersion")


def flow_of(api: Api, namespace: str, app: str, pinned: Pinned) -> str | None:
    """Returns the flow that a row pinned, from its ConfigMap or its WorkflowVersion; None if it is in neither, or may not be read."""
    version = names.workflow_version(pinned.workflow, pinned.workflow_version)
    return flow_text(api, namespace, app, pinned.workflow_hash, version)


def app_as_served(api: Api, app: App) -> App:
    """Returns the App with its effective access: that of the serving pods while a change is held, if they may be read.

    Raises kube.errors.ApiError.
    """
    if not app.status.is_holding_variables:
        return app
    workloads = workloads_of(api, app.meta.namespace, app.meta.name, app.meta.uid)
    serving = workloads.by_label.get(workloads.serving) if workloads is not None else None
    return with_access_of(app, serving) if serving is not None else app


def rejections_in_force(api: Api, namespace: str, flow: str | None = None) -> list[Manifest] | None:
    """Lists the Rejections in force in a namespace, newest first; None if the caller may not read them. `flow`: the hash of one flow."""
    try:
        rejections = listed(api, REJECTIONS, namespace, f"spec.workflowHash={flow}" if flow is not None else "")
    except errors.NotFound:  # a cluster whose definitions are older
        return []
    except errors.Forbidden:
        return None
    in_force = (each for each in rejections if not each["spec"].get("withdrawn") and flow in (None, each["spec"]["workflowHash"]))
    return newest_rejections_first(in_force)


def rejected_hashes(api: Api, namespace: str) -> frozenset[str]:
    """Returns the hashes of the flows that are rejected in a namespace; none if the caller may not read them."""
    return frozenset(each["spec"]["workflowHash"] for each in rejections_in_force(api, namespace) or ())


def newest_rejections_first(rejections: Iterable[Manifest]) -> list[Manifest]:
    """Sorts Rejections, the newest first."""
    return sorted(rejections, key=lambda each: (each["metadata"].get("creationTimestamp") or "", each["metadata"]["name"]), reverse=True)


def runtime_named(api: Api, kept: PinnedRuntime) -> str | None:
    """Returns the name of a Runtime that a row pinned; None if another Runtime has this name now."""
    runtime = find(api, RUNTIMES, "", kept.name, or_denied=True)
    return kept.name if runtime is None or typed(Runtime, runtime).spec.pins(kept.name) == kept else None


def _runtimes(api: Api, requested: str | None, kept: PinnedRuntime | None) -> tuple[dict[str, Runtime], bool]:
    """Returns the Runtimes to choose from: the requested one, none if the row keeps its Runtime, else all.

    The flag is True if the only one is a placeholder for a Runtime that the caller may not read.
    """
    if requested is None and kept is not None:
        return {}, False
    is_kept = kept is not None and requested == kept.name  # it outlives its Runtime
    try:
        if requested is None:
            # The operator does not choose an unreadable Runtime, either.
            return {each.meta.name: each for each in _readable(Runtime, listed(api, RUNTIMES))}, False
        runtime = find(api, RUNTIMES, "", requested)
    except errors.Forbidden:
        return ({}, False) if is_kept else (_unread(requested or NEWEST), True)
    if runtime is not None:
        return {requested: typed(Runtime, runtime)}, False
    if is_kept:
        return {}, False
    raise Unknown(f"no Runtime {requested}; there are: {', '.join(requests.list_names(api, RUNTIMES)) or 'none'}", "runtime")


def _unread(name: str) -> dict[str, Runtime]:
    """Returns a placeholder for a Runtime that the caller may not read."""
    return {name: Runtime.of({"metadata": {"name": name}, "spec": {"version": name, "image": UNREAD_IMAGE}})}


def _deploys_from_git(api: Api, app: App) -> bool:
    """Returns True if the App has `spec.deploy`, or a row by Git or automation of the usual namespaces, or unreadable rows."""
    if app.spec.deploy is not None:
        return True
    try:
        specs = [row["spec"] for row in rows(api, app.meta.namespace, app.meta.name, app.meta.uid)]
    except errors.Forbidden:
        return True
    return any((spec.get("pinned") or {}).get("source") == Source.APP or is_automation((), spec.get("createdBy") or "") for spec in specs)
