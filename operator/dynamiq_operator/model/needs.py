"""Formats the needs of a waiting row as one text, in order, and parses them again."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PLACE = re.compile(r"(?:^Needs \d+ things: |; )\(\d+\) ")


def in_order(needs: Sequence[str]) -> str:
    """Returns a single need unchanged, several with their places: `Needs 2 things: (1) …; (2) …`."""
    return (
        needs[0]
        if len(needs) == 1
        else f"Needs {len(needs)} things: " + "; ".join(f"({place}) {need}" for place, need in enumerate(needs, 1))
    )


def needs_of(text: str) -> list[str]:
    """Parses a text by `in_order` into its needs. Older operators only put `; ` between them."""
    return [each for each in _PLACE.split(text) if each] if _PLACE.match(text) else text.split("; ")


def is_approval(need: str) -> bool:
    """Returns True if approvals alone meet a need. The second form is that of older operators."""
    return re.match(r"(Needs|it awaits) \d+ approvals? ", need) is not None


def is_resumption(need: str) -> bool:
    """Returns True if a resumption alone meets a need."""
    return "`kubectl dynamiq resume " in need and not need.startswith("Frozen until ")


def asks_somebody(text: str) -> bool:
    """Returns True if somebody has to act before the row proceeds: its sentences then contain a command."""
    return "`kubectl dynamiq " in text
