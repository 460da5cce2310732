"""Reads rows, or other objects of a history, with the caller's token, page by page: of thousands, few are held at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, TypedDict, cast

import msgspec

from dynamiq_operator.kube.resources import ROWS, ApiResource
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.http.sessions import CallerSession

PAGE = 250
"""Rows that are decoded at once."""
PAUSE_EVERY, PAUSE = 4, 1e-6
"""Rows after which other requests get the interpreter, and the pause in seconds.

Verifying so many rows takes a millisecond of a processor.
"""


class _Owner(TypedDict, total=False):
    apiVersion: str
    kind: str
    uid: str


class _OwnedMeta(TypedDict, total=False):
    name: str
    namespace: str
    uid: str
    creationTimestamp: str
    ownerReferences: list[_Owner]


class _OwnedRow(TypedDict, total=False):
    metadata: _OwnedMeta
    spec: Any
    status: dict[str, Any]


class _Page(TypedDict):
    metadata: dict[str, Any]
    items: list[_OwnedRow]


_PAGE = msgspec.json.Decoder(_Page)


def rows(session: CallerSession, namespace: str, field: str = "", resource: ApiResource = ROWS) -> Iterator[Manifest]:
    """Yields the rows of a namespace, or of all if it is empty, that the field selector matches. Raises errors.ApiError."""
    path, query = resource.path(namespace), dict[str, str | int](limit=PAGE)
    if field:
        query["fieldSelector"] = field
    while True:
        page = session.api.read_as(_PAGE, path, query)
        items = cast(list[Manifest], page["items"])
        items.reverse()
        while items:
            yield items.pop()
            if len(items) % PAUSE_EVERY == 0:
                time.sleep(PAUSE)
        if not (token := page["metadata"].get("continue")):
            return
        query["continue"] = token
