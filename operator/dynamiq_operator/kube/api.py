"""The client that actions ask of a surface, and what they read through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dynamiq_operator.model.manifests import Manifest

if TYPE_CHECKING:  # it brings the models along, and with them pydantic
    from dynamiq_operator.kube.resources import ApiResource

PAGE = 500
PLAIN = "application/json"
MERGE = "application/merge-patch+json"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
"""Accept header of a list, or an object, as what `kubectl get` prints of it: no flow, which may be large, is in it."""

METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Accept header of a list that has nothing but metadata in it."""

METADATA_ONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""The same of one object, and of the events of a watch."""


class Api(Protocol):
    """Sends requests to the API server in the name of whoever acts."""

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
        """The JSON of the answer. Raises kube.errors.ApiError."""


def get(api: Api, resource: ApiResource, namespace: str, name: str) -> Manifest:
    """One object. Raises kube.errors.NotFound and ApiError."""
    return api.request("GET", resource.path(namespace, name))


def pages(
    api: Api, resource: ApiResource, namespace: str = "", *, label: str = "", field: str = "", accept: str = PLAIN
) -> Iterator[Manifest]:
    """The lists, each of at most `PAGE` items, that a collection comes in."""
    return pages_at(api, resource.path(namespace), label=label, field=field, accept=accept)


def pages_at(api: Api, path: str, *, label: str = "", field: str = "", accept: str = PLAIN) -> Iterator[Manifest]:
    """The same for the path of a collection."""
    query: dict[str, str | int] = {"limit": PAGE}
    if label:
        query["labelSelector"] = label
    if field:
        query["fieldSelector"] = field
    while True:
        page = api.request("GET", path, query=query, accept=accept)
        yield page
        if not (token := page["metadata"].get("continue")):
            return
        query["continue"] = token


def items(api: Api, resource: ApiResource, namespace: str = "", *, label: str = "", field: str = "") -> list[Manifest]:
    """Everything of a collection that the selectors select."""
    return [
        {"apiVersion": resource.api_version, "kind": resource.kind, **item}
        for page in pages(api, resource, namespace, label=label, field=field)
        for item in page["items"]
    ]


def names_of(api: Api, resource: ApiResource, namespace: str = "") -> list[str]:
    """The names of all that is in a collection, in order, without reading what it holds."""
    # The API server writes an empty list of metadata as null.
    return sorted(item["metadata"]["name"] for page in pages(api, resource, namespace, accept=METADATA) for item in page["items"] or ())


def lines(table: Manifest) -> Iterator[tuple[Manifest, dict[str, Any]]]:
    """Of each line of a `TABLE`: the object's metadata, and its cells by their column, such as `VERSION`."""
    columns = [column["name"].upper() for column in table["columnDefinitions"]]
    for row in table["rows"] or ():
        yield row["object"]["metadata"], dict(zip(columns, row["cells"], strict=False))


def create(api: Api, resource: ApiResource, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
    """POSTs. Raises kube.errors.AlreadyExists and ApiError."""
    query = {"dryRun": "All"} if dry_run else None
    return api.request("POST", resource.path(manifest["metadata"].get("namespace", "")), query=query, body=manifest)


def in_a_pod() -> bool:
    """Whether this runs in a pod that has a service account's token."""
    return Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
