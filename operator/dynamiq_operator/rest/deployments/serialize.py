"""Serializes previews, comparisons and whole rows as the contract's JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dynamiq_operator.actions.comparison import UNREAD, Comparison
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.shared.config_fields import SCALING, SERVERLESS_CONFIG
from dynamiq_operator.rest.shared.serialize import SERVER, SERVERLESS, Data, author, condition, config, guard
from dynamiq_operator.views.history import HistoryRow
from dynamiq_operator.views.live_at import LiveAt
from dynamiq_operator.views.preview import Side


def preview(given: Mapping[str, Any]) -> Data:
    """A preview. `given`: the JSON data of `views.preview`."""
    return {
        "from": side(given["from"]) if given["from"] else None,
        "to": side(given["to"]),
        "flow_diff": given["flowDiff"],
        "pods_restart": given["podsRestart"],
        "no_op": given["noOp"],
        "strategy": given["strategy"],
        "pods_warm": given["podsWarm"],
        "pods_to_start": given["podsToStart"],
        "asleep": given["asleep"],
        "under_way": given["underWay"],
        "guards": [guard(each) for each in given["guards"]],
        "waits": given["waits"],
        "begins_hold": given["beginsHold"],
        "bypass_reason": given["bypassReason"],
        "warnings": given["warnings"],
    }


def side(given: Mapping[str, Any]) -> Data:
    """A side of a preview, as data of `views.preview`."""
    return {
        "row": given["row"],
        "sequence": given["sequence"],
        "version": given["version"],
        "flow_hash": given["flowHash"],
        "runtime": given["runtime"],
        "runtime_name": given["runtimeName"],
        "image": given["image"],
        "config": config(given["config"]),
        "resources": given["config"].get("resources"),
        "restores": given["restores"],
    }


COMPLETED = ("sequence", "pinned", "released", "verified", "outcome")
"""Fields of a row that the operator completes; the others are what was asked."""


def details(raw: Manifest, serialized: Data, ready: Data | None, flow: str | None) -> Data:
    """A whole row. `serialized`: the same as a list has it; `flow`: its text, where it can be read."""
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


def live_at(found: LiveAt, row: Data | None, rolling_out: Data | None) -> Data:
    """What was live at a time. `row`, `rolling_out`: the rows that `found` names, serialized."""
    return {
        "time": found.time,
        "known": found.unknown is None,
        "deployment": row,
        "live_from": found.row.live_from if found.row is not None else None,
        "live_until": found.row.live_until if found.row is not None else None,
        "rolling_out": rolling_out,
        "says": found.says,
    }


def comparison(found: Comparison, before: Manifest | None, after: Manifest) -> Data:
    """What changed from one row to another. `before`, `after`: the rows as they are stored."""
    return {
        "from": _compared(found.before, before) if found.before is not None and before is not None else None,
        "to": _compared(found.after, after),
        "flow_diff": "\n".join(found.flow_diff or ()),
        "changes": list(_changes(found.before, found.after)) if found.before is not None else [],
        "warnings": [f"the flows differ, and {UNREAD}"] if found.flow_diff is None else [],
    }


def _compared(of: Side, raw: Manifest) -> Data:
    row = HistoryRow.of(raw)
    return {**side(of.as_json()), "id": row.uid, "created_at": row.date, "created_by": author(row.created_by)}


def _changes(before: Side, after: Side) -> Iterator[Data]:
    """What is not the same, by the names of a deployment's fields."""
    old, new = dict(_fields(before)), dict(_fields(after))
    for field in dict.fromkeys([*new, *old]):
        if (values := (old.get(field), new.get(field)))[0] != values[1]:
            yield {"field": field, "from": values[0], "to": values[1]}


def _fields(of: Side) -> Iterator[tuple[str, str]]:
    yield from (("version", of.version), ("runtime", of.runtime), ("runtime_name", of.runtime_name), ("image", of.image))
    given, name = of.config, "deployment_config.config"
    yield "deployment_config.deployment_type", SERVERLESS if given.get("type") == "serverless" else SERVER
    scaling = given.get("autoscaling") or {}
    yield from ((f"{name}.autoscaling.{ours}", str(scaling[theirs])) for ours, theirs in SCALING if theirs in scaling)
    yield from ((f"{name}.{ours}", str(given[theirs])) for ours, theirs in SERVERLESS_CONFIG if theirs in given)
    for part, amounts in (given.get("resources") or {}).items():
        yield from ((f"resources.{part}.{amount}", str(value)) for amount, value in amounts.items())
