"""Kubernetes' quantities as numbers, to compare them: `1Gi` is `1024Mi`.

`kubernetes.utils.quantity` does the same, but importing it loads the whole API client, which a pure layer and a plugin that starts
quickly cannot have.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

_UNITS = {"": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12)}
_UNITS |= {f"{unit}i": Decimal(1024**power) for power, unit in enumerate(("K", "M", "G", "T"), 1)}


def amount(quantity: Any) -> Decimal | None:
    """The number; None for what is no quantity that our schemas take."""
    text = str(quantity)
    unit = text.lstrip("0123456789.")
    try:
        return Decimal(text.removesuffix(unit) if unit else text) * _UNITS[unit]
    except (InvalidOperation, KeyError):
        return None
