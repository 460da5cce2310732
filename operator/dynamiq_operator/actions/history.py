"""Reading an App, its rows and the releases of its workflow, each with the sentence for when it is not there."""

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
class Released:
    """A WorkflowVersion as a list shows it."""

    name: str
    version: str
    uid: str

    @property
    def number(self) -> int:
        return int(self.version.removeprefix("v"))


def typed(kind: type[T], raw: Manifest) -> T:
    """The object by its model. Raises NotNow where this version cannot read it: what is in it is unknown, so nothing is decided about it."""
    if isinstance(found := read(kind, raw), Unreadable):
        raise NotNow(f"{found.message}. Upgrade, or mend the object")
    return found


def find_app(api: Api, namespace: str, name: str) -> App:
    """The App. Raises Unknown, naming the Apps that there are."""
    try:
        return typed(App, requests.get(api, APPS, namespace, name))
    except errors.NotFound:
        raise Unknown(f"no App {name} in namespace {namespace}; {_there_are(api, namespace)}", "app") from None


def rows(api: Api, namespace: str, app: str, uid: str | None = None) -> list[Manifest]:
    """Every row of the App, newest first. `uid`: the App's, where it is known. Raises Unknown where there is neither a row nor the App."""
    found = _rows_of(api, namespace, app, uid)
    if not found:
        find_app(api, namespace, app)
    return newest_first(found)


def open_rows(api: Api, namespace: str, app: str, uid: str | None = None) -> History:
    """What is live and what is not decided yet, without the closed rows: few, however long the history. `uid`: the App's, where it is known."""
    return History.of(typed(Record, raw) for raw in undecided(api, namespace, app, uid))


def undecided(api: Api, namespace: str, app: str, uid: str | None = None) -> list[Manifest]:
    """The rows of the App that are live or not decided yet, as they are stored. `uid`: the App's, where it is known."""
    return _rows_of(api, namespace, app, uid, f",{RECORDS.field_selector}")


def waiting_rows(api: Api, namespace: str, app: str, uid: str | None = None) -> list[Manifest]:
    """The rows of the App that wait, newest first. `uid`: the App's, where it is known. Raises kube.errors.ApiError."""
    return newest_first(row for row in undecided(api, namespace, app, uid) if is_waiting(row))


def _rows_of(api: Api, namespace: str, app: str, uid: str | None, selector: str = "") -> list[Manifest]:
    found = requests.items(api, RECORDS, namespace, field=f"spec.app={app}{selector}")
    return only_of_app(api, namespace, app, found, uid)


def find_row(api: Api, namespace: str, app: str, given: str | int) -> Manifest:
    """The row of a sequence (`12`, `#12`) or of a name. Raises Unknown, saying which there are."""
    text = str(given).removeprefix("#")
    if not text.isdecimal():
        try:
            found = requests.get(api, RECORDS, namespace, text)
        except errors.NotFound:
            found = None
        if found is not None and found["spec"]["app"] == app and only_of_app(api, namespace, app, [found]):
            return found
        raise Unknown(f"no row {text} of {app} in namespace {namespace}; see {plugin_command(f'history {app} -o wide', namespace)}")
    every = rows(api, namespace, app)
    for row in every:
        if row["spec"].get("sequence") == int(text):
            return row
    numbers = sorted(row["spec"]["sequence"] for row in every if "sequence" in row["spec"])
    there = f"rows are #{numbers[0]} to #{numbers[-1]}" if numbers else "nothing has been deployed yet"
    raise Unknown(f"no row #{text} of {app} in namespace {namespace}; {there}")


def releases(api: Api, namespace: str, workflow: str) -> list[Released]:
    """The releases of a workflow, oldest first, without their flows."""
    pages = requests.pages(api, VERSIONS, namespace, field=f"spec.workflow={workflow}", accept=requests.TABLE)
    found = [Released(meta["name"], cells["VERSION"], meta["uid"]) for page in pages for meta, cells in requests.table_rows(page)]
    return sorted(found, key=lambda release: release.number)


def unknown_version(namespace: str, workflow: str, version: str, released: Iterable[Released]) -> Unknown:
    """`no version v9 of support; released are v1 to v7`."""
    found = list(released)
    numbers = [release.number for release in found]
    if not found:
        there = f"nothing is released yet: {plugin_command(f'release {workflow}', namespace)}"
    elif len(found) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        there = f"released are {found[0].version} to {found[-1].version}"
    else:
        there = f"released: {_listed([release.version for release in found])}"
    return Unknown(f"no version {version} of {workflow}; {there}", "workflowVersion")


def flow_of(api: Api, namespace: str, app: str, pinned: Pinned) -> str | None:
    """The flow that a row pinned, from its ConfigMap or its WorkflowVersion; None where neither holds it, or it may not be read."""
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
        found = requests.list_names(api, APPS, namespace)
    except errors.Denied:
        return "and you may not list the Apps there"
    return f"Apps there: {_listed(found)}" if found else "there is none at all: name another with -n"


def _listed(found: list[str]) -> str:
    more = f" and {len(found) - NAMED_MOST} more" if len(found) > NAMED_MOST else ""
    return ", ".join(found[:NAMED_MOST]) + more
