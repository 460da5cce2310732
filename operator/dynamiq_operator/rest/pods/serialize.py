"""Serializes pods and their Events as the contract's JSON. Pure.

Events and pods contain untrusted text: it is bounded, and stays text.
"""

from __future__ import annotations

from collections.abc import Iterable

from dynamiq_operator.desired.base import is_ending
from dynamiq_operator.desired.pins import label_of
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.causes import find_cause
from dynamiq_operator.plan.observed.pods import ObservedPod
from dynamiq_operator.rest.shared.serialize import Data

EVENTS_MOST = 20
MESSAGE_MOST = 2048
"""Letters of a message, at most."""


def pod(raw: Manifest, selected: str, events: Iterable[Manifest]) -> Data:
    """Serializes a pod.

    `selected`: the pins label by which the App's Service selects, empty if it selects any pod. `events`: the pod's own.
    """
    meta, seen = raw["metadata"], ObservedPod.of(raw)
    reason, message = _why(raw, seen)
    return {
        "name": meta["name"],
        "phase": (raw.get("status") or {}).get("phase") or "Unknown",
        "ready": seen.ready,
        "restarts": seen.container.restarts if seen.container is not None else 0,
        "reason": reason,
        "message": message[:MESSAGE_MOST] if message else None,
        "node": raw["spec"].get("nodeName"),
        "created_at": meta["creationTimestamp"],
        "is_serving": seen.ready and not seen.deleting and selected in ("", label_of(raw)),
        "events": [_event(each) for each in sorted(events, key=_last, reverse=True)[:EVENTS_MOST]],
    }


def _why(raw: Manifest, seen: ObservedPod) -> tuple[str | None, str | None]:
    """Returns why a pod is not Ready: as a deploy that fails for it reports it, else in the pod's own words."""
    if is_ending(raw):
        return "Terminating", None
    if seen.ready:
        return None, None
    if (cause := find_cause([seen], None)) is not None:
        return cause.reason, cause.message
    status = raw.get("status") or {}
    waiting = seen.container.waiting_reason if seen.container is not None else None
    return waiting or status.get("reason"), status.get("message")


def _event(raw: Manifest) -> Data:
    series = raw.get("series") or {}
    return {
        "type": raw.get("type") or "Normal",
        "reason": (raw.get("reason") or "")[:MESSAGE_MOST],
        "message": (raw.get("message") or "")[:MESSAGE_MOST],
        "count": raw.get("count") or series.get("count") or 1,
        "last_at": _last(raw) or None,
    }


def _last(raw: Manifest) -> str:
    """Returns when an Event last occurred, from whichever of its fields has that."""
    times = ((raw.get("series") or {}).get("lastObservedTime"), raw.get("lastTimestamp"), raw.get("eventTime"), raw.get("firstTimestamp"))
    return next((time for time in times if time), "")
