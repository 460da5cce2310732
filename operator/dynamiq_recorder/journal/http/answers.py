"""Shapes runs, claims, events and counts as the answers have them. It reads none of them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import orjson

from dynamiq_operator.model.journal import OPEN_STATES
from dynamiq_recorder.journal.model import LEASE, STATUSES, Open
from dynamiq_recorder.journal.open_feed import Snapshot
from dynamiq_recorder.journal.operations import Claim
from dynamiq_recorder.journal.reading import Events, Shown
from dynamiq_recorder.journal.run import Event, Run
from dynamiq_recorder.reads.times import shown, shown_or_none


def run(of: Shown, *, content: bool) -> dict[str, Any]:
    """Returns a run. Without `content`, the input and output are null, and the error has only its code."""
    each = of.run
    return {
        "id": each.id,
        "app_id": each.app_uid,
        "namespace": each.namespace,
        "app": each.app,
        "status": STATUSES[each.state],
        "reason": each.reason,
        "state": each.state,
        "pins": each.pins,
        "workflow_hash": each.workflow_hash,
        "accepted_at": shown(each.accepted_at),
        "started_at": shown_or_none(each.started_at),
        "ended_at": shown_or_none(each.ended_at),
        "busy_ms": each.busy_ms,
        "attempts": each.attempts,
        "node": each.node,
        "key": each.key_name,
        "user_id": each.user_id,
        "session_id": each.session_id,
        "trigger": each.trigger_name,
        "tags": orjson.Fragment(each.tags),
        "cancel_requested": each.canceling,
        "last_sequence": each.last_event,
        "input": _json(of.input if content else None),
        "output": _json(of.output if content else None),
        "content_omitted": of.is_omitted,
        "error": _error(each, content=content),
    }


def claim(of: Claim) -> dict[str, Any]:
    return {
        "run": run(Shown(of.run, of.input), content=True),
        "fence": of.run.fence,
        "lease_seconds": LEASE,
        "busy_ms": of.run.busy_ms,
        "alone": of.alone,
        "headers": orjson.Fragment(of.run.headers),
        "parts": {node: base64.b64encode(state).decode() for node, state in of.parts.items()},
    }


def events(of: Events, after: int, *, content: bool) -> dict[str, Any]:
    """Returns events of a run, and if no later ones will come. Without `content`, their data is empty."""
    last = of.events[-1].sequence if of.events else after
    return {
        "data": [
            {
                "sequence": each.sequence,
                "type": each.type,
                "timestamp": shown(each.at),
                "data": _event_data(of, each) if content else {},
            }
            for each in of.events
        ],
        "ended": not of.run.is_open and last >= of.run.last_event,
    }


def _event_data(of: Events, event: Event) -> Any:
    return orjson.Fragment(event.data) if event.data is not None else end_data(of.run, of.output)


def end_data(of: Run, output: bytes | None) -> dict[str, Any]:
    """Returns the data of the last event of a run."""
    data = {"id": of.id, "object": "run", "status": STATUSES[of.state], "reason": of.reason, "error": _error(of, content=True)}
    if STATUSES[of.state] == "completed":
        data["output"] = _json(output)
    if of.cancel_by is not None:
        data["by"] = of.cancel_by
    return data


def open_runs(of: Snapshot) -> dict[str, Any]:
    """Returns the counts of open runs, one entry for each App's pins."""
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for each in of.runs:
        place = (each.app_uid, each.pins)
        if (entry := entries.get(place)) is None:
            entry = entries[place] = _entry(each, polled=place in of.polled)
        entry[each.state] += each.runs
        entry["oldest"] = min(entry["oldest"], shown(each.oldest))
    return {"version": of.version, "data": list(entries.values())}


def _entry(of: Open, *, polled: bool) -> dict[str, Any]:
    counts: dict[str, Any] = dict.fromkeys(OPEN_STATES, 0)
    place = {"namespace": of.namespace, "app": of.app, "app_uid": of.app_uid, "pins": of.pins}
    return {**place, **counts, "oldest": shown(of.oldest), "polled": polled}


def page(of: Sequence[Shown], number: int, size: int, total: int, *, content: bool) -> dict[str, Any]:
    pagination = {"page": number, "page_size": size, "page_count": -(-total // size), "total_count": total}
    return {"data": [run(each, content=content) for each in of], "pagination": pagination}


def claims(of: Iterable[Claim], next_seconds: int) -> dict[str, Any]:
    return {"data": [claim(each) for each in of], "next_seconds": next_seconds}


def _json(data: bytes | None) -> Any:
    return orjson.Fragment(data) if data is not None else None


def _error(of: Run, *, content: bool) -> Any:
    if of.error is None:
        return None
    if content:
        return orjson.Fragment(of.error)
    return {"code": msgspec.json.decode(of.error)["code"]}
