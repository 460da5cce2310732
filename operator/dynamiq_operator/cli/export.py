"""The rows of an App in an export, for `verify --file`: what `kubectl get deployments.dynamiq` printed, as YAML or JSON.

An export is read as it is, with whatever damage it has: a row that is no row any more is what `verify` has to name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model.chain import fits_alone
from dynamiq_operator.model.manifests import GROUP, Manifest

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader; in C, where it is there: an export of thousands of rows takes minutes otherwise."""


def rows(path: Path, namespace: str | None, app: str) -> list[Manifest]:
    """The App's rows, those of one namespace or, with None, of any. Raises OSError, yaml.YAMLError and ValueError."""
    with path.open(encoding="utf-8") as text:
        return [raw for raw in _objects(yaml.load_all(text, Loader=_LOADER)) if _is_row(raw, namespace, app)]


def _objects(documents: Iterable[Any]) -> Iterator[Manifest]:
    for document in documents:
        if isinstance(document, dict):
            items = document.get("items")
            yield from items if isinstance(items, list) else [document]


def _is_row(raw: Any, namespace: str | None, app: str) -> bool:
    """Whether an object of an export is a row of the App, or a damaged row that may have been one."""
    if not isinstance(raw, dict) or not isinstance(meta := raw.get("metadata") or {}, dict):
        return False
    is_record = raw.get("kind") == RECORDS.kind and str(raw.get("apiVersion", "")).startswith(f"{GROUP}/")
    if not is_record or (namespace is not None and meta.get("namespace") not in (None, namespace)):
        return False
    spec = raw.get("spec")
    return not isinstance(spec, dict) or spec.get("app") == app or not fits_alone(spec)
