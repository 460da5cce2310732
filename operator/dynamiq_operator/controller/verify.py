"""`python -m dynamiq_operator verify`: reads an App's history, from the cluster or from an export, and walks its chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from dynamiq_operator.controller.client import Client
from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import GROUP
from dynamiq_operator.model.chain import fits_alone
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.views.verdict import check as check

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader; in C, where it is there: an export of thousands of rows takes minutes otherwise."""


async def from_cluster(kubeconfig: Path | None, context: str | None, namespace: str, app: str) -> list[Manifest]:
    """Every row of the App. Raises kube.errors.ApiError."""
    rows: list[Manifest] = []
    async with await Client.connect(kubeconfig, context) as client:
        async for page in client.pages(RECORDS, namespace, field=f"spec.app={app}"):
            rows += page["items"]
    return rows


def from_file(path: Path, namespace: str | None, app: str) -> list[Manifest]:
    """The App's rows in an export (`kubectl get … -o yaml` or JSON). Raises OSError, yaml.YAMLError and ValueError."""
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
    ours = raw.get("kind") == kinds.RECORD.kind and str(raw.get("apiVersion", "")).startswith(f"{GROUP}/")
    if not ours or (namespace is not None and meta.get("namespace") not in (None, namespace)):
        return False
    spec = raw.get("spec")
    return not isinstance(spec, dict) or spec.get("app") == app or not fits_alone(spec)
