"""Explains validation errors of fields to users, from pydantic's error details."""

from __future__ import annotations

from typing import Any

from pydantic_core import ErrorDetails

_LENGTHS = {
    "string_too_long": ("at most {max_length:,} characters", len),
    "string_too_short": ("at least {min_length:,} characters", len),
}
UUID = "[0-9a-fA-F]{8}(-"
"""Beginning of the pattern of an id, after `^`."""


def in_words(error: ErrorDetails) -> str:
    """Returns words such as `at most 1,024 characters, and this has 3,012`; pydantic's own where there are none."""
    context: dict[str, Any] = error.get("ctx") or {}
    if (length := _LENGTHS.get(error["type"])) is not None:
        bound, count = length
        return f"{bound.format(**context)}, and this has {count(error['input']):,}"
    if error["type"] == "extra_forbidden":
        return "this field does not exist"
    if error["type"] == "string_pattern_mismatch" and str(context.get("pattern", "")).lstrip("^").startswith(UUID):
        return "this is not an id, which is a UUID such as 9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11"
    return error["msg"]
