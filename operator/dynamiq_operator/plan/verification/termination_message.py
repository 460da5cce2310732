"""Reads the termination message of an evaluation Job: a score and a message. It keeps no secret value of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from dynamiq_operator.plan.verification.text import HIDDEN, redacted

MESSAGE_MAX = 512


def score_and_message(text: str) -> tuple[float | None, str]:
    """Returns score and message of the last line, which is JSON with these two, or plain text."""
    lines = text.strip().splitlines()
    if not lines:
        return None, ""
    try:
        parsed: Any = json.loads(lines[-1], parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        return None, lines[-1]
    score, message = parsed.get("score"), parsed.get("message")
    number = float(score) if isinstance(score, (int, float)) and not isinstance(score, bool) and abs(score) < 1e15 else None
    return number, message if isinstance(message, str) else ""


def without_secrets(text: str, secrets: Iterable[str] | None) -> str:
    """Returns the same message without these values; without any message text if they are unknown."""
    score, message = score_and_message(text)
    kept = message and (HIDDEN if secrets is None else redacted(message, secrets))
    return json.dumps({"score": score, "message": kept}) if text.strip() else ""
