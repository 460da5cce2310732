"""Derives from outcomes how rows ended where their phase is not enough, so it works for old rows, too.

It imports no pydantic: a history is printed without it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from enum import StrEnum
from typing import Any

from dynamiq_operator.model import names
from dynamiq_operator.model.manifests import Manifest

REJECTED_BY, WITHDRAWN_BY, WAS_REJECTED_BY = "rejected by ", "withdrawn by ", " was rejected by "
"""Beginnings of the reasons of such rows; the last one follows a version. After each comes text written by people."""
_VERSION_REJECTED = re.compile(f"v[1-9][0-9]*{WAS_REJECTED_BY}")


class Ending(StrEnum):
    """How a row ended: rejected or withdrawn before it ran, overtaken by a newer row, or live until the operator reverted it."""

    REJECTED = "Rejected"
    WITHDRAWN = "Withdrawn"
    OVERTAKEN = "Overtaken"
    REVERTED = "Reverted"


def ending(name: str, spec: Mapping[str, Any], reverts: Container[str] = (), noted: str | None = None) -> Ending | None:
    """Returns how a row ended; None if its phase is enough, or it has not ended.

    `reverts`: result of `live_reverts` for the App's known rows. `noted`: the ending in its status.
    """
    outcome: Mapping[str, Any] = spec.get("outcome") or {}
    match outcome.get("result"):
        case "Overtaken":
            return Ending.OVERTAKEN
        case "Failed":
            return _unreleased(spec, outcome.get("reason") or "")
        case "Succeeded" if noted == Ending.REVERTED or names.revert_row(spec["app"], name) in reverts:
            return Ending.REVERTED
    return None


def live_reverts(rows: Iterable[Manifest]) -> frozenset[str]:
    """Returns the names of the rows that reverted another row and went live."""
    return frozenset(row["metadata"]["name"] for row in rows if is_live_revert(row["spec"]))


def is_live_revert(spec: Mapping[str, Any]) -> bool:
    """Returns True if a row is a revert that went live."""
    is_revert = (spec.get("pinned") or {}).get("source") == "Revert"
    return is_revert and (spec.get("outcome") or {}).get("result") == "Succeeded"


def _unreleased(spec: Mapping[str, Any], reason: str) -> Ending | None:
    """Returns the ending of a failed row; None for one that failed while it was rolled out."""
    # An admitted row failed by itself, whatever its reason begins with.
    pinned = spec.get("pinned")
    if pinned and (not pinned.get("guards") or "released" in spec):
        return None
    if reason.startswith(WITHDRAWN_BY):
        return Ending.WITHDRAWN
    return Ending.REJECTED if reason.startswith(REJECTED_BY) or _VERSION_REJECTED.match(reason) else None
