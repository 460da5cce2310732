"""Two replicas of the management API over one cluster, and what a network and an API server can do to them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.kube.resources import RECORDS
from dynamiq_operator.rest.kube.id_index import INDEXED
from local.clusters import Cluster
from tests.support import factories, rest
from tests.support.api import Api, fresh_namespace
from tests.support.faults.operators import Login
from tests.support.faults.proxy import Answer, Call, Cut, Fault, Proxy
from tests.support.rest import UNKNOWN, Client, problem
from tests.support.waiting import eventually

AT_ONCE = 10
"""Objects made one after another, each asked for at once."""

OUTAGE = 3.0  # seconds
TRIES_MOST = 30
"""Watches of one kind in that time, where one that does not wait would be tried hundreds of times; one that waits needs ten."""


class Deaf(Fault):
    """A replica that learns nothing by its watches."""

    def passes(self, call: Call, line: bytes) -> bool:
        return False


class Away(Fault):
    """An API server that does not answer."""

    async def before(self, call: Call) -> Answer | None:
        raise Cut


@dataclass
class Answers(Fault):
    """An API server that answers requests for one thing, or for all, with an error."""

    answer: Answer
    to: str = ""
    times: int = 1_000_000
    count: int = field(default=0, init=False)

    async def before(self, call: Call) -> Answer | None:
        if self.to not in f"{call.path}?{call.query}" or self.count >= self.times:
            return None
        self.count += 1
        return self.answer


class RefusesRows(Fault):
    """An API server that found a row good when it was tried, and refuses it then; with `apps` it keeps the App, too."""

    def __init__(self, *, apps: bool = False) -> None:
        self._apps = apps

    async def before(self, call: Call) -> Answer | None:
        is_row = call.method == "POST" and call.path.endswith("/deployments") and "dryRun" not in call.query
        is_undoing = self._apps and call.method == "DELETE" and "/apps/" in call.path
        return Answer(403, "Forbidden") if is_row or is_undoing else None


class Overtaken(Fault):
    """Just before the first POST to a collection reaches the API server, another client does something."""

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
    """A namespace, a caller who may read the cluster and edit here, and a proxy through which everybody acts as this caller."""

    api: Api
    namespace: str
    token: str
    proxy: Proxy
    kubeconfig: Path
    folder: Path

    @contextlib.contextmanager
    def replica(self, *, ready: bool = True) -> Iterator[Client]:
        """A replica that reaches the API server through the proxy."""
        with rest.serving(self.kubeconfig, self.folder, ready=ready) as url:
            yield Client(url, self.token)

    def make(self, name: str) -> str:
        """An App, past the API; its id."""
        answer = self.api.create(factories.app_manifest(factories.in_namespace(self.namespace), name=name))
        assert answer.ok, answer.message
        return str(answer.body["metadata"]["uid"])

    @contextlib.contextmanager
    def wrong(self, fault: Fault) -> Iterator[None]:
        self.proxy.faults.append(fault)
        try:
            yield
        finally:
            self.proxy.faults.remove(fault)


@pytest.fixture(scope="module")
def place(cluster: Cluster, guarded: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, api = tmp_path_factory.mktemp("rest"), Api.of(cluster)
    rest.install(cluster, folder)
    with fresh_namespace(api, "replicas") as namespace:
        token = rest.account(api, namespace, "reader", "edit")
        for role in ("view", "dynamiq-api"):
            rest.bind(api, "", "reader", role, namespace)
        user = f"system:serviceaccount:{namespace}:reader"
        eventually("the rights apply", lambda: rest.allowed(api, user, "", "watch", "apps"))
        assert api.create(factories.workflow_manifest(factories.in_namespace(namespace))).ok
        there = Login.of(cluster, api)
        with Proxy(there.server, _trust(there), token) as proxy:
            kubeconfig = folder / "proxied.kubeconfig"
            Login(proxy.url).write(kubeconfig)
            yield Place(api, namespace, token, proxy, kubeconfig, folder)
        for role in ("view", "dynamiq-api"):
            name = f"{namespace}-reader-{role}"
            api.delete({"apiVersion": f"{rest.RBAC}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name}})


@pytest.fixture(scope="module")
def direct(place: Place, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A replica beside the proxied one, under the API's own account."""
    folder = tmp_path_factory.mktemp("direct")
    with rest.serving(rest.install(cluster, folder), folder) as url:
        yield Client(url, place.token)


@pytest.fixture(scope="module")
def replica(place: Place) -> Iterator[Client]:
    """A replica behind the proxy."""
    with place.replica() as serving:
        yield serving


