"""Cleans values of senders, so that every store takes them and none is too long. Wrong values are cut, cleaned or left out."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

NAME_MAX = 256
"""Most characters of an id, a name, a model, a session."""
TAG_MAX, TAGS_MAX = 64, 20
TEXT_MAX = 64 * 1024
"""Most bytes of an input, an output, an error."""
EXTRA_MAX = 256 * 1024
"""Most bytes of an SDK run's other values."""
DEPTH_MAX = 100
"""Most levels of lists and objects. Deeper values are kept as a text, or refused."""
WEIGHT_MAX = 600_000
"""Most values of a JSON text that is parsed whole. Each counts as one, a list or an object as three more, for the memory that it takes."""
PIECE = 256 * 1024
COUNT_MAX = 2**53 - 1
TOKENS_MAX = 2**40
COST_MAX = 1_000_000.0
"""Most US dollars of one call."""
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_WHOLE = re.compile(rb'(?:[^"]*+"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_SURROGATES = re.compile("[\ud800-\udfff]")
_ESCAPED = ("\\u0000", "\\ud", "\\uD")
_IDS = uuid.UUID("2c3f0d8e-6a1b-5f0e-8a53-4f7b9d7f2a10")


def text(value: Any, most: int = NAME_MAX) -> str | None:
    """Returns a text of at most `most` characters without NUL and halves of surrogate pairs; None for an empty or another value."""
    if not isinstance(value, str) or not value:
        return None
    return cleaned(value[:most]) or None


def cleaned(value: str) -> str:
    if value.isascii():
        return value.replace("\0", "") if "\0" in value else value
    return _SURROGATES.sub("�", value.replace("\0", ""))


def tags(value: Any) -> tuple[str, ...]:
    """Deduplicates tags, keeping order."""
    if not isinstance(value, list | tuple):
        return ()
    texts = (text(each, TAG_MAX) for each in value[: 4 * TAGS_MAX])
    return tuple(dict.fromkeys(each for each in texts if each))[:TAGS_MAX]


def count(value: Any, most: int = COUNT_MAX) -> int | None:
    """Parses a whole number from 0 to `most`; returns None for other values. OTLP sends numbers as texts, too."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        if not value.isdecimal() or len(value) > 20:
            return None
        value = int(value)
    if isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    return value if isinstance(value, int) and 0 <= value <= most else None


def tokens(value: Any) -> int | None:
    return count(value, TOKENS_MAX)


def number(value: Any) -> float | None:
    """Parses a finite number; returns None for other values. OTLP sometimes sends doubles as texts."""
    if isinstance(value, bool):
        return None
    try:
        parsed = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) else None


def usd(value: Any) -> float | None:
    """Parses US dollars; returns None for what cannot be a cost."""
    dollars = number(value)
    return dollars if dollars is not None and 0 <= dollars <= COST_MAX else None


def run_id(value: Any) -> str | None:
    """Parses a UUID into lower case with dashes; returns None for other values."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return None


def derived_id(*parts: str) -> str:
    """Returns the id of a run that has none: the same parts give the same id."""
    return str(uuid.uuid5(_IDS, "/".join(parts)))


def depth(raw: bytes) -> int:
    """Counts the levels of a JSON text without parsing it. Returns 0 if they cannot exceed `DEPTH_MAX`."""
    if raw.count(b"[") + raw.count(b"{") <= DEPTH_MAX:
        return 0
    level = deepest = 0
    for piece in _outside_strings(raw):
        levels = list(accumulate(map(_STEP.__getitem__, piece.translate(None, delete=_NO_BRACKETS)), initial=level))
        level, deepest = levels[-1], max(deepest, max(levels))
        if deepest > DEPTH_MAX:
            break
    return deepest


def has_more_objects(raw: bytes, most: int) -> bool:
    """Returns True if a JSON text has more than `most` objects, without parsing it."""
    return raw.count(b"{") > most and sum(piece.count(b"{") for piece in _outside_strings(raw)) > most


def is_heavy(raw: bytes) -> bool:
    """Returns True if a JSON text has more values than `WEIGHT_MAX`, without parsing it."""
    return _weight(raw) > WEIGHT_MAX and sum(map(_weight, _outside_strings(raw))) > WEIGHT_MAX


def _weight(raw: bytes) -> int:
    return raw.count(b",") + 3 * (raw.count(b"[") + raw.count(b"{"))


def _outside_strings(raw: bytes) -> Iterator[bytes]:
    """Yields a JSON text without its strings, in pieces."""
    # In pieces, since all at once takes twenty times the memory of the text.
    begin, size = 0, PIECE
    while begin + size < len(raw):
        piece = raw[begin : begin + size]
        end = match.end() if (match := _WHOLE.match(piece)) else 0
        if b'"' not in piece[end:]:
            end = len(piece)
        if end:
            yield _STRING.sub(b"", piece[:end])
            begin, size = begin + end, PIECE
        else:  # the string is longer than the piece
            size *= 2
    yield _STRING.sub(b"", raw[begin:])


def content(value: Any) -> str | None:
    """Returns an input or output that came as JSON text: unchanged if possible, else as a JSON string of at most `TEXT_MAX` bytes.

    Returns None for a value that is no text.
    """
    if not isinstance(value, str):
        return None
    raw = value.encode(errors="replace")
    if len(raw) <= TEXT_MAX and depth(raw) <= DEPTH_MAX:
        try:
            parsed = json.loads(value, parse_constant=_no_constant)
        except ValueError:
            pass
        else:
            return value if _is_clean(value) else as_json(parsed)
    return _as_text(raw)


def content_of(value: Any) -> str:
    """Returns a value as JSON; as a cut JSON string if it has more than `TEXT_MAX` bytes."""
    made = as_json(value)
    return made if len(made) <= TEXT_MAX // 4 or len(made.encode()) <= TEXT_MAX else _as_text(made.encode())


def _as_text(raw: bytes) -> str:
    """Returns the beginning of a text as a JSON string that fits with all its escapes."""
    room = TEXT_MAX - 2
    while True:
        made = json.dumps(cleaned(raw[:room].decode(errors="ignore")), ensure_ascii=False)
        if (size := len(made.encode())) <= TEXT_MAX:
            return made
        room = min(room * TEXT_MAX // size, room - 1)


def as_json(value: Any) -> str:
    """Serializes a value as compact JSON that every store takes. `value`: of a JSON text of at most `DEPTH_MAX` levels."""
    made = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=True)
    return made if _is_clean(made) else json.dumps(_without_harm(value), ensure_ascii=False, separators=(",", ":"))


def _is_clean(made: str) -> bool:
    if any(each in made for each in _ESCAPED) or "NaN" in made or "Infinity" in made or "\0" in made:
        return False
    return made.isascii() or _SURROGATES.search(made) is None


def _without_harm(value: Any) -> Any:
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_without_harm(each) for each in value]
    if isinstance(value, dict):
        return {cleaned(str(key)): _without_harm(each) for key, each in value.items()}
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
