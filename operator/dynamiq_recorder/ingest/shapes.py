"""Parses the shape of a run's input, as its pod sent it. It trusts no name of a trigger: any caller can write that header."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from dynamiq_recorder.identity.senders import Sender
from dynamiq_recorder.ingest import clean
from dynamiq_recorder.model import MORE, RunShape

SHAPE = "dynamiq.run.shape"
NAMES_MOST, NAME_MOST, LONGEST = 64, 64, 64 * 1024
"""Most names of a shape, most characters of each, and most characters of the text."""
TYPES = frozenset({"string", "number", "boolean", "object", "array", "null"})
UNKNOWN = "unknown"
KEPT = 128
"""Parsed shapes that are kept: the runs of an App have few."""


def shape_of(attributes: dict[str, Any], sender: Sender) -> RunShape | None:
    """Returns the shape of a run of an App's own pod; None if it has none, or if the App's shapes are not counted."""
    text = attributes.get(SHAPE)
    if not (sender.is_own and sender.counts_shapes and isinstance(text, str) and len(text) <= LONGEST):
        return None
    if (parsed := _parsed(text)) is None:
        return None
    trigger = clean.text(attributes.get("dynamiq.trigger"))
    key, fields, has_more = clean.text(attributes.get("dynamiq.key")), *parsed
    return RunShape(key=key or "", trigger=trigger if trigger in sender.triggers else "", fields=fields, has_more=has_more)


@lru_cache(maxsize=KEPT)
def _parsed(text: str) -> tuple[tuple[tuple[str, str], ...], bool] | None:
    """Returns the types by name, and if names are missing; None for a text that is no shape."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, dict):
        return None
    fields: dict[str, str] = {}
    for name, kind in given.items():
        name = clean.cleaned(name)
        name = name if len(name) <= NAME_MOST else name[: NAME_MOST - 1] + MORE
        if name != MORE and len(fields) < NAMES_MOST:
            fields[name] = kind if isinstance(kind, str) and kind in TYPES else UNKNOWN
    return tuple(sorted(fields.items())), MORE in given or len(given) > NAMES_MOST
