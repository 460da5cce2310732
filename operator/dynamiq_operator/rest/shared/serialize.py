"""Serializes rows and their parts as the contract's JSON. Pure. `Ids` finds the ids that an object does not have."""

from __future__ import annotations

import functools
from collections.abc import Container, Mapping
from datetime import timedelta
from typing import Any, Protocol

from dynamiq_operator.kube.resources import RUNTIMES, VERSIONS, WORKFLOWS, ApiResource
from dynamiq_operator.model import names
from dynamiq_operator.model.completion import DEFAULT_AUTOSCALING, DEFAULT_REQUESTS, DEFAULT_SLEEP
from dynamiq_operator.model.history_columns import of_rest
from dynamiq_operator.model.manifests import Phase, parse_time
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.http.sessions import User
from dynamiq_operator.rest.shared.config_fields import SCALING, SERVERLESS_CONFIG
from dynamiq_operator.rest.shared.responses import Deployment
from dynamiq_operator.views.columns import value
from dynamiq_operator.views.history import HistoryRow
from dynamiq_operator.views.waiting import waits_of

Data = dict[str, Any]
SERVER, SERVERLESS = "server_based", "serverless"
_DEFAULT_SCALING, _DEFAULT_SERVERLESS = DEFAULT_AUTOSCALING.as_json(), DEFAULT_SLEEP.as_json()
_DEFAULT_RESOURCES = {"requests": DEFAULT_REQUESTS.as_json()}
_COLUMNS = tuple(of_rest())
RESTORED_WITHIN = timedelta(hours=1)
"""The longest time between two objects of one backup that are created anew."""
_IN_ORDER = dict.fromkeys(Deployment.model_fields)
"""The names of a row's fields, in the order of the OpenAPI document."""


class Ids(Protocol):
    """A source of ids by name."""

    def id_of(self, resource: ApiResource, namespace: str, name: str) -> str | None:
        """Returns the uid of an object; None if there is none of that name."""

    def created_at(self, resource: ApiResource, namespace: str, name: str) -> str | None:
        """Returns when an object was created; None if there is none of that name."""

    def newest_version(self, namespace: str, workflow: str) -> str | None:
        """Returns the newest release of a workflow, such as `v3`; None if there is none."""

    def sequence_of(self, namespace: str, row: str) -> int | None:
        """Returns the sequence of a row; None if there is no such row, or it has none yet."""


def serialize_deployment(
    raw: Manifest,
    app_id: str,
    ids: Ids,
    workflow: str | None = None,
    kept: Mapping[str, Any] | None = None,
    reverts: Container[str] = (),
) -> Data:
    """Serializes one row.

    For a row that is not pinned yet, `workflow` is its App's workflow, and `kept` the pins of the live row. `reverts`: as
    `model.endings.ending` takes them.
    """
    meta, spec = raw["metadata"], raw["spec"]
    row = HistoryRow.of(raw, reverts)
    pinned = spec.get("pinned") or {}
    namespace = meta["namespace"]
    workflow = pinned.get("workflow") or workflow
    version = row.version or (ids.newest_version(namespace, workflow) if workflow and "restores" not in spec else None)
    runtime = pinned.get("runtime") or _runtime_to_be(spec, (kept or {}).get("runtime"))
    version_id = _id_then(ids, raw, VERSIONS, namespace, names.workflow_version(workflow, version)) if workflow and version else None
    runtime_id = _id_then(ids, raw, RUNTIMES, "", runtime["name"]) if runtime else None
    source, restores = spec.get("promotedFrom"), pinned.get("restores") or {}
    restored = restores.get("row") or spec.get("restores")
    composed = {
        "app_id": app_id,
        "created_by": author(row.created_by),
        "runtime_id": runtime_id,
        "runtime": {"id": runtime_id, "version": runtime.get("version"), "label": runtime.get("label")} if runtime else None,
        "workflow_id": ids.id_of(WORKFLOWS, namespace, workflow) if workflow else None,
        "workflow_version_id": version_id,
        "workflow_version": {"id": version_id, "version": version, "description": row.description} if version else None,
        "deployment_config": config(pinned.get("config") or _merged(spec.get("config"), (kept or {}).get("config"))),
        "restores": restored,
        "promoted_from": {**source, "cluster": source.get("cluster")} if source else None,
        "is_live": row.status == Phase.LIVE,
        "restores_sequence": restores.get("sequence") or (ids.sequence_of(namespace, restored) if restored else None),
        "waits": waits(waits_of(raw)),
        "released": _released(spec.get("released")),
        "verified": _verified(spec.get("verified")),
        "holds": dict(pinned["holds"]) if pinned.get("holds") else None,
        "flow_hash": pinned.get("workflowHash"),
    }
    return {**_IN_ORDER, **composed, **{column.rest: value(row, column) for column in _COLUMNS}}


