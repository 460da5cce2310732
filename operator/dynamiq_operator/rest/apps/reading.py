"""Reads Apps and rows with the caller's token: single ones by name, or all of a namespace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypedDict, cast

import msgspec

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import IN_MEMORY
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry


class _Manager(TypedDict, total=False):
    time: str
    subresource: str


class _Meta(TypedDict, total=False):
    name: str
    namespace: str
    uid: str
    resourceVersion: str
    creationTimestamp: str
    annotations: Any
    ownerReferences: Any
    managedFields: list[_Manager]


class _Object(TypedDict, total=False):
    metadata: _Meta
    spec: Any
    status: Any


class _Page(TypedDict):
    metadata: dict[str, Any]
    items: list[_Object]


_PAGE = msgspec.json.Decoder(_Page)


def objects(session: CallerSession, resource: ApiResource, namespace: str, field: str = "") -> Iterator[Manifest]:
    """Yields all objects of a namespace, or of all if it is empty, that the field selector matches. Raises errors.ApiError."""
    # For later pages of a list with a selector the API server reads all objects from etcd (see `kube.client.Client.pages`).
    query: dict[str, str | int] = {"fieldSelector": field} if field else {"limit": kube_api.PAGE}
    while True:
        page = session.api.read_as(_PAGE, resource.path(namespace), query)
        yield from cast(list[Manifest], page["items"])
        if not (token := page["metadata"].get("continue")):
            return
        query["continue"] = token


def named(session: CallerSession, resource: ApiResource, entry: Entry) -> Manifest | None:
    """Returns the object of an entry, not older than the index has it; None if it was deleted or replaced. Raises errors.ApiError.

    It lists the objects of this name: whoever may list all need not have the right to get one.
    """
    path, by_name = resource.path(entry.namespace), {"fieldSelector": f"metadata.name={entry.name}"}
    # The API server's watch cache answers in half the time, and may be a moment behind.
    for query in (IN_MEMORY, {}):
        items = cast(list[Manifest], session.api.read_as(_PAGE, path, {**by_name, **query})["items"])
        current = next((each for each in items if each["metadata"]["uid"] == entry.uid), None)
        if current is not None and int(current["metadata"]["resourceVersion"]) >= entry.version:
            break
    return current
