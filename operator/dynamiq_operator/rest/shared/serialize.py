"""Serializes rows and their parts as the contract's JSON. Pure; ids that an object does not hold are looked up in `Ids`."""

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
"""Longest time between two objects of one backup that are made anew."""
_IN_ORDER = dict.fromkeys(Deployment.model_fields)
"""The names of a row's fields, so that they come in the order of the OpenAPI document."""


class Ids(Protocol):
    """Looks up ids by name."""

    def id_of(self, resource: ApiResource, namespace: str, name: str) -> str | None:
        """The uid of an object; None where there is none of that name."""

    def created_at(self, resource: ApiResource, namespace: str, name: str) -> str | None:
        """When an object was made."""

    def newest_version(self, namespace: str, workflow: str) -> str | None:
        """The newest release of a workflow, such as `v3`."""

    def sequence_of(self, namespace: str, row: str) -> int | None:
        """The sequence of a row; None where there is no such row, or it has none yet."""


def serialize_deployment(
    raw: Manifest,
    app_id: str,
    ids: Ids,
    workflow: str | None = None,
    kept: Mapping[str, Any] | None = None,
    reverts: Container[str] = (),
) -> Data:
    """Serializes one row. For a row that is not pinned yet, `workflow` is its App's workflow, and `kept` the pins of the live row.

    `reverts`: as `model.endings.ending` takes them.
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
    """The id of what a row ran; None where that was deleted, although another object has its name by now.

    What a row ran was there before the row ended. A backup's objects are all made anew, in any order: a row that was made after its own
    end is of one, and what it ran may be somewhat younger than the row.
    """
    made = ids.created_at(resource, namespace, name)
    if made is None:
        return None
    if (ended := (row["spec"].get("outcome") or {}).get("at")) is not None and parse_time(made) > parse_time(ended):
        anew = parse_time(row["metadata"]["creationTimestamp"])
        if anew <= parse_time(ended) or parse_time(made) > anew + RESTORED_WITHIN:
            return None
    return ids.id_of(resource, namespace, name)


def waits(given: Mapping[str, Any] | None) -> Data | None:
    """What a row waits for. `given`: of its status."""
    if not given:
        return None
    return {
        "reason": given["reason"],
        "message": given["message"],
        "until": given.get("until"),
        "approvals": given.get("approvals"),
        "approvals_needed": given.get("approvalsNeeded"),
        "resumable": bool(given.get("resumable")),
    }


def guard(given: Mapping[str, Any]) -> Data:
    """What would hold a row that is asked for now. `given`: of an App's status."""
    return {
        "reason": given["reason"],
        "message": given["message"],
        "applies_to": list(given.get("appliesTo") or ()),
        "policy": given.get("policy"),
        "until": given.get("until"),
    }


def _released(given: Mapping[str, Any] | None) -> Data | None:
    if not given:
        return None
    by = [author(each) for each in given.get("by") or ()]
    return {"at": given["at"], "guards": list(given["guards"]), "by": by, "approvals": list(given.get("approvals") or ())}


def _verified(given: Mapping[str, Any] | None) -> Data | None:
    if not given:
        return None
    return {name: given.get(name) for name in ("at", "cases", "calls", "seconds", "score", "message")}


def author(username: str | None) -> Data | None:
    return dict(_author(username)) if username else None


@functools.lru_cache(10_000)
def _author(username: str) -> Data:
    return User(username).as_author()


def config(given: Mapping[str, Any] | None) -> Data:
    """A record's config as the contract's `deployment_config`; what is left out has its default.

    Of a serverless one the contract has `{}`: our fields are in it where they are not the defaults.
    """
    given = given or {}
    resources = given.get("resources")
    if given.get("type") == "serverless":
        own = {
            ours: given[theirs]
            for ours, theirs in SERVERLESS_CONFIG
            if given.get(theirs, default := _DEFAULT_SERVERLESS[theirs]) != default
        }
        compute = {"resources": resources} if resources not in (None, _DEFAULT_RESOURCES) else {}
        return {"deployment_type": SERVERLESS, "config": {**own, **compute}}
    scaling = {**_DEFAULT_SCALING, **(given.get("autoscaling") or {})}
    return {
        "deployment_type": SERVER,
        "config": {"autoscaling": {ours: scaling[theirs] for ours, theirs in SCALING}, "resources": resources},
    }


def _runtime_to_be(spec: Mapping[str, Any], kept: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The runtime of a row that is not pinned yet."""
    if "runtime" not in spec:
        return kept
    return kept if kept is not None and kept["name"] == spec["runtime"] else {"name": spec["runtime"]}


def _merged(asked: Mapping[str, Any] | None, live: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The config of a row that is not pinned yet: what it asks for, over what is live. Of another type, compute alone is kept."""
    asked, live = asked or {}, live or {}
    merged = {**asked, "resources": _merged_resources(asked.get("resources") or {}, live.get("resources"))}
    if asked.get("type", live.get("type")) != live.get("type"):
        return merged
    return {**live, **merged, "autoscaling": {**(live.get("autoscaling") or {}), **(asked.get("autoscaling") or {})}}


def _merged_resources(asked: Mapping[str, Any], live: Mapping[str, Any] | None) -> Data | None:
    """Where nothing is live, what is asked alone, None for nothing: the rest is the runtime's, which is chosen when the row is pinned."""
    if live is None:
        return dict(asked) or None
    parts = {part: {**(live.get(part) or {}), **(asked.get(part) or {})} for part in ("requests", "limits")}
    return {part: amounts for part, amounts in parts.items() if amounts}


def condition(raw: Mapping[str, Any]) -> Data:
    """One condition of an App or a row."""
    return {
        "type": raw["type"],
        "status": raw["status"],
        "reason": raw.get("reason") or None,
        "message": raw.get("message") or None,
        "since": raw.get("lastTransitionTime"),
    }


def changed_at(meta: Mapping[str, Any]) -> str:
    """When the object was last written by anyone, writes of its status apart."""
    times: list[str] = [
        each["time"] for each in meta.get("managedFields") or () if each.get("time") and each.get("subresource") != "status"
    ]
    return max(times, default=str(meta["creationTimestamp"]))