@pytest.fixture(scope="module")
def deaf(place: Place, cluster: Cluster) -> Iterator[Client]:
    """A replica that learned at its start what there was, and has heard of nothing since."""
    there = Login.of(cluster, place.api)
    with Proxy(there.server, _trust(there), place.token) as proxy:
        proxy.faults.append(Deaf())
        kubeconfig = place.folder / "deaf.kubeconfig"
        Login(proxy.url).write(kubeconfig)
        with rest.serving(kubeconfig, place.folder) as url:
            yield Client(url, place.token)


def test_what_one_replica_made_the_other_knows_at_once(place: Place, direct: Client, deaf: Client) -> None:
    project = rest.uid(place.api, "Namespace", place.namespace)
    workflow = rest.uid(place.api, "Workflow", factories.NAME, place.namespace)
    for number in range(AT_ONCE):
        made = direct.post("/v1/apps", {"name": f"Made {number}", "project_id": project, "workflow_id": workflow})
        assert deaf.get(f"/v1/apps/{made['id']}")["name"] == f"Made {number}"
        assert len(deaf.get(f"/v1/apps/{made['id']}/deployments")) == 1


def test_what_is_gone_is_unknown_even_where_it_was_not_heard_of(place: Place, direct: Client, deaf: Client) -> None:
    before = place.make("again")
    assert deaf.get(f"/v1/apps/{before}")["id"] == before
    assert direct("DELETE", f"/v1/apps/{before}").status_code == 204
    problem(deaf("GET", f"/v1/apps/{before}"), 404)
    after = place.make("again")
    problem(deaf("GET", f"/v1/apps/{before}"), 404)
    problem(deaf("DELETE", f"/v1/apps/{before}"), 404)
    assert deaf.get(f"/v1/apps/{after}")["id"] == after


def test_unknown_ids_do_not_list_the_cluster_again_and_again(place: Place, replica: Client) -> None:
    before = _lists(place, "apps")
    began = time.monotonic()
    for _ in range(20):
        problem(replica("GET", f"/v1/apps/{UNKNOWN}"), 404)
    took = time.monotonic() - began
    assert 0 < _lists(place, "apps") - before <= 20
    print(f"20 unknown ids, one after the other: {took:.1f} s")
    before = _lists(place, "apps")
    problem(replica("GET", "/v1/apps/not-an-id"), 404)
    assert _lists(place, "apps") == before


