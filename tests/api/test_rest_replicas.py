"""Two replicas of the management API over one cluster, with faults of the network and of the API server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.rest.kube.id_index import INDEXED
from local.clusters import Cluster
from tests.support import factories, rest
from tests.support.api import Api, Manifest, fresh_namespace
from tests.support.event_stream import events, until
from tests.support.faults.operators import Login
from tests.support.faults.proxy import Answer, Call, Cut, Fault, Proxy
from tests.support.rest import UNKNOWN, Client, problem
from tests.support.waiting import eventually

AT_ONCE = 10
"""Objects that are made one after another, each read at once."""
TRIES = 3
"""Times that each watch is retried while the API server is away."""
REQUESTS_MOST = 30
"""The most requests for one kind meanwhile. A pause that doubles makes a handful, no pause hundreds."""


class Deaf(Fault):
    """A fault: the replica's watches deliver nothing."""

    def passes(self, call: Call, line: bytes) -> bool:
        return False


class Away(Fault):
    """A fault: the API server does not answer."""

    async def before(self, call: Call) -> Answer | None:
        raise Cut


class RefusesRows(Fault):
    """A fault: the API server accepts a row in a dry run, and then refuses it."""

    async def before(self, call: Call) -> Answer | None:
        is_row = call.method == "POST" and call.path.endswith("/deployments") and "dryRun" not in call.query
        return Answer(403, "Forbidden") if is_row else None


class Overtaken(Fault):
    """A fault: just before the first POST to a collection reaches the API server, another client acts."""

    def __init__(self, collection: str, first: Callable[[], Any]) -> None:
        self._collection, self._first = collection, first
        self.made: Any = None

    async def before(self, call: Call) -> Answer | None:
        if call.method == "POST" and call.path.endswith(self._collection) and not self.count:
            self.count += 1
            self.made = await asyncio.to_thread(self._first)
        return None


@dataclass(frozen=True)
class Place:
    """Two replicas: one under the API's own account; one behind a proxy, acting as the caller, who may read the cluster."""

    api: Api
    namespace: str
    direct: Client
    proxied: Client
    proxy: Proxy
    log: Path
    """The log of the replica behind the proxy."""

    def make(self, name: str) -> str:
        """Makes an App without the API, and returns its id."""
        answer = self.api.create(factories.app_manifest(factories.in_namespace(self.namespace), name=name))
        assert answer.ok, answer.message
        return str(answer.body["metadata"]["uid"])

    def body(self, name: str) -> Manifest:
        """Returns the body of a request that creates an App."""
        project = rest.uid(self.api, "Namespace", self.namespace)
        return {"name": name, "project_id": project, "workflow_id": rest.uid(self.api, "Workflow", factories.NAME, self.namespace)}

    @contextlib.contextmanager
    def wrong(self, fault: Fault) -> Iterator[None]:
        self.proxy.faults.append(fault)
        try:
            yield
        finally:
            self.proxy.faults.remove(fault)


