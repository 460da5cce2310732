"""Parses the flow and the layout of a body into the text that is stored."""

from __future__ import annotations

from collections.abc import Mapping

from dynamiq_operator.model.base import FLOW_MAX_BYTES
from dynamiq_operator.rest.http.errors import invalid_field

FLOW_UI_MAX_BYTES = 256 * 1024


def flow_in(members: Mapping[str, str]) -> str:
    """Returns the flow of a body, as it is stored. Raises HttpProblem."""
    return _bounded("flow", members["flow"], FLOW_MAX_BYTES, "900 KiB")


def flow_ui_in(members: Mapping[str, str]) -> str | None:
    """Returns the layout of a body, as it is stored; None if it has none. Raises HttpProblem."""
    text = members.get("flow_ui", "null")
    return None if text == "null" else _bounded("flow_ui", text, FLOW_UI_MAX_BYTES, "256 KiB")


def _bounded(field: str, text: str, most: int, limit: str) -> str:
    if (size := len(text.encode())) > most:
        raise invalid_field(field, f"it has {size} bytes as compact JSON, and may have at most {limit} ({most} bytes)")
    return text
