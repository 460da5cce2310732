"""The history of an App in an export, for `verify --file`: what `kubectl get deployments.dynamiq,appchanges` printed, as YAML or JSON.

An export is read as it is, with whatever damage it has: a row that is no row any more is what `verify` has to name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dynamiq_operator.kube.resources import APP_CHANGES, RECORDS, ApiResource
from dynamiq_operator.model.chain import change_fits_alone, fits_alone
from dynamiq_operator.model.manifests import GROUP, Manifest

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader; in C, where it is there: an export of thousands of rows takes minutes otherwise."""


class Exported(NamedTuple):
    """An App's rows, and the records of its settings."""

    rows: list[Manifest]
    changes: list[Manifest]


def read(path: Path, namespace: str | None, app: str) -> Exported:
    """The App's history, of one namespace or, with None, of any. Raises OSError, yaml.YAMLError and ValueError."""
    found = Exported([], [])
    with path.open(encoding="utf-8") as text:
        for raw in _objects(yaml.load_all(text, Loader=_LOADER)):
            if _is_of(RECORDS, raw, namespace) and _may_be_of(app, raw, fits_alone):
                found.rows.append(raw)
            elif _is_of(APP_CHANGES, raw, namespace) and _may_be_of(app, raw, change_fits_alone):
                found.changes.append(raw)
    return found


def _objects(documents: Iterable[Any]) -> Iterator[Manifest]:
    for document in documents:
        if isinstance(document, dict):
            items = document.get("items")
            yield from items if isinstance(items, list) else [document]


def _is_of(resource: ApiResource, raw: Any, namespace: str | None) -> bool:
    """Whether an object of an export is of this kind, in this namespace."""
    if not isinstance(raw, dict) or not isinstance(meta := raw.get("metadata") or {}, dict):
        return False
    is_one = raw.get("kind") == resource.kind and str(raw.get("apiVersion", "")).startswith(f"{GROUP}/")
    return is_one and (namespace is None or meta.get("namespace") in (None, namespace))


def _may_be_of(app: str, raw: Manifest, fits: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Whether a row or a record is the App's, or a damaged one that may have been."""
    spec = raw.get("spec")
    return not isinstance(spec, dict) or spec.get("app") == app or not fits(spec)
