"""Whether an object is as desired: every field that we state has our value, and what we no longer state is gone.

Other fields are others', but for the maps that `child_kinds.CHILD_KINDS` calls closed or exact: in those nothing may be added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dynamiq_operator.desired.child_kinds import ChildKind, child_kind
from dynamiq_operator.desired.quantities import amount
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest

_QUANTITIES = frozenset({"cpu", "memory", "sizeLimit"})


def first_difference(desired: Manifest, observed: Manifest) -> str | None:
    """The path of the first field in which `observed` differs from `desired`; None where none does.

    In a closed or exact map a key that `desired` lacks is a difference, too. Raises KeyError where the kind is not a child's.
    """
    return _differs(desired, observed, "", child_kind(desired["kind"]))


def first_stale_field(desired: Manifest, observed: Manifest) -> str | None:
    """The path of the first field that we applied once and `desired` lacks: an annotation, or, where the spec is pruned, a field of it.

    Ours is what our field manager owns. Raises KeyError where the kind is not a child's.
    """
    return next((f".{path}" for path in _stale_fields(desired, observed)), None)


def _differs(desired: Any, observed: Any, path: str, kind: ChildKind) -> str | None:
    if desired == observed:
        return None
    if isinstance(desired, Mapping) and isinstance(observed, Mapping):
        return _of_maps(desired, observed, path, kind)
    if isinstance(desired, list) and isinstance(observed, list):
        return _of_lists(desired, observed, path, kind)
    is_same_quantity = path.rsplit(".", 1)[-1] in _QUANTITIES and amount(desired) == amount(observed)
    return None if is_same_quantity else path


def _of_maps(desired: Mapping[str, Any], observed: Mapping[str, Any], path: str, kind: ChildKind) -> str | None:
    exact = f"{path}.".startswith(kind.exact)
    if (exact or path in kind.closed) and observed.keys() - desired.keys():
        return path
    for key, value in desired.items():
        if key not in observed:
            if value in ({}, [], "", None, False) and not exact:
                continue  # the API server drops what is empty
            return f"{path}.{key}"
        if (found := _differs(value, observed[key], f"{path}.{key}", kind)) is not None:
            return found
    return None


def _of_lists(desired: list[Any], observed: list[Any], path: str, kind: ChildKind) -> str | None:
    if path.endswith(".ownerReferences"):
        return None if all(reference in observed for reference in desired) else path
    if len(desired) != len(observed):
        return path
    for index, (one, other) in enumerate(zip(desired, observed, strict=True)):
        if (found := _differs(one, other, f"{path}[{index}]", kind)) is not None:
            return found
    return None


def _stale_fields(desired: Manifest, observed: Manifest) -> Iterator[str]:
    for entry in observed["metadata"].get("managedFields") or ():
        if entry.get("manager") == names.FIELD_MANAGER and not entry.get("subresource"):
            owned: dict[str, Any] = entry.get("fieldsV1") or {}
            annotations = owned.get("f:metadata", {}).get("f:annotations", {})
            yield from _missing(annotations, desired["metadata"].get("annotations") or {}, "metadata.annotations")
            if child_kind(desired["kind"]).prunes_spec:
                yield from _missing(owned.get("f:spec", {}), desired["spec"], "spec")


def _missing(owned: Mapping[str, Any], stated: Mapping[str, Any], path: str) -> Iterator[str]:
    return (f"{path}.{field[2:]}" for field in owned if field.startswith("f:") and field[2:] not in stated)
