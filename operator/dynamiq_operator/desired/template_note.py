"""Reads our note on the applied pod template from a workload. Imports no pydantic: the plugin's `status` runs without models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dynamiq_operator.desired import managed_fields
from dynamiq_operator.model import names

NOTE = ("f:metadata", "f:annotations", f"f:{names.APPLIED_TEMPLATE_ANNOTATION}")
"""The path of the note in managedFields."""


def applied_digest(observed: Mapping[str, Any]) -> str | None:
    """Returns the digest of the applied template, whatever the App asks for now; None if unknown."""
    digest = last_applied(observed).get("inputs")
    return digest if isinstance(digest, str) else None


def applied_pins(observed: Mapping[str, Any]) -> str | None:
    """Returns the digest of the pins of the applied template; None if unknown."""
    pins = last_applied(observed).get("pins")
    return pins if isinstance(pins, str) else None


def noted_version(observed: Mapping[str, Any]) -> str | None:
    """Returns the workflow version of the pins that a workload of strategy Switch notes; None if it notes none."""
    of = last_applied(observed).get("of")
    version = of.get("version") if isinstance(of, Mapping) else None
    return str(version) if version is not None else None


def last_applied(observed: Mapping[str, Any]) -> dict[str, Any]:
    """Returns our note on the applied template; empty if there is none, another manager wrote it, or it is no JSON object."""
    noted = (observed.get("metadata", {}).get("annotations") or {}).get(names.APPLIED_TEMPLATE_ANNOTATION)
    if noted and not managed_fields.is_ours_at(observed, NOTE):
        return {}
    try:
        note = json.loads(noted) if noted else {}
    except (ValueError, RecursionError):  # a caller that uses our manager's name may write anything
        return {}
    return note if isinstance(note, dict) else {}
