"""What a waiting row needs, as one text: in order, and taken apart again."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PLACE = re.compile(r"(?:^Needs \d+ things: |; )\(\d+\) ")


def in_order(needs: Sequence[str]) -> str:
    """Returns one need as it is, and several with their places: `Needs 2 things: (1) …; (2) …`."""
    return needs[0] if len(needs) == 1 else f"Needs {len(needs)} things: " + "; ".join(f"({at}) {need}" for at, need in enumerate(needs, 1))


def needs_of(text: str) -> list[str]:
    """Returns the needs of a text by `in_order`, in their order; older operators put `; ` alone between them."""
    return [each for each in _PLACE.split(text) if each] if _PLACE.match(text) else text.split("; ")


def is_approval(need: str) -> bool:
    """Whether a need is met by approvals alone; the second form is that of older operators."""
    return re.match(r"(Needs|it awaits) \d+ approvals? ", need) is not None


def is_resumption(need: str) -> bool:
    """Whether somebody has to resume, and nothing else."""
    return "`kubectl dynamiq resume " in need and not need.startswith("Frozen until ")


def asks_somebody(text: str) -> bool:
    """Whether somebody has to act before the row goes on: its sentences then name a command."""
    return "`kubectl dynamiq " in text