def _id_then(ids: Ids, row: Manifest, resource: ApiResource, namespace: str, name: str) -> str | None:
    """Returns the id of what a row ran; None if that was deleted, even if another object has its name by now."""
    made = ids.created_at(resource, namespace, name)
    if made is None:
        return None
    # What a row ran existed before the row ended. But a backup's objects are all created anew, in any order: a row that was created
    # after its own end is from a backup, and what it ran may be somewhat younger than the row.
    if (ended := (row["spec"].get("outcome") or {}).get("at")) is not None and parse_time(made) > parse_time(ended):
        restored = parse_time(row["metadata"]["creationTimestamp"])
        if restored <= parse_time(ended) or parse_time(made) > restored + RESTORED_WITHIN:
            return None
    return ids.id_of(resource, namespace, name)


def waits(raw: Mapping[str, Any] | None) -> Data | None:
    """Serializes what a row waits for. `raw`: from its status."""
    if not raw:
        return None
    return {
        "reason": raw["reason"],
        "message": raw["message"],
        "until": raw.get("until"),
        "approvals": raw.get("approvals"),
        "approvals_needed": raw.get("approvalsNeeded"),
        "resumable": bool(raw.get("resumable")),
    }


def guard(raw: Mapping[str, Any]) -> Data:
    """Serializes a guard that would block a new row. `raw`: from an App's status."""
    return {
        "reason": raw["reason"],
        "message": raw["message"],
        "applies_to": list(raw.get("appliesTo") or ()),
        "policy": raw.get("policy"),
        "until": raw.get("until"),
    }


def _released(raw: Mapping[str, Any] | None) -> Data | None:
    if not raw:
        return None
    by = [author(each) for each in raw.get("by") or ()]
    return {"at": raw["at"], "guards": list(raw["guards"]), "by": by, "approvals": list(raw.get("approvals") or ())}


def _verified(raw: Mapping[str, Any] | None) -> Data | None:
    if not raw:
        return None
    return {name: raw.get(name) for name in ("at", "cases", "calls", "seconds", "score", "message")}


def author(username: str | None) -> Data | None:
    return dict(_author(username)) if username else None


@functools.lru_cache(10_000)
def _author(username: str) -> Data:
    return User(username).as_author()


def config(stored: Mapping[str, Any] | None) -> Data:
    """Serializes a row's config as the contract's `deployment_config`; omitted fields have their defaults.

    The contract has `{}` for a serverless config: our fields are in it only if they are not the defaults.
    """
    stored = stored or {}
    resources = stored.get("resources")
    if stored.get("type") == "serverless":
        own = {
            ours: stored[theirs]
            for ours, theirs in SERVERLESS_CONFIG
            if stored.get(theirs, default := _DEFAULT_SERVERLESS[theirs]) != default
        }
        compute = {"resources": resources} if resources not in (None, _DEFAULT_RESOURCES) else {}
        return {"deployment_type": SERVERLESS, "config": {**own, **compute}}
    scaling = {**_DEFAULT_SCALING, **(stored.get("autoscaling") or {})}
    return {
        "deployment_type": SERVER,
        "config": {"autoscaling": {ours: scaling[theirs] for ours, theirs in SCALING}, "resources": resources},
    }


def _runtime_to_be(spec: Mapping[str, Any], kept: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Returns the runtime of a row that is not pinned yet."""
    if "runtime" not in spec:
        return kept
    return kept if kept is not None and kept["name"] == spec["runtime"] else {"name": spec["runtime"]}


def _merged(requested: Mapping[str, Any] | None, live: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Returns the config of a row that is not pinned yet: the requested fields over those that are live.

    If the type changes, only resources are kept.
    """
    requested, live = requested or {}, live or {}
    merged = {**requested, "resources": _merged_resources(requested.get("resources") or {}, live.get("resources"))}
    if requested.get("type", live.get("type")) != live.get("type"):
        return merged
    return {**live, **merged, "autoscaling": {**(live.get("autoscaling") or {}), **(requested.get("autoscaling") or {})}}


def _merged_resources(requested: Mapping[str, Any], live: Mapping[str, Any] | None) -> Data | None:
    """Returns the requested resources over those that are live."""
    # The rest is the runtime's, which is chosen when the row is pinned.
    if live is None:
        return dict(requested) or None
    parts = {part: {**(live.get(part) or {}), **(requested.get(part) or {})} for part in ("requests", "limits")}
    return {part: amounts for part, amounts in parts.items() if amounts}


def condition(raw: Mapping[str, Any]) -> Data:
    """Serializes one condition of an App or a row."""
    return {
        "type": raw["type"],
        "status": raw["status"],
        "reason": raw.get("reason") or None,
        "message": raw.get("message") or None,
        "since": raw.get("lastTransitionTime"),
    }


def changed_at(meta: Mapping[str, Any]) -> str:
    """Returns when anyone last wrote the object, apart from its status."""
    times: list[str] = [
        each["time"] for each in meta.get("managedFields") or () if each.get("time") and each.get("subresource") != "status"
    ]
    return max(times, default=str(meta["creationTimestamp"]))
