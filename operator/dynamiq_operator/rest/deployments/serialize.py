"""Serializes previews, comparisons and whole rows as the contract's JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dynamiq_operator.actions.comparison import UNREAD, RowDiff
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.shared.config_fields import SCALING, SERVERLESS_CONFIG
from dynamiq_operator.rest.shared.serialize import SERVER, SERVERLESS, Data, author, condition, config, guard
from dynamiq_operator.views.history import HistoryRow
from dynamiq_operator.views.live_at import LiveAt
from dynamiq_operator.views.preview import Side


def preview(data: Mapping[str, Any]) -> Data:
    """Serializes a preview. `data`: the JSON data of `views.preview`."""
    return {
        "from": side(data["from"]) if data["from"] else None,
        "to": side(data["to"]),
        "flow_diff": data["flowDiff"],
        "pods_restart": data["podsRestart"],
        "no_op": data["noOp"],
        "strategy": data["strategy"],
        "pods_warm": data["podsWarm"],
        "pods_to_start": data["podsToStart"],
        "asleep": data["asleep"],
        "under_way": data["underWay"],
        "guards": [guard(each) for each in data["guards"]],
        "waits": data["waits"],
        "begins_hold": data["beginsHold"],
        "bypass_reason": data["bypassReason"],
        "warnings": data["warnings"],
    }


def side(data: Mapping[str, Any]) -> Data:
    """Serializes a side of a preview. `data`: the JSON data of `views.preview`."""
    return {
        "row": data["row"],
        "sequence": data["sequence"],
        "version": data["version"],
        "flow_hash": data["flowHash"],
        "runtime": data["runtime"],
        "runtime_name": data["runtimeName"],
        "image": data["image"],
        "config": config(data["config"]),
        "resources": data["config"].get("resources"),
        "restores": data["restores"],
    }


COMPLETED = ("sequence", "pinned", "released", "verified", "outcome")
"""Fields of a row that the operator completes. The others are from the request."""


def details(raw: Manifest, serialized: Data, ready: Data | None, flow: str | None) -> Data:
    """Serializes a whole row. `serialized`: the row as a list has it; `flow`: its text, None if it cannot be read."""
    spec = raw["spec"]
    return {
        **serialized,
        "namespace": raw["metadata"]["namespace"],
        "app_name": spec["app"],
        "asked": {name: value for name, value in spec.items() if name not in COMPLETED},
        "pinned": spec.get("pinned"),
        "outcome": spec.get("outcome"),
        "conditions": [condition(each) for each in (raw.get("status") or {}).get("conditions") or ()],
        "ready": ready,
        "flow": flow,
    }


def live_at(answer: LiveAt, row: Data | None, rolling_out: Data | None) -> Data:
    """Serializes what was live at a time. `row`, `rolling_out`: the rows that `answer` names, serialized."""
    return {
        "time": answer.time,
        "known": answer.unknown is None,
        "deployment": row,
        "live_from": answer.row.live_from if answer.row is not None else None,
        "live_until": answer.row.live_until if answer.row is not None else None,
        "rolling_out": rolling_out,
        "says": answer.says,
    }


def comparison(result: RowDiff, before: Manifest | None, after: Manifest) -> Data:
    """Serializes what changed from one row to another. `before`, `after`: the rows as stored."""
    return {
        "from": _compared(result.before, before) if result.before is not None and before is not None else None,
        "to": _compared(result.after, after),
        "flow_diff": "\n".join(result.flow_diff or ()),
        "changes": list(_changes(result.before, result.after)) if result.before is not None else [],
        "warnings": [f"the flows differ, and {UNREAD}"] if result.flow_diff is None else [],
    }


def _compared(part: Side, raw: Manifest) -> Data:
    row = HistoryRow.of(raw)
    return {**side(part.as_json()), "id": row.uid, "created_at": row.date, "created_by": author(row.created_by)}


def _changes(before: Side, after: Side) -> Iterator[Data]:
    """Yields the differences, by the names of a deployment's fields."""
    old, new = dict(_fields(before)), dict(_fields(after))
    for field in dict.fromkeys([*new, *old]):
        if (values := (old.get(field), new.get(field)))[0] != values[1]:
            yield {"field": field, "from": values[0], "to": values[1]}


def _fields(part: Side) -> Iterator[tuple[str, str]]:
    yield from (("version", part.version), ("runtime", part.runtime), ("runtime_name", part.runtime_name), ("image", part.image))
    stored, name = part.config, "deployment_config.config"
    yield "deployment_config.deployment_type", SERVERLESS if stored.get("type") == "serverless" else SERVER
    scaling = stored.get("autoscaling") or {}
    yield from ((f"{name}.autoscaling.{ours}", str(scaling[theirs])) for ours, theirs in SCALING if theirs in scaling)
    yield from ((f"{name}.{ours}", str(stored[theirs])) for ours, theirs in SERVERLESS_CONFIG if theirs in stored)
    for part, amounts in (stored.get("resources") or {}).items():
        yield from ((f"resources.{part}.{amount}", str(value)) for amount, value in amounts.items())
