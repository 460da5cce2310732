"""Parses Kubernetes quantities to numbers, so that they can be compared: `1Gi` is `1024Mi`.

`kubernetes.utils.quantity` does the same, but its import loads the whole API client. Pure layers and the plugin, which starts quickly,
cannot have that.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

_UNITS = {"": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12)}
_UNITS |= {f"{unit}i": Decimal(1024**power) for power, unit in enumerate(("K", "M", "G", "T"), 1)}


def amount(quantity: Any) -> Decimal | None:
    """Parses a quantity; None for a text that our schemas refuse."""
    text = str(quantity)
    unit = text.lstrip("0123456789.")
    try:
        return Decimal(text.removesuffix(unit) if unit else text) * _UNITS[unit]
    except (InvalidOperation, KeyError):
        return None
