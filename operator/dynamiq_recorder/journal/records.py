"""Makes the record of a run that the journal itself ends: one span without nodes and content. Pods make those of all other runs."""

from __future__ import annotations

import uuid
from typing import Any, Protocol

import msgspec

OUTCOMES = {"canceled": "abandoned"}
"""The recorder's outcomes for reasons; else a run has failed."""


class Ended(Protocol):
    """The fields of a run that its record has. Times are microseconds."""

    id: str
    pins: str
    workflow_hash: str | None
    user_id: str | None
    session_id: str | None
    trigger_name: str | None
    tags: str
    reason: str | None
    accepted_at: int
    ended_at: int | None


def of(run: Ended) -> dict[str, Any]:
    """Returns an ExportTraceServiceRequest with a run."""
    identity, reason = uuid.UUID(run.id), run.reason or ""
    texts = {
        "dynamiq.run.id": run.id,
        "dynamiq.run.outcome": OUTCOMES.get(reason, "failed"),
        "dynamiq.run.reason": reason,
        "dynamiq.trigger": run.trigger_name,
        "session.id": run.session_id,
        "user.id": run.user_id,
    }
    tags = [{"stringValue": tag} for tag in msgspec.json.decode(run.tags)]
    span = {
        "traceId": identity.hex,
        "spanId": f"{identity.int & (1 << 64) - 1 or 1:016x}",
        "name": "run",
        "kind": 2,
        "startTimeUnixNano": str(run.accepted_at * 1000),
        "endTimeUnixNano": str((run.ended_at or run.accepted_at) * 1000),
        "attributes": [*_attributes(texts), {"key": "dynamiq.tags", "value": {"arrayValue": {"values": tags}}}],
    }
    resource = {"attributes": _attributes({"dynamiq.pins": run.pins, "dynamiq.workflow.hash": run.workflow_hash})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}


def _attributes(texts: dict[str, str | None]) -> list[dict[str, Any]]:
    return [{"key": name, "value": {"stringValue": text}} for name, text in texts.items() if text]
