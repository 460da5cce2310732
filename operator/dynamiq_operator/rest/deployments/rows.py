"""An App's rows, read as far as a list tells of them: who wrote which field of an object is half of what the API server sends."""

from __future__ import annotations

from typing import Any, TypedDict, cast

import msgspec

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.http.sessions import CallerSession


class _Meta(TypedDict, total=False):
    name: str
    namespace: str
    uid: str
    creationTimestamp: str
    ownerReferences: list[dict[str, Any]]


class _Row(TypedDict, total=False):
    metadata: _Meta
    spec: dict[str, Any]
    status: dict[str, Any]


class _Page(TypedDict):
    metadata: dict[str, Any]
    items: list[_Row]


_PAGE = msgspec.json.Decoder(_Page)


def of_app(session: CallerSession, namespace: str, app: str) -> list[Manifest]:
    """The records of an App without what no list shows of them, in no order. Raises errors.ApiError."""
    query: dict[str, str | int] = {"fieldSelector": f"spec.app={app}", "limit": kube_api.PAGE}
    path = RECORDS.path(namespace)
    found: list[Manifest] = []
    while True:
        try:
            page = _PAGE.decode(session.api.read(path, query))
        except msgspec.DecodeError as error:
            raise errors.Unavailable(f"GET {path}: the answer is no list of rows") from error
        found += cast(list[Manifest], page["items"])
        if not (token := page["metadata"].get("continue")):
            return found
        query["continue"] = token
