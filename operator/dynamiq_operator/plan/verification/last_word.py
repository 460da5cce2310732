"""What an evaluation Job said last: a score and a message, of which nothing secret is kept."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from dynamiq_operator.plan.verification.text import HIDDEN, redacted

MESSAGE_MAX = 512


def said_by(word: str) -> tuple[float | None, str]:
    """Score and message of the last line: JSON with these two, or a plain text."""
    lines = word.strip().splitlines()
    if not lines:
        return None, ""
    try:
        said: Any = json.loads(lines[-1], parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return None, lines[-1]
    score, message = said.get("score"), said.get("message")
    number = float(score) if isinstance(score, (int, float)) and not isinstance(score, bool) and abs(score) < 1e15 else None
    return number, message if isinstance(message, str) else ""


def without_secrets(word: str, secrets: Iterable[str] | None) -> str:
    """Such a word that says the same but for these values; without its message where they are not known."""
    score, message = said_by(word)
    told = message and (HIDDEN if secrets is None else redacted(message, secrets))
    return json.dumps({"score": score, "message": told}) if word.strip() else ""
