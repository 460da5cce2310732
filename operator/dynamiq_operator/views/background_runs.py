"""Formats background runs as text. Pure. It reads the journal's responses without models, so that the plugin starts fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dynamiq_operator.desired.pin_labels import stored_digest
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.views.runs import UNKNOWN, at_second, milliseconds

Data = Mapping[str, Any]


def rows_by_pins(rows: Iterable[Manifest]) -> dict[str, str]:
    """Returns the newest row of each pins, such as `v2 (#12)`."""
    specs = [raw["spec"] for raw in rows if raw["spec"].get("pinned") and raw["spec"].get("sequence")]
    specs.sort(key=lambda spec: spec["sequence"])
    return {stored_digest(spec["pinned"]): f"{spec['pinned']['workflowVersion']} (#{spec['sequence']})" for spec in specs}


def row_of(run: Data, rows: Mapping[str, str]) -> str:
    """Returns the row that a run is executed on; its pins if no row has them."""
    return rows.get(run["pins"], run["pins"])


def state_of(run: Data) -> str:
    """Returns the status of a run, and why or when it ends: `failed: no such invoice`."""
    error = run.get("error") or {}
    why = error.get("message") or error.get("code") or run["reason"]
    if why is not None and why != run["status"]:
        return f"{run['status']}: {why}"
    return f"{run['status']}, canceled at its next node" if run["cancel_requested"] and run["ended_at"] is None else str(run["status"])


def details(run: Data, rows: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Yields names and values of what is known of a run."""
    yield "run", run["id"]
    yield "app", run["app"]
    yield "status", state_of(run)
    yield "accepted", at_second(run["accepted_at"])
    yield "began", at_second(run["started_at"])
    yield "ended", at_second(run["ended_at"])
    yield "took", milliseconds(run["busy_ms"]) if run["started_at"] else UNKNOWN
    yield "row", row_of(run, rows)
    yield "node", run["node"]
    yield "attempts", f"{run['attempts']} interrupted since its last progress" if run["attempts"] else UNKNOWN
    for name in ("key", "trigger", "session_id", "user_id"):
        yield name.removesuffix("_id"), run[name]
    yield "tags", ", ".join(run["tags"])


def is_shown(event: Data) -> bool:
    """Returns False for parts of a streamed text, which are many."""
    return not str(event["type"]).endswith(".delta")


def event_cells(event: Data) -> list[str]:
    """Returns an event's number, time, type, and node. A later attempt has its number."""
    kind, attempt = str(event["type"]), event["data"].get("attempt")
    node = event["data"].get("id") if kind.startswith("node.") else None
    about = " ".join([*([str(node)] if node else []), *([f"(attempt {attempt})"] if attempt not in (None, 1) else [])])
    return [str(event["sequence"]), at_second(event["timestamp"]), kind, about]