@pytest.fixture(scope="module")
def place(cluster: Cluster, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, api = tmp_path_factory.mktemp("replicas"), Api.of(cluster)
    own = rest.install(cluster, folder)
    with fresh_namespace(api, "replicas") as namespace:
        token = rest.account(api, namespace, "reader", "edit")
        for role in ("view", "dynamiq-api"):
            rest.bind(api, "", "reader", role, namespace)
        assert api.create(factories.workflow_manifest(factories.in_namespace(namespace))).ok
        there = Login.of(cluster, api)
        trust = ssl.create_default_context(cadata=base64.b64decode(there.authority).decode())
        with Proxy(there.server, trust, token) as proxy:
            kubeconfig = folder / "proxied.kubeconfig"
            Login(proxy.url).write(kubeconfig)
            with rest.serving(own, folder) as direct, rest.serving(kubeconfig, folder) as proxied:
                log = folder / f"api-{proxied.rpartition(':')[2]}.log"
                yield Place(api, namespace, Client(direct, token), Client(proxied, token), proxy, log)
        for role in ("view", "dynamiq-api"):
            name = f"{namespace}-reader-{role}"
            api.delete({"apiVersion": f"{rest.RBAC}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name}})


def test_objects_created_or_deleted_by_one_replica_are_known_to_the_other_at_once(place: Place) -> None:
    """The watches of the second replica have delivered nothing since it started."""
    with place.wrong(Deaf()):
        for number in range(AT_ONCE):
            made = place.direct.post("/v1/apps", place.body(f"Made {number}"))
            assert place.proxied.get(f"/v1/apps/{made['id']}")["name"] == f"Made {number}"
            assert len(place.proxied.get(f"/v1/apps/{made['id']}/deployments")) == 1
        before = place.make("again")
        assert place.proxied.get(f"/v1/apps/{before}")["id"] == before
        assert place.direct("DELETE", f"/v1/apps/{before}").status_code == 204
        problem(place.proxied("GET", f"/v1/apps/{before}"), 404)
        after = place.make("again")
        for method in ("GET", "DELETE"):
            problem(place.proxied(method, f"/v1/apps/{before}"), 404)
        assert place.proxied.get(f"/v1/apps/{after}")["id"] == after
    place.proxy.cut_watches()  # the first event of a watch, which nobody heard, names the columns of all others


def test_an_app_that_another_replica_made_meanwhile_stays(place: Place) -> None:
    """Two replicas get the same request: the second one fails, and deletes nothing of the first one's."""
    body = place.body("Raced")
    first = Overtaken("/apps", lambda: place.direct.post("/v1/apps", body, key="race"))
    with place.wrong(first), place.wrong(RefusesRows()):
        answer = place.proxied("POST", "/v1/apps", body, headers={"Idempotency-Key": "race"})
    assert first.count == 1
    assert answer.status_code in (201, 403), answer.text
    shown = place.direct.get(f"/v1/apps/{first.made['id']}")
    assert [each["id"] for each in place.direct.get(f"/v1/apps/{shown['id']}/deployments")] == [first.made["latest_deployment_id"]]
    assert place.proxied.post("/v1/apps", body, key="race")["id"] == first.made["id"]


def test_an_outage_is_reported_waited_out_quietly_and_passes(place: Place) -> None:
    """While the API server drops every request, each watch is retried after longer and longer pauses, with a log line each time."""
    app = place.make("outage")
    place.proxied.get(f"/v1/apps/{app}")
    seen, lines = len(place.proxy.calls), len(place.log.read_text().splitlines())
    with place.wrong(Away()):
        place.proxy.cut_watches()
        for path in (f"/v1/apps/{app}", "/v1/apps", f"/v1/apps/{UNKNOWN}"):
            answer = place.proxied("GET", path)
            problem(answer, 503, "unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
        assert [place.proxied("GET", path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
        eventually("every watch was tried again", lambda: all(_watches(place, seen, kind.plural) >= TRIES for kind in INDEXED))
        tries = sum(1 for call in place.proxy.calls[seen:] if call.is_watch)
        assert max(tries, len(place.log.read_text().splitlines()) - lines) <= REQUESTS_MOST * len(INDEXED)
    assert place.proxied.get(f"/v1/apps/{app}")["id"] == app
    _hears_of_an_app(place)


def _watches(place: Place, since: int, plural: str) -> int:
    return sum(1 for call in place.proxy.calls[since:] if call.is_watch and call.path.rpartition("/")[2] == plural)


def _hears_of_an_app(place: Place) -> None:
    """Waits until the replica reports a new App in a stream, which only its watches feed."""
    project = rest.uid(place.api, "Namespace", place.namespace)
    with place.proxied("GET", f"/v1/projects/{project}/watch", stream=True) as answer:
        stream = events(answer)
        until(stream, "ready")
        until(stream, "app", id=place.make("heard"))
