"""Builds the query of a watch, and parses its lines. It sends no request."""

from __future__ import annotations

import orjson

from dynamiq_operator.kube import errors
from dynamiq_operator.model.objects import Manifest

WATCH_FOR = 6
"""Seconds after which the API server ends a watch. A silent watch never recovers, and looks like one without events: it must end soon."""
GRACE = 1.0
"""Seconds after that in which the API server has to end the watch, or it is ended here."""
BRIEF = 1.0
"""Seconds: a watch that ended sooner, without an event, has failed."""
EXPIRED = 410
TYPES = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})


def query(version: str, *, label: str = "", field: str = "") -> dict[str, str | int]:
    """Returns the query of a watch from a resourceVersion on."""
    parameters: dict[str, str | int] = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": WATCH_FOR,
    }
    return parameters | {name: selector for name, selector in (("labelSelector", label), ("fieldSelector", field)) if selector}


def event_of(line: bytes, path: str) -> Manifest:
    """Parses the event of a line.

    Raises errors.Unavailable with the status `EXPIRED` for an error of the API server, and for a line that is no event of an object.
    """
    try:
        event = orjson.loads(line)
    except ValueError as error:
        raise errors.Unavailable(f"watch {path}: a line is not JSON", EXPIRED) from error
    changed = event.get("object") if isinstance(event, dict) else None
    if isinstance(changed, dict) and event.get("type") == "ERROR":
        raise errors.Unavailable(f"watch {path}: {changed.get('message') or changed}", EXPIRED)
    meta = changed.get("metadata") if isinstance(changed, dict) else None
    if not isinstance(meta, dict) or event.get("type") not in TYPES or not str(meta.get("resourceVersion", "")).isdecimal():
        raise errors.Unavailable(f"watch {path}: a line is not an event", EXPIRED)
    if event["type"] != "BOOKMARK" and not isinstance(meta.get("name"), str):
        raise errors.Unavailable(f"watch {path}: an event has no object", EXPIRED)
    parsed: Manifest = event
    return parsed
