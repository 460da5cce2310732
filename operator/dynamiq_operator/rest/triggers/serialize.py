"""Serializes triggers, and the Jobs that ran them, as the contract's JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dynamiq_operator.model import triggers
from dynamiq_operator.model.objects import Manifest, format_time
from dynamiq_operator.rest.shared.serialize import Data
from dynamiq_operator.rest.triggers.requests import PROVIDER


def trigger(app_id: str, raw: Mapping[str, Any], now: datetime) -> Data:
    """Serializes a trigger of the App's spec."""
    transformer = raw.get("inputTransformer")
    return {
        "id": triggers.id_of(app_id, raw),
        "app_id": app_id,
        "name": triggers.shown_name(raw),
        "provider": PROVIDER,
        "status": triggers.status(raw, now).value,
        "config": {
            "timezone": raw.get("timezone") or "UTC",
            "schedule": raw.get("schedule"),
            "run_at": _time(raw.get("runAt")),
            "expires_at": _time(raw.get("expiresAt")),
        },
        "input_transformer": None if transformer is None else {"path": transformer.get("path"), "selector": transformer.get("selector")},
    }


def event(trigger_id: str, job: Manifest, message: str | None = None) -> Data:
    """Serializes a run. `message`: the one about it in the App's status."""
    meta, status = job["metadata"], job.get("status") or {}
    ends = {each["type"]: each for each in status.get("conditions") or () if each.get("status") == "True"}
    failed = ends.get("Failed")
    return {
        "id": meta["uid"],
        "trigger_id": trigger_id,
        "name": meta["name"],
        "status": "failed" if failed else "succeeded" if "Complete" in ends else "running",
        "created_at": meta["creationTimestamp"],
        "started_at": status.get("startTime"),
        "ended_at": failed.get("lastTransitionTime") if failed else status.get("completionTime"),
        "message": (message or failed.get("message") or failed.get("reason")) if failed else None,
    }


def _time(text: str | None) -> str | None:
    parsed = triggers.moment(text)
    return format_time(parsed) if parsed else text
