"""What messages show of inputs, expectations and answers: short, on one line, and without what is secret."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from typing import Any

SHOWN = 200
"""Characters of an input, of what was expected and of what came."""
HIDDEN = "[redacted]"
SECRET_LEAST = 4
"""Characters of a secret value from which on it is looked for: a shorter one is in every text."""
TEXTS = 4
"""JSON texts inside of each other that are looked into, as pods do (dynamiq_runtime/content.py, which nothing here imports)."""


def shown(text: str, most: int = SHOWN) -> str:
    """The beginning of a text, on one line: control characters and line ends are spaces."""
    clean = "".join(" " if unicodedata.category(each).startswith(("C", "Zl", "Zp")) else each for each in text[: most * 8])
    line = " ".join(clean.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def redacted(text: str, secrets: Iterable[str], fields: Iterable[str] = ()) -> str:
    """A text without these values, as they are and as JSON writes them, and, where it is JSON, without the values of these fields."""
    names = {each.casefold() for each in fields}
    if names:
        try:
            text = json.dumps(_without(json.loads(text), names), ensure_ascii=False)
        except (ValueError, RecursionError):
            text = HIDDEN  # which of it is such a value nobody can say
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
    """A text that is JSON without the values of these fields; whole where it is none, and hidden where that cannot be told."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    if not texts:
        return HIDDEN
    try:
        found = json.loads(text, object_pairs_hook=_object)
        left = _without(found, fields, texts - 1)
    except json.JSONDecodeError:
        return text
    except (ValueError, RecursionError):
        return HIDDEN
    return text if left == found else json.dumps(left, ensure_ascii=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError where a key is there twice: the first of them would pass unseen."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key is there twice")
    return made
