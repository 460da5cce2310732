"""Reads waiting rows as the API server sends them, with the operator's sentences unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dynamiq_operator.model.manifests import Manifest


def is_waiting(row: Manifest) -> bool:
    """Returns True if the row waits: it is pinned with guards, and neither admitted nor ended."""
    spec = row["spec"]
    pinned: Mapping[str, Any] = spec.get("pinned") or {}
    return bool(pinned.get("guards")) and "released" not in spec and "outcome" not in spec


def waits_of(row: Manifest) -> Mapping[str, Any] | None:
    """Returns what the row waits for, in the operator's words; None if it has ended or waits for nothing."""
    waits: Mapping[str, Any] | None = (row.get("status") or {}).get("waits")
    return waits if waits and "outcome" not in row["spec"] else None


def approved_by(spec: Mapping[str, Any]) -> str | None:
    """Returns who approved or resumed a row, separated by commas; None if nobody did."""
    return ", ".join((spec.get("released") or {}).get("by") or ()) or None


def holding(guards: Iterable[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    """Returns the guards of `App.status.guards` that would block rows of this kind."""
    return [each for each in guards if kind in (each.get("appliesTo") or ())]
