"""Decides which fields of a child are repaired, by comparing it with its applied manifest: `docs/design/17-drift-is-what-others-set.md`.

`child_kinds.CHILD_KINDS` has the exceptions of each kind; `plan.children.convergence` plans the repair.

A stated field with another value is drift. The exception: admission changed our own apply. The field is then still ours, and the
object carries the digest of exactly this manifest. A field that we applied once and no longer state is drift. Fields that another
manager set in our lists are drift, and in a guarded kind anywhere in `spec`. A field without an owner comes from admission or
defaulting: it is no edit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from dynamiq_operator.desired import managed_fields
from dynamiq_operator.desired.child_kinds import ChildKind, child_kind
from dynamiq_operator.desired.managed_fields import ABSENT, Fields, Path
from dynamiq_operator.desired.quantities import amount
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest

_QUANTITIES = frozenset({"cpu", "memory", "sizeLimit"})
_NOTE: Path = ("f:metadata", "f:annotations", f"f:{names.APPLIED_ANNOTATION}")
RESTARTED_AT: Path = ("f:spec", "f:template", "f:metadata", "f:annotations", "f:kubectl.kubernetes.io/restartedAt")
"""Set by `kubectl rollout restart`. It only recreates pods, as its caller wants."""


def manifest_digest(manifest: Manifest) -> str:
    """Returns a digest that identifies a manifest among this operator's, without the fields of its creation."""
    # Not RFC 8785, which takes ten times as long: only this operator compares these digests.
    text = json.dumps(without_creation(manifest), sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def without_creation(manifest: Manifest) -> Manifest:
    """Returns the manifest without the fields that another manager owns after its creation."""
    at_creation = child_kind(manifest["kind"]).at_creation
    if not at_creation:
        return manifest
    return {**manifest, "spec": {key: value for key, value in manifest["spec"].items() if key not in at_creation}}


def noted(manifest: Manifest, digest: str) -> Manifest:
    """Returns the manifest as it is sent, with its own digest."""
    meta = manifest["metadata"]
    annotations = {**(meta.get("annotations") or {}), names.APPLIED_ANNOTATION: digest}
    return {**manifest, "metadata": {**meta, "annotations": annotations}}


def drift(desired: Manifest, observed: Manifest) -> str | None:
    """Returns the path of the first field to repair; None if the object is as desired.

    Raises KeyError for a kind that is no child kind.
    """
    path = changed_field(desired, observed) or first_stale_field(desired, observed)
    return path or next(map(managed_fields.shown, foreign_fields(desired, observed)), None)


def changed_field(desired: Manifest, observed: Manifest, fields: frozenset[str] | None = None) -> str | None:
    """Returns the path of the first stated field that another manager changed, or that is not applied yet.

    `fields`: the fields of `spec` to compare; None for all.
    """
    compared = desired if fields is None else {**desired, "spec": {key: desired["spec"][key] for key in fields}}
    path = first_difference(compared, observed)
    if path is None or (observed["metadata"].get("annotations") or {}).get(names.APPLIED_ANNOTATION) != manifest_digest(desired):
        return path
    return first_difference(compared, observed, managed_fields.our_fields(observed)) if managed_fields.is_ours_at(observed, _NOTE) else path


def first_difference(desired: Manifest, observed: Manifest, applied: Fields | None = None) -> str | None:
    """Returns the path of the first field in which `observed` differs from `desired`; None if none does.

    `applied`: our fields of an object that carries this manifest's digest. In those, changes by admission are no difference. Elsewhere a
    key of a closed or exact map that `desired` lacks is a difference, too. Raises KeyError for a kind that is no child kind.
    """
    return _differs(desired, observed, applied, "", child_kind(desired["kind"]))


def first_stale_field(desired: Manifest, observed: Manifest) -> str | None:
    """Returns the path of the first annotation, label or field of `spec` that we applied once and `desired` lacks.

    A `spec` that we created by POST, of a kind that is not pruned, is not compared: the POST contained defaults, too.
    Raises KeyError for a kind that is no child kind.
    """
    return next(map(managed_fields.shown, _stale_fields(desired, observed, child_kind(desired["kind"]))), None)


def foreign_fields(desired: Manifest, observed: Manifest) -> Iterator[Path]:
    """Yields the paths that other managers must not set: items of our lists, and anything in a guarded `spec`."""
    for entry in managed_fields.entries(observed):
        if managed_fields.is_of_others(entry):
            yield from fields_to_take(entry, desired, observed)


def fields_to_take(entry: Manifest, desired: Manifest, observed: Manifest) -> Iterator[Path]:
    """Yields the paths to remove from another manager's entry."""
    kind = child_kind(desired["kind"])
    spec = {"f:spec": (entry.get("fieldsV1") or {}).get("f:spec", {})}
    for path in managed_fields.unstated(spec, desired, (RESTARTED_AT, *_of_creation(kind))):
        in_ours = path[-1].startswith(("k:", "v:")) or managed_fields.shown(path[:-1]) in kind.closed
        if (kind.guarded or in_ours) and managed_fields.has(observed, path):
            yield path


def _differs(desired: Any, observed: Any, applied: Fields | None, path: str, kind: ChildKind) -> str | None:
    if desired == observed or applied == {}:
        return None
    if isinstance(desired, Mapping) and isinstance(observed, Mapping):
        return _of_maps(desired, observed, applied, path, kind)
    if isinstance(desired, list) and isinstance(observed, list):
        return _of_lists(desired, observed, applied, path, kind)
    is_same_quantity = path.rsplit(".", 1)[-1] in _QUANTITIES and amount(desired) == amount(observed)
    return None if is_same_quantity else path


def _of_maps(desired: Mapping[str, Any], observed: Mapping[str, Any], applied: Fields | None, path: str, kind: ChildKind) -> str | None:
    exact = f"{path}.".startswith(kind.exact)
    if (exact or path in kind.closed) and not applied and observed.keys() - desired.keys():
        return path
    for key, value in desired.items():
        below = applied.get(f"f:{key}") if applied is not None else None
        if key not in observed:
            if below is not None or (value in ({}, [], "", None, False) and not exact):
                continue  # admission took it out, or the API server dropped what is empty
            return f"{path}.{key}"
        if (difference := _differs(value, observed[key], below, f"{path}.{key}", kind)) is not None:
            return difference
    return None


def _of_lists(desired: list[Any], observed: list[Any], applied: Fields | None, path: str, kind: ChildKind) -> str | None:
    if path.endswith(".ownerReferences"):
        return None if all(reference in observed for reference in desired) else path
    if applied:
        return _of_applied_lists(desired, observed, applied, path, kind)
    if len(desired) != len(observed):
        return path
    for index, (item, other) in enumerate(zip(desired, observed, strict=True)):
        if (difference := _differs(item, other, None, f"{path}[{index}]", kind)) is not None:
            return difference
    return None


def _of_applied_lists(desired: list[Any], observed: list[Any], applied: Fields, path: str, kind: ChildKind) -> str | None:
    """Compares item by item, whatever the position: items of others may be between them."""
    for index, item in enumerate(desired):
        position = f"{path}[{index}]"
        step = next((step for step in applied if step != "." and managed_fields.value_at([item], step) is not ABSENT), None)
        if step is None:  # another manager's by now: it has to be there as we state it
            if all(_differs(item, other, None, position, kind) is not None for other in observed):
                return position
            continue
        other = managed_fields.value_at(observed, step)
        if other is not ABSENT and (difference := _differs(item, other, applied[step], position, kind)) is not None:
            return difference
    return None


def _stale_fields(desired: Manifest, observed: Manifest, kind: ChildKind) -> Iterator[Path]:
    ours = managed_fields.our_fields(observed)
    meta = {"f:metadata": {part: ours.get("f:metadata", {}).get(part, {}) for part in ("f:annotations", "f:labels")}}
    yield from managed_fields.unstated(meta, _with_metadata(desired), (_NOTE,))
    spec = ours.get("f:spec", {})
    if managed_fields.is_ours_at(observed, _NOTE):
        yield from managed_fields.unstated({"f:spec": spec}, desired, _of_creation(kind))
    elif kind.prunes_spec:
        yield from managed_fields.unstated({"f:spec": {step: {} for step in spec}}, desired)


def _of_creation(kind: ChildKind) -> tuple[Path, ...]:
    return tuple(("f:spec", f"f:{field}") for field in kind.at_creation)


def _with_metadata(desired: Manifest) -> Manifest:
    """Returns a manifest that always states annotations and labels."""
    # With both stated, the stale annotation or label is reported, and not the whole map.
    return {"metadata": {part: desired["metadata"].get(part) or {} for part in ("annotations", "labels")}}
