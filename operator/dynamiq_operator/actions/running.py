"""Reads an App and what it runs, as the API server sends it: its rows and its workloads. Imports no pydantic: `status` reads by it."""

from __future__ import annotations

from dataclasses import dataclass

from dynamiq_operator.actions.refusals import NotNow, Unknown
from dynamiq_operator.actions.workloads import AppWorkloads
from dynamiq_operator.desired.pin_labels import PLAIN, by_label, selected_pins, stored_digest
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resource import APPS, CONFIG_MAPS, ROWS, SERVICES, VERSIONS, WORKLOADS, ApiResource
from dynamiq_operator.model import names
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.model.ownership import only_of
from dynamiq_operator.views.history import newest_first

NAMED_MOST = 10


@dataclass(frozen=True)
class ReleasedVersion:
    """A WorkflowVersion in a list, without its flow."""

    name: str
    version: str
    uid: str

    @property
    def number(self) -> int:
        return int(self.version.removeprefix("v"))


def app_manifest(api: Api, namespace: str, name: str) -> Manifest:
    """Returns the App. Raises Unknown, whose message lists the Apps of the namespace, and kube.errors.ApiError."""
    try:
        return requests.read_object(api, APPS, namespace, name)
    except errors.NotFound:
        raise Unknown(f"no App {name} in namespace {namespace}; {_there_are(api, namespace)}", "app") from None


def live_pins(api: Api, app: Manifest) -> dict[str, str]:
    """Returns the pins that an App serves, as the journal names them. Raises NotNow if nothing is live, and kube.errors.ApiError."""
    live = (app.get("status") or {}).get("live")
    if live is None:
        raise NotNow(f"nothing of {app['metadata']['name']} is live: deploy a version first, or cancel the runs")
    pinned = requests.read_object(api, ROWS, app["metadata"]["namespace"], live["row"])["spec"]["pinned"]
    return {"pins": stored_digest(pinned), "workflow_hash": pinned["workflowHash"]}


def rows(api: Api, namespace: str, app: str, uid: str | None, selector: str = "") -> list[Manifest]:
    """Lists the rows of the App, newest first: all, or those of a field selector that begins with a comma.

    `uid`: the App's; None if it is unknown. Raises kube.errors.ApiError.
    """
    return newest_first(listed(api, ROWS, namespace, f"spec.app={app}{selector}", uid=uid))


def undecided(api: Api, namespace: str, app: str, uid: str | None) -> list[Manifest]:
    """Lists the rows of the App that are live or undecided, newest first: few, however long the history."""
    return rows(api, namespace, app, uid, f",{ROWS.field_selector}")


def releases(api: Api, namespace: str, workflow: str) -> list[ReleasedVersion]:
    """Lists the releases of a workflow, oldest first, without their flows."""
    pages = requests.pages(api, VERSIONS, namespace, field=f"spec.workflow={workflow}", accept=requests.TABLE)
    released = [ReleasedVersion(meta["name"], cells["VERSION"], meta["uid"]) for page in pages for meta, cells in requests.table_rows(page)]
    return sorted(released, key=lambda release: release.number)


def flow_text(api: Api, namespace: str, app: str, hash_of_flow: str, version: str) -> str | None:
    """Returns the flow of a hash, from its ConfigMap or the WorkflowVersion of this name.

    None if it is in neither, or may not be read.
    """
    config_map = find(api, CONFIG_MAPS, namespace, names.flow(app, hash_of_flow), or_denied=True)
    noted: str = ((config_map or {}).get("data") or {}).get(names.FLOW_KEY, "")
    if config_map is not None and flow_hash(noted) == hash_of_flow:
        return noted
    release = find(api, VERSIONS, namespace, version, or_denied=True)
    released: str | None = release["spec"]["flow"] if release is not None else None
    return released if released is not None and flow_hash(released) == hash_of_flow else None


def workloads_of(api: Api, namespace: str, app: str, uid: str | None) -> AppWorkloads | None:
    """Reads the workloads of an App; returns None if there are none, or they may not be read. `uid`: the App's, if known.

    Raises kube.errors.ApiError.
    """
    try:
        return read_workloads(api, namespace, app, uid)
    except errors.Forbidden:
        return None


def read_workloads(api: Api, namespace: str, app: str, uid: str | None) -> AppWorkloads | None:
    """Reads the workloads of an App; returns None if there are none. `uid`: the App's, if known.

    Raises kube.errors.ApiError: Denied if they may not be read.
    """
    try:
        raws = listed(api, WORKLOADS, namespace, label=f"{names.MANAGED_SELECTOR},{names.APP_LABEL}={app}", uid=uid)
    except errors.NotFound:
        return None
    labelled = by_label(app, raws)
    serving = selected_label(api, namespace, app) if set(labelled) - {PLAIN} else PLAIN
    return AppWorkloads(labelled, serving) if labelled and serving is not None else None


def selected_label(api: Api, namespace: str, app: str) -> str | None:
    """Returns the pins label that the App's Service selects; empty if it selects pods of any pins, None without a Service.

    Raises kube.errors.ApiError.
    """
    service = find(api, SERVICES, namespace, names.service(app))
    return selected_pins(service["spec"].get("selector") or {}) if service is not None else None


def find(api: Api, resource: ApiResource, namespace: str, name: str, *, or_denied: bool = False) -> Manifest | None:
    """Reads one object; returns None if it is missing. `or_denied`: also if the caller may not read it."""
    try:
        return requests.read_object(api, resource, namespace, name)
    except errors.NotFound:
        return None
    except errors.Denied:
        if not or_denied:
            raise
        return None


def listed(
    api: Api, resource: ApiResource, namespace: str = "", field: str = "", label: str = "", uid: str | None = None
) -> list[Manifest]:
    """Lists the objects that match the selectors, without those of an App with another uid."""
    return only_of(uid, requests.items(api, resource, namespace, field=field, label=label))


def _there_are(api: Api, namespace: str) -> str:
    try:
        app_names = requests.list_names(api, APPS, namespace)
    except errors.Denied:
        return "and you may not list the Apps there"
    return f"Apps there: {some_of(app_names)}" if app_names else "there are none: name another namespace with -n"


def some_of(items: list[str]) -> str:
    """Returns the first names of a list, and the number of those left out."""
    more = f" and {len(items) - NAMED_MOST} more" if len(items) > NAMED_MOST else ""
    return ", ".join(items[:NAMED_MOST]) + more
