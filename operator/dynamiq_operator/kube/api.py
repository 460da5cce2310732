"""Defines the client that a surface passes to actions, and sends requests through it. The operator has `kube.client` instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dynamiq_operator.model.manifests import Manifest

if TYPE_CHECKING:  # it imports the models, and with them pydantic
    from dynamiq_operator.kube.resources import ApiResource

PAGE = 500
PLAIN = "application/json"
MERGE = "application/merge-patch+json"
STRICT = {"fieldValidation": "Strict"}
"""Query of a write: the API server refuses unknown fields instead of dropping them."""
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
"""Accept header of the table that `kubectl get` prints: without the flow, which may be large."""

METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Accept header of a list of metadata alone."""

METADATA_ONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""Accept header of the metadata of one object, and of the events of a watch."""


class Api(Protocol):
    """A client that sends requests to the API server under the caller's name."""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        content_type: str = PLAIN,
        accept: str = PLAIN,
    ) -> Manifest:
        """Sends one request, and returns the JSON of the answer.

        Raises kube.errors.ApiError.
        """


def read_object(api: Api, resource: ApiResource, namespace: str, name: str) -> Manifest:
    """Reads one object.

    Raises kube.errors.NotFound and ApiError.
    """
    return api.request("GET", resource.path(namespace, name))


def pages(
    api: Api, resource: ApiResource, namespace: str = "", *, label: str = "", field: str = "", accept: str = PLAIN
) -> Iterator[Manifest]:
    """Yields the pages of a list, each of at most `PAGE` items. `label`, `field`: selectors."""
    return pages_at(api, resource.path(namespace), label=label, field=field, accept=accept)


def pages_at(api: Api, path: str, *, label: str = "", field: str = "", accept: str = PLAIN, size: int = PAGE) -> Iterator[Manifest]:
    """Yields the pages of the collection at this path, each of at most `size` items."""
    query: dict[str, str | int] = {"limit": size, **selectors(label, field)}
    while True:
        page = api.request("GET", path, query=query, accept=accept)
        yield page
        if not (token := page["metadata"].get("continue")):
            return
        query["continue"] = token


def selectors(label: str, field: str) -> dict[str, str]:
    """Returns the selectors of a list or of a watch as a part of its query, without empty ones."""
    return {name: selector for name, selector in (("labelSelector", label), ("fieldSelector", field)) if selector}


def items(api: Api, resource: ApiResource, namespace: str = "", *, label: str = "", field: str = "") -> list[Manifest]:
    """Lists all objects that match the selectors.

    Raises kube.errors.ApiError.
    """
    return [
        {"apiVersion": resource.api_version, "kind": resource.kind, **item}
        for page in pages(api, resource, namespace, label=label, field=field)
        for item in page["items"]
    ]


def list_names(api: Api, resource: ApiResource, namespace: str = "") -> list[str]:
    """Lists the names of the objects of a collection, sorted. It reads only metadata."""
    # The API server writes an empty list of metadata as null.
    return sorted(item["metadata"]["name"] for page in pages(api, resource, namespace, accept=METADATA) for item in page["items"] or ())


def table_rows(table: Manifest) -> Iterator[tuple[Manifest, dict[str, Any]]]:
    """Yields the object's metadata, and its cells by column, such as `VERSION`, for each line of a `TABLE`."""
    columns = [column["name"].upper() for column in table["columnDefinitions"]]
    for row in table["rows"] or ():
        yield row["object"]["metadata"], dict(zip(columns, row["cells"], strict=False))


def create(api: Api, resource: ApiResource, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
    """Creates the object. The API server refuses unknown fields, and names them.

    Raises kube.errors.AlreadyExists and ApiError.
    """
    query = {**STRICT, **({"dryRun": "All"} if dry_run else {})}
    return api.request("POST", resource.path(manifest["metadata"].get("namespace", "")), query=query, body=manifest)


def in_a_pod() -> bool:
    """Returns True if this process runs in a pod with a service account's token."""
    return Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
