"""The index of ids over the real API server: one short watch returns what it has missed, for any number of objects."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube.resources import APPS, ROWS, ApiResource
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.kube import id_index
from dynamiq_operator.rest.kube.client import ApiClient, ApiServer
from dynamiq_operator.rest.kube.id_index import IdIndex
from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Api, fresh_namespace
from tests.support.rest import UNKNOWN
from tests.support.waiting import eventually

Make = Callable[[str, Callable[[Manifest], None]], Manifest]
MAKERS: dict[ApiResource, Make] = {
    APPS: lambda name, here: given.app_manifest(here, name=name),
    ROWS: lambda name, here: given.row_manifest(name, here, given.of_app("chat"), given.asking(workflowVersion="v1")),
}


class Counted:
    """A client that counts lists of all objects, and notes the kind of each request."""

    def __init__(self, client: ApiClient) -> None:
        self._client, self.lists = client, 0
        self.requests: list[str] = []

    def read_as(self, decoder: Any, path: str, query: dict[str, Any], accept: str = kube_api.PLAIN) -> Any:
        # A list is of several pages if tests before this one left more than 500 rows.
        self.lists += query.get("limit") == kube_api.PAGE and "continue" not in query
        self.requests.append("page")
        return self._client.read_as(decoder, path, query, accept)

    def stream(self, path: str, query: dict[str, Any], *more: Any) -> Any:
        self.requests.append("watch")
        return self._client.stream(path, query, *more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    with fresh_namespace(Api.of(cluster), "index") as name:
        yield name


@pytest.mark.parametrize("resource", MAKERS, ids=lambda resource: resource.plural)
def test_a_long_index_catches_up_without_a_list(
    cluster: Cluster, namespace: str, resource: ApiResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing watches here, as if a watch had gone silent.

    An API server that pauses for a second does not report how far a watch is before it ends. Everything is then listed, as it must be.
    """
    monkeypatch.setattr(id_index, "LISTED_MOST", 0)
    api, tries = Api.of(cluster), itertools.count()

    def made(name: str) -> Manifest:
        answer = api.create(MAKERS[resource](name, given.in_namespace(namespace)))
        assert answer.ok, answer.message
        return answer.body

    def hears_all(number: int) -> bool:
        client = Counted(ApiServer.connect(Path(cluster.kubeconfig)).own)
        index = IdIndex(client)  # type: ignore[arg-type]
        first = made(f"before-{number}")
        before = first["metadata"]["uid"]
        index.of(resource).list()
        assert index.of(resource).get(before) is not None
        after = made(f"after-{number}")["metadata"]["uid"]
        found = index.find(resource, after)
        assert found is not None
        assert (found.namespace, found.name) == (namespace, f"after-{number}")
        gone = api.delete(first)
        assert gone.ok, gone.message
        if client.lists == 1:  # after a list there is a pause
            assert index.find(resource, UNKNOWN) is None
            assert index.of(resource).get(before) is None
        return client.lists == 1

    eventually("it hears of all without a second list", lambda: hears_all(next(tries)))


def test_an_index_that_is_too_old_for_a_watch_lists_everything(cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_index, "LISTED_MOST", 0)
    api, client = Api.of(cluster), ApiServer.connect(Path(cluster.kubeconfig)).own

    class Old(Counted):
        def stream(self, path: str, query: dict[str, Any], *more: Any) -> Any:
            return self._client.stream(path, query | {"resourceVersion": "1"}, *more)

    counted = Old(client)
    index = IdIndex(counted)  # type: ignore[arg-type]
    assert api.create(given.app_manifest(given.in_namespace(namespace), name="before")).ok
    index.of(APPS).list()
    after = api.create(given.app_manifest(given.in_namespace(namespace), name="after"))
    assert index.find(APPS, after.body["metadata"]["uid"]) is not None
    assert counted.lists == 2


@pytest.mark.parametrize("resource", MAKERS, ids=lambda resource: resource.plural)
def test_more_than_a_page_is_read_by_one_watch(
    cluster: Cluster, namespace: str, resource: ApiResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube_api, "PAGE", 1)
    api, client = Api.of(cluster), Counted(ApiServer.connect(Path(cluster.kubeconfig)).own)
    made = [api.create(MAKERS[resource](f"{resource.plural}-{number}", given.in_namespace(namespace))) for number in range(3)]
    uids = {each.body["metadata"]["uid"] for each in made}

    def is_read_by_a_watch() -> bool:
        client.requests.clear()
        index = IdIndex(client).of(resource)  # type: ignore[arg-type]
        index.list()
        assert uids <= {entry.uid for entry in index.all()}
        return client.requests == ["page", "watch"]

    eventually("no page but the first is read, unless the watch was cut", is_read_by_a_watch)
