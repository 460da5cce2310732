"""Shortens inputs, expectations and answers for messages: on one line, and without secrets."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from typing import Any

SHOWN = 200
"""The characters shown of an input, of an expectation and of an answer."""
HIDDEN = "[redacted]"
SECRET_LEAST = 4
"""The least length of a secret value that is redacted: shorter ones are in every text."""
TEXTS = 4
"""The depth of JSON texts inside JSON texts that are redacted. It is the same in pods (dynamiq_runtime/content.py, which nothing here
imports).
"""


def shown(text: str, most: int = SHOWN) -> str:
    """Returns the beginning of a text on one line: control characters and line ends become spaces."""
    clean = "".join(" " if unicodedata.category(each).startswith(("C", "Zl", "Zp")) else each for each in text[: most * 8])
    line = " ".join(clean.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def redacted(text: str, secrets: Iterable[str], fields: Iterable[str] = ()) -> str:
    """Returns a text without these values, plain or as JSON strings. If it is JSON, the values of these fields are redacted, too."""
    names = {each.casefold() for each in fields}
    if names:
        try:
            text = json.dumps(_without(json.loads(text), names), ensure_ascii=False)
        except (ValueError, RecursionError):
            text = HIDDEN  # the fields cannot be found in it
    for value in sorted({each for each in secrets if len(each) >= SECRET_LEAST}, key=len, reverse=True):
        for form in (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
            text = text.replace(form, HIDDEN)
    return text


def _without(value: Any, fields: set[str], texts: int = TEXTS) -> Any:
    if isinstance(value, dict):
        return {key: HIDDEN if key.casefold() in fields else _without(each, fields, texts) for key, each in value.items()}
    if isinstance(value, list):
        return [_without(each, fields, texts) for each in value]
    return _text_without(value, fields, texts) if isinstance(value, str) else value


def _text_without(text: str, fields: set[str], texts: int) -> str:
    """Returns a text that is JSON without the values of these fields; unchanged if it is not JSON, and hidden if it cannot be read."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    if not texts:
        return HIDDEN
    try:
        parsed = json.loads(text, object_pairs_hook=_object)
        kept = _without(parsed, fields, texts - 1)
    except json.JSONDecodeError:
        return text
    except (ValueError, RecursionError):
        return HIDDEN
    return text if kept == parsed else json.dumps(kept, ensure_ascii=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a JSON object. Raises ValueError for a duplicate key: the first value would escape redaction."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("duplicate key")
    return members
