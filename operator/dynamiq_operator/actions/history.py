"""Reads an App, its rows and the releases of its workflow. A missing one raises Unknown, whose message lists those that exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from dynamiq_operator.actions.refusals import NotNow, Unknown
from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.desired.flow import FLOW_KEY
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.app_objects import only_of_app
from dynamiq_operator.kube.resources import APPS, BY_KIND, RECORDS, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.objects import App, Manifest, Record, Rejection, Runtime, Unreadable, read
from dynamiq_operator.model.record import Pinned
from dynamiq_operator.model.text import plugin_command
from dynamiq_operator.plan.history.lifecycle import History
from dynamiq_operator.views.history import newest_first
from dynamiq_operator.views.waiting import is_waiting

NAMED_MOST = 10
T = TypeVar("T", App, Record, Runtime, Rejection)


@dataclass(frozen=True)
class ReleasedVersion:
    """A WorkflowVersion in a list, without its flow."""

    name: str
    version: str
    uid: str

    @property
    def number(self) -> int:
        return int(self.version.removeprefix("v"))


def typed(kind: type[T], raw: Manifest) -> T:
    """Parses the object by its model.

    Raises NotNow if this version cannot read it.
    """
    if isinstance(parsed := read(kind, raw), Unreadable):
        raise NotNow(f"{parsed.message}. Upgrade, or mend the object")
    return parsed


def find_app(api: Api, namespace: str, name: str) -> App:
    """Returns the App.

    Raises Unknown, whose message lists the Apps of the namespace, NotNow if this version cannot read it, and kube.errors.ApiError.
    """
    try:
        return typed(App, requests.get(api, APPS, namespace, name))
    except errors.NotFound:
        raise Unknown(f"no App {name} in namespace {namespace}; {_there_are(api, namespace)}", "app") from None


def rows(api: Api, namespace: str, app: str, uid: str | None = None) -> list[Manifest]:
    """Lists all rows of the App, newest first. `uid`: the App's, if known.

    Raises Unknown if there is neither a row nor the App, and kube.errors.ApiError.
    """
    of_app = _rows_of(api, namespace, app, uid)
    if not of_app:
        find_app(api, namespace, app)
    return newest_first(of_app)


def open_rows(api: Api, namespace: str, app: str, uid: str | None = None) -> History:
    """Reads the rows that are live or undecided: few, however long the history. `uid`: the App's, if known."""
    return History.of(typed(Record, raw) for raw in undecided(api, namespace, app, uid))


def undecided(api: Api, namespace: str, app: str, uid: str | None = None) -> list[Manifest]:
    """Lists the rows of the App that are live or undecided, as stored. `uid`: the App's, if known."""
    return _rows_of(api, namespace, app, uid, f",{RECORDS.field_selector}")


def waiting_rows(api: Api, namespace: str, app: str, uid: str | None = None) -> list[Manifest]:
    """Lists the waiting rows of the App, newest first. `uid`: the App's, if known.

    Raises kube.errors.ApiError.
    """
    return newest_first(row for row in undecided(api, namespace, app, uid) if is_waiting(row))


def _rows_of(api: Api, namespace: str, app: str, uid: str | None, selector: str = "") -> list[Manifest]:
    raws = requests.items(api, RECORDS, namespace, field=f"spec.app={app}{selector}")
    return only_of_app(api, namespace, app, raws, uid)


def find_row(api: Api, namespace: str, app: str, number_or_name: str | int) -> Manifest:
    """Returns the row of a sequence (`12`, `#12`) or of a name.

    Raises Unknown, whose message has the range of sequences, and kube.errors.ApiError.
    """
    text = str(number_or_name).removeprefix("#")
    if not text.isdecimal():
        try:
            row_of_name = requests.get(api, RECORDS, namespace, text)
        except errors.NotFound:
            row_of_name = None
        if row_of_name is not None and row_of_name["spec"]["app"] == app and only_of_app(api, namespace, app, [row_of_name]):
            return row_of_name
        raise Unknown(f"no row {text} of {app} in namespace {namespace}; see {plugin_command(f'history {app} -o wide', namespace)}")
    every = rows(api, namespace, app)
    for row in every:
        if row["spec"].get("sequence") == int(text):
            return row
    numbers = sorted(row["spec"]["sequence"] for row in every if "sequence" in row["spec"])
    existing = f"rows are #{numbers[0]} to #{numbers[-1]}" if numbers else "nothing has been deployed yet"
    raise Unknown(f"no row #{text} of {app} in namespace {namespace}; {existing}")


def releases(api: Api, namespace: str, workflow: str) -> list[ReleasedVersion]:
    """Lists the releases of a workflow, oldest first, without their flows."""
    pages = requests.pages(api, VERSIONS, namespace, field=f"spec.workflow={workflow}", accept=requests.TABLE)
    released = [ReleasedVersion(meta["name"], cells["VERSION"], meta["uid"]) for page in pages for meta, cells in requests.table_rows(page)]
    return sorted(released, key=lambda release: release.number)


def unknown_version(namespace: str, workflow: str, version: str, released: Iterable[ReleasedVersion]) -> Unknown:
    """Returns the refusal of an unknown version: `no version v9 of support; released are v1 to v7`."""
    listed = list(released)
    numbers = [release.number for release in listed]
    if not listed:
        existing = f"nothing is released yet: {plugin_command(f'release {workflow}', namespace)}"
    elif len(listed) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        existing = f"released are {listed[0].version} to {listed[-1].version}"
    else:
        existing = f"released: {_listed([release.version for release in listed])}"
    return Unknown(f"no version {version} of {workflow}; {existing}", "workflowVersion")


def flow_of(api: Api, namespace: str, app: str, pinned: Pinned) -> str | None:
    """Returns the flow that a row pinned, from its ConfigMap or its WorkflowVersion; None if it is in neither, or may not be read."""
    try:
        config_map = requests.get(api, BY_KIND[CONFIG_MAP.kind], namespace, names.flow(app, pinned.workflow_hash))
        if flow_hash(text := _data(config_map).get(FLOW_KEY, "")) == pinned.workflow_hash:
            return text
    except (errors.NotFound, errors.Denied):
        pass
    try:
        version = requests.get(api, VERSIONS, namespace, names.workflow_version(pinned.workflow, pinned.workflow_version))
    except (errors.NotFound, errors.Denied):
        return None
    text = version["spec"]["flow"]
    return text if flow_hash(text) == pinned.workflow_hash else None


def _data(config_map: Manifest) -> Mapping[str, str]:
    return config_map.get("data") or {}


def _there_are(api: Api, namespace: str) -> str:
    try:
        app_names = requests.list_names(api, APPS, namespace)
    except errors.Denied:
        return "and you may not list the Apps there"
    return f"Apps there: {_listed(app_names)}" if app_names else "there is none at all: name another with -n"


def _listed(items: list[str]) -> str:
    more = f" and {len(items) - NAMED_MOST} more" if len(items) > NAMED_MOST else ""
    return ", ".join(items[:NAMED_MOST]) + more
