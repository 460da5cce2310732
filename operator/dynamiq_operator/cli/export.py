"""Reads the history of an App from an export, for `verify --file`.

The export is what `kubectl get deployments.dynamiq,appchanges` printed, as YAML or JSON. It is neither repaired nor validated: `verify` has
to name what is damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dynamiq_operator.kube.resources import APP_CHANGES, ROWS, ApiResource
from dynamiq_operator.model.chain import change_fits_alone, fits_alone
from dynamiq_operator.model.manifests import GROUP, Manifest

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader, in C if available: the one in Python takes minutes for thousands of rows."""


class Exported(NamedTuple):
    """An App's rows, and the records of its settings."""

    rows: list[Manifest]
    changes: list[Manifest]


def read(path: Path, namespace: str | None, app: str) -> Exported:
    """Reads the App's history in one namespace; in any namespace if it is None. Raises OSError, yaml.YAMLError and ValueError."""
    exported = Exported([], [])
    with path.open(encoding="utf-8") as text:
        for raw in _objects(yaml.load_all(text, Loader=_LOADER)):
            if _is_of(ROWS, raw, namespace) and _may_be_of(app, raw, fits_alone):
                exported.rows.append(raw)
            elif _is_of(APP_CHANGES, raw, namespace) and _may_be_of(app, raw, change_fits_alone):
                exported.changes.append(raw)
    return exported


def _objects(documents: Iterable[Any]) -> Iterator[Manifest]:
    for document in documents:
        if isinstance(document, dict):
            items = document.get("items")
            yield from items if isinstance(items, list) else [document]


def _is_of(resource: ApiResource, raw: Any, namespace: str | None) -> bool:
    """Returns True if an object of an export is of this kind and in this namespace."""
    if not isinstance(raw, dict) or not isinstance(meta := raw.get("metadata") or {}, dict):
        return False
    is_of_kind = raw.get("kind") == resource.kind and str(raw.get("apiVersion", "")).startswith(f"{GROUP}/")
    return is_of_kind and (namespace is None or meta.get("namespace") in (None, namespace))


def _may_be_of(app: str, raw: Manifest, fits: Callable[[Mapping[str, Any]], bool]) -> bool:
    """Returns True for a row or a settings record of the App, and for a damaged one that may be."""
    spec = raw.get("spec")
    return not isinstance(spec, dict) or spec.get("app") == app or not fits(spec)
