"""Rows that wait, and what is said of them. It reads rows as the API server sends them, and says the operator's sentences as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dynamiq_operator.model.manifests import Manifest


def is_waiting(row: Manifest) -> bool:
    """Whether something holds the row: it is pinned, and neither released nor ended."""
    spec = row["spec"]
    pinned: Mapping[str, Any] = spec.get("pinned") or {}
    return bool(pinned.get("guards")) and "released" not in spec and "outcome" not in spec


def waits_of(row: Manifest) -> Mapping[str, Any] | None:
    """What the row waits for, as the operator says it; None where it has ended, or waits for nothing."""
    found: Mapping[str, Any] | None = (row.get("status") or {}).get("waits")
    return found if found and "outcome" not in row["spec"] else None


def approved_by(spec: Mapping[str, Any]) -> str | None:
    """Who approved or resumed a row, with commas between them; None where nobody did."""
    return ", ".join((spec.get("released") or {}).get("by") or ()) or None


def holding(guards: Iterable[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    """Of what would hold rows of an App now (`App.status.guards`), what would hold a row of this kind."""
    return [each for each in guards if kind in (each.get("appliesTo") or ())]
