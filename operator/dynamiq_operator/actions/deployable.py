"""Decides for rows of an App if each can be rolled back to. It reads what all of them need once, with the caller's own rights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dynamiq_operator.actions import reads
from dynamiq_operator.actions.running import workloads_of
from dynamiq_operator.actions.workloads import AppWorkloads, warm
from dynamiq_operator.desired.base import CONFIG_MAP, ChildKey
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resources import BY_KIND, REJECTIONS, RUNTIMES, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.completion import why_not_restorable
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.guard_objects import Rejection
from dynamiq_operator.model.objects import App, Manifest, Row, Unreadable, read
from dynamiq_operator.model.ownership import only_of
from dynamiq_operator.plan.children.variables import references
from dynamiq_operator.views.deployable import Deployable, Stock, deployable, rollback_pins


def deployables(api: Api, namespace: str, name: str, rows: Iterable[Manifest]) -> dict[str, Deployable]:
    """Returns by row name if an App could be rolled back to that row now.

    Raises Unknown if there is no such App, and kube.errors.ApiError.
    """
    app = reads.find_app(api, namespace, name)
    records = [read(Row, raw) for raw in rows]
    restorable = [row for row in records if isinstance(row, Row) and why_not_restorable(row) is None]
    stock = _stock(api, app, restorable) if restorable else Stock(app, None, frozenset(), {}, {})
    workloads = workloads_of(api, namespace, name, app.meta.uid) if restorable and app.spec.rollout.switches else None
    return {
        row.meta.name: Deployable(None, (row.message,))
        if isinstance(row, Unreadable)
        else deployable(row, stock, _is_warm(row, stock, workloads))
        for row in records
    }


def _stock(api: Api, app: App, rows: Iterable[Row]) -> Stock:
    namespace = app.meta.namespace
    hashes = frozenset(row.pinned.workflow_hash for row in rows if row.pinned is not None)
    return Stock(
        app=app,
        live=reads.open_rows(api, namespace, app.meta.name, app.meta.uid).live,
        flows=_flows(api, app, hashes),
        rejected=_rejected(api, namespace),
        named=_named(api, app),
        deprecated=_deprecated(api),
    )


def _is_warm(row: Row, stock: Stock, workloads: AppWorkloads | None) -> bool | None:
    if workloads is None or row.pinned is None or not workloads.switches:
        return None
    pods = warm(workloads, stock.app, rollback_pins(row.pinned, stock.pins))
    return pods.ready > 0 and pods.to_start == 0


def _flows(api: Api, app: App, hashes: frozenset[str]) -> frozenset[str] | None:
    """Returns the hashes of those flows that still exist; None if that is unknown."""
    # Releases hold whole flows, so they are read only if a ConfigMap is missing.
    in_config_maps = _in_config_maps(api, app, hashes)
    if in_config_maps is not None and hashes <= in_config_maps:
        return in_config_maps
    try:
        released = frozenset(flow_hash(raw["spec"]["flow"]) for raw in requests.items(api, VERSIONS, app.meta.namespace))
    except errors.Forbidden:
        return None
    if in_config_maps is None:
        return hashes if hashes <= released else None
    return in_config_maps | (released & hashes)


def _in_config_maps(api: Api, app: App, hashes: frozenset[str]) -> frozenset[str] | None:
    """Returns the hashes of those flows that a ConfigMap holds; None if ConfigMaps may not be read. Reads only their metadata."""
    namespace, resource = app.meta.namespace, BY_KIND[CONFIG_MAP.kind]
    label = f"{names.MANAGED_SELECTOR},{names.APP_LABEL}={app.meta.name}"
    try:
        pages = requests.pages(api, resource, namespace, label=label, accept=requests.METADATA)
        # The ConfigMaps of a deleted App of the same name will be deleted, too.
        return frozenset(_hash_of(item) for page in pages for item in only_of(app.meta.uid, page["items"] or ())) & hashes
    except errors.Forbidden:
        pass
    # A caller who may not list ConfigMaps may be allowed to get each by name.
    try:
        return frozenset(each for each in hashes if _hash_at(api, resource.path(namespace, names.flow(app.meta.name, each))) == each)
    except errors.Forbidden:
        return None


def _hash_at(api: Api, path: str) -> str:
    try:
        return _hash_of(api.request("GET", path, accept=requests.METADATA_ONE))
    except errors.NotFound:
        return ""


def _hash_of(config_map: Manifest) -> str:
    return str((config_map["metadata"].get("annotations") or {}).get(names.FLOW_HASH_ANNOTATION, ""))


def _rejected(api: Api, namespace: str) -> Mapping[str, Rejection] | None:
    """Returns the Rejections in force by the hash of their flow; None if any of them cannot be read."""
    try:
        parsed = [read(Rejection, raw) for raw in requests.items(api, REJECTIONS, namespace)]
    except errors.Forbidden:
        return None
    except errors.NotFound:  # a cluster whose definitions are older
        return {}
    if any(isinstance(each, Unreadable) for each in parsed):
        return None
    return {each.spec.workflow_hash: each for each in parsed if isinstance(each, Rejection) and each.spec.withdrawn is None}


def _named(api: Api, app: App) -> Mapping[ChildKey, frozenset[str] | None]:
    keys: dict[ChildKey, frozenset[str] | None] = {}
    for kind, name in dict.fromkeys(reference.of for reference in references(app)):
        try:
            raw = requests.read_object(api, BY_KIND[kind], app.meta.namespace, name)
            keys[kind, name] = frozenset(raw.get("data") or {})
        except errors.NotFound:
            keys[kind, name] = None
        except errors.Forbidden:
            pass
    return keys


def _deprecated(api: Api) -> frozenset[str]:
    """Returns the names of deprecated Runtimes; none if they may not be read, since a deprecated Runtime prevents no rollback."""
    try:
        raws = requests.items(api, RUNTIMES)
    except errors.Forbidden:
        return frozenset()
    return frozenset(raw["metadata"]["name"] for raw in raws if raw["spec"].get("deprecated"))