def test_an_outage_is_told_and_passes(place: Place, replica: Client) -> None:
    app = place.make("outage")
    replica.get(f"/v1/apps/{app}")
    with place.wrong(Away()):
        place.proxy.cut_watches()
        for method, path, body in (("GET", f"/v1/apps/{app}", None), ("GET", "/v1/apps", None), ("GET", f"/v1/apps/{UNKNOWN}", None)):
            answer = replica(method, path, body)
            problem(answer, 503, "unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
        for path in ("/healthz", "/readyz"):
            assert replica("GET", path).status_code == 200
    assert replica.get(f"/v1/apps/{app}")["id"] == app
    eventually("the watches go on", lambda: _hears(place, replica))


def test_an_outage_is_waited_out_quietly(place: Place) -> None:
    """Where an API server cuts whatever it gets, the index tries again a few times a second and no more, and says so as often."""
    with place.replica() as replica:
        log = place.folder / f"api-{replica.url.rpartition(':')[2]}.log"
        seen, said = len(place.proxy.calls), len(log.read_text().splitlines())
        with place.wrong(Away()):
            place.proxy.cut_watches()
            eventually("every watch was tried again", lambda: _watched(place, seen) >= {each.plural for each in INDEXED})
            time.sleep(OUTAGE)
        tries = sum(1 for call in place.proxy.calls[seen:] if call.is_watch)
        lines = len(log.read_text().splitlines()) - said
        assert max(tries, lines) <= TRIES_MOST * len(INDEXED)
        eventually("the watches go on", lambda: _hears(place, replica))


def _watched(place: Place, since: int) -> set[str]:
    return {call.path.rpartition("/")[2] for call in place.proxy.calls[since:] if call.is_watch}


def test_an_api_server_that_asks_to_wait(place: Place, replica: Client) -> None:
    app = place.make("waiting")
    replica.get(f"/v1/apps/{app}")
    with place.wrong(Answers(Answer(429, "TooManyRequests", {"Retry-After": "7"}), to="/apps/waiting")):
        answer = replica("GET", f"/v1/apps/{app}")
        problem(answer, 429, "rate_limited")
        assert answer.headers["Retry-After"] == "7"
    for status in (500, 503, 504):
        with place.wrong(Answers(Answer(status, "InternalError"), to="/apps/waiting")):
            answer = replica("GET", f"/v1/apps/{app}")
            problem(answer, 503)
            assert answer.headers["Retry-After"]


def test_an_app_whose_first_row_is_refused_is_not_left_behind(place: Place, replica: Client) -> None:
    project = rest.uid(place.api, "Namespace", place.namespace)
    workflow = rest.uid(place.api, "Workflow", factories.NAME, place.namespace)
    body = {"name": "Half made", "project_id": project, "workflow_id": workflow}
    with place.wrong(RefusesRows()):
        problem(replica("POST", "/v1/apps", body), 403)
        assert place.api.get("App", "half-made", place.namespace).status == 404
    with place.wrong(RefusesRows(apps=True)):
        said = problem(replica("POST", "/v1/apps", body), 403, "could not be deleted again")
        assert said["details"]["app_id"] == rest.uid(place.api, "App", "half-made", place.namespace)


def test_an_app_that_was_there_stays_whatever_becomes_of_a_repeated_request(place: Place, replica: Client) -> None:
    project = rest.uid(place.api, "Namespace", place.namespace)
    workflow = rest.uid(place.api, "Workflow", factories.NAME, place.namespace)
    body = {"name": "Repeated", "project_id": project, "workflow_id": workflow}
    again = {"Idempotency-Key": "again"}
    with place.wrong(RefusesRows(apps=True)):
        app = problem(replica("POST", "/v1/apps", body, headers=again), 403)["details"]["app_id"]
    with place.wrong(RefusesRows()):
        problem(replica("POST", "/v1/apps", body, headers=again), 403)
    made = replica.post("/v1/apps", body, key="again")
    assert made["id"] == app
    with place.wrong(RefusesRows()):
        assert replica.post("/v1/apps", body, key="again") == made


def test_an_app_that_another_replica_made_meanwhile_stays(place: Place, replica: Client, direct: Client) -> None:
    """The same request at two replicas: the one that comes second fails, and takes nothing away from the first."""
    project = rest.uid(place.api, "Namespace", place.namespace)
    workflow = rest.uid(place.api, "Workflow", factories.NAME, place.namespace)
    body = {"name": "Raced", "project_id": project, "workflow_id": workflow}
    first = Overtaken("/apps", lambda: direct.at(direct.url).post("/v1/apps", body, key="race"))
    with place.wrong(first), place.wrong(RefusesRows()):
        answer = replica("POST", "/v1/apps", body, headers={"Idempotency-Key": "race"})
    assert first.count == 1
    assert answer.status_code in (201, 403), answer.text
    shown = direct.get(f"/v1/apps/{first.made['id']}")
    assert [each["id"] for each in direct.get(f"/v1/apps/{shown['id']}/deployments")] == [first.made["latest_deployment_id"]]
    assert replica.post("/v1/apps", body, key="race")["id"] == first.made["id"]


def test_a_watch_that_expired_is_followed_by_a_list(place: Place, replica: Client) -> None:
    before = _lists(place, "apps")
    expired = Answers(Answer(410, "Expired"), to="/apps?watch=1", times=1)
    with place.wrong(expired):
        place.proxy.cut_watches()
        eventually("the watch has expired", lambda: expired.count == 1)
        eventually("all is listed again", lambda: _lists(place, "apps") > before)
    eventually("it watches again", lambda: _hears(place, replica))


def test_it_is_ready_once_all_is_listed(place: Place) -> None:
    away = Answers(Answer(503, "ServiceUnavailable"), to="/runtimes")
    with place.wrong(away), place.replica(ready=False) as replica:
        assert replica("GET", "/healthz").status_code == 200
        answer = replica("GET", "/v1/orgs")
        problem(answer, 503, "starting")
        assert answer.headers["Retry-After"]
        away.times = 0
        eventually("it is ready", lambda: replica("GET", "/readyz").ok)
        replica.get("/v1/orgs")


def test_it_asks_for_metadata_alone_under_its_own_account(place: Place) -> None:
    seen = len(place.proxy.calls)
    with place.replica():
        own = [call for call in place.proxy.calls[seen:] if call.method == "GET"]
    assert {call.path.rpartition("/")[2] for call in own} == {resource.plural for resource in INDEXED}
    for call in own:
        of_rows = call.path.endswith(f"/{RECORDS.plural}") and call.path.startswith(f"/apis/{RECORDS.group}/")
        assert ("as=Table" if of_rows else "PartialObjectMetadata") in call.headers["Accept"]


def _hears(place: Place, replica: Client) -> bool:
    """Whether a replica learns of an App without listing."""
    app, lists = place.make(f"heard-{uuid.uuid4().hex[:6]}"), _lists(place, "apps")
    time.sleep(0.3)
    replica.get(f"/v1/apps/{app}")
    return _lists(place, "apps") == lists


def _trust(login: Login) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=base64.b64decode(login.authority).decode())


def _lists(place: Place, plural: str) -> int:
    return sum(1 for call in list(place.proxy.calls) if call.path.endswith(f"/v1alpha1/{plural}") and not call.is_watch)
