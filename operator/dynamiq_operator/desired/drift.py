"""Whether an object is as we want it: every field that we state has our value; fields that we do not state are others'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamiq_operator.desired.quantities import amount

_QUANTITIES = frozenset({"cpu", "memory", "sizeLimit"})
_WHOLE = frozenset({".spec.selector", ".spec.parentRefs[0]"})
"""Maps whose every key is ours: one more in a Service's selector, and it finds no pod; in an HTTPRoute's parent, and it is another."""
_EXACT = (".spec.ingress[", ".spec.egress[", ".spec.podSelector.")
"""Where the maps of a NetworkPolicy begin: one key more or less in any of them, and it lets through what it should not."""


def drifted(desired: Mapping[str, Any], observed: Mapping[str, Any]) -> str | None:
    """The first field of `desired` that `observed` has otherwise, as a path; None where there is none."""
    return _differs(desired, observed, "")


def _differs(desired: Any, observed: Any, path: str) -> str | None:
    if isinstance(desired, Mapping) and isinstance(observed, Mapping):
        exact = f"{path}.".startswith(_EXACT)
        if (exact or path in _WHOLE) and observed.keys() - desired.keys():
            return path
        for key, value in desired.items():
            if key not in observed:
                if value in ({}, [], "", None, False) and not exact:
                    continue  # the API server drops what is empty
                return f"{path}.{key}"
            if (found := _differs(value, observed[key], f"{path}.{key}")) is not None:
                return found
        return None
    if isinstance(desired, list) and isinstance(observed, list):
        if path.endswith(".ownerReferences"):
            return None if all(reference in observed for reference in desired) else path
        if len(desired) != len(observed):
            return path
        return next(
            (
                found
                for index, (one, other) in enumerate(zip(desired, observed, strict=True))
                if (found := _differs(one, other, f"{path}[{index}]"))
            ),
            None,
        )
    if desired == observed or (path.rsplit(".", 1)[-1] in _QUANTITIES and amount(desired) == amount(observed)):
        return None
    return path
