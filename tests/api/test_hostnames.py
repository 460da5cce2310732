"""A hostname belongs to one App in the cluster: the first to claim it, until that App has been deleted for a while."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from dynamiq_operator.model.objects import format_time
from local.clusters import Cluster
from tests.api.support.hostnames import asked_later, claim, refused, routes, settled
from tests.support import factories as given
from tests.support.api import Api, Manifest, fresh_namespace, path
from tests.support.cluster import Kubectl
from tests.support.history_stage import HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

DOMAIN = "apps.example.test"
RACES = 3
LOST = 3
Stages = tuple[HistoryStage, HistoryStage]


@pytest.fixture(scope="module")
def options() -> list[str]:
    return ["--domain", DOMAIN]


@pytest.fixture(scope="module")
def module_stages(cluster: Cluster) -> Iterator[list[HistoryStage]]:
    """Yields two namespaces, which the tests use one after the other."""
    api, kubectl = Api.of(cluster), Kubectl(cluster)
    with contextlib.ExitStack() as stack:
        names_ = [stack.enter_context(fresh_namespace(api, f"{side}-hostnames")) for side in ("a", "b")]
        yield [HistoryStage(cluster, api, kubectl, name) for name in names_]


@pytest.fixture
def two(module_stages: list[HistoryStage], operator: Operator) -> Iterator[Stages]:
    """Yields the two stages, and deletes everything that a test leaves in them, claims included."""
    ours, theirs = module_stages
    yield ours, theirs
    for stage in module_stages:
        assert stage.api.request("DELETE", path(stage.named(kinds.APP.kind, ""), named=False)).ok
    eventually("the routes are gone", lambda: not any(_ingresses(stage) for stage in module_stages))
    lose_claims(ours.api)


def _ingresses(stage: HistoryStage) -> list[Manifest]:
    found: list[Manifest] = stage.api.get("Ingress", "", stage.namespace, api_version="networking.k8s.io/v1").body["items"]
    return found


def host(two: Stages, name: str = "chat") -> str:
    """Returns a hostname that no other test uses."""
    return f"{name}.{two[0].namespace}.example.test"


def test_the_second_claimant_gets_a_condition_and_no_route(two: Stages, operator: Operator) -> None:
    ours, theirs = two
    ours.app("first", given.with_hostname(host(two)))
    eventually("the first has its route", lambda: routes(ours, "first"))
    ours.app("second", given.with_hostname(host(two)))
    theirs.app("third", given.with_hostname(host(two)))
    assert refused(ours, "second") == f"hostname {host(two)} belongs to App first in this namespace: choose another"
    assert refused(theirs, "third") == f"hostname {host(two)} belongs to another App: choose another"
    assert ours.namespace not in str(theirs.get(kinds.APP.kind, "third")["status"]).replace(host(two), "")
    assert ours.get("Ingress", "first")["spec"]["rules"][0]["host"] == host(two)
    theirs.change(kinds.APP.kind, "third", spec={"hostname": host(two, "other")})
    eventually("with another hostname it has its route", lambda: routes(theirs, "third"))


def test_two_at_the_same_moment_end_with_one_holder(two: Stages, operator: Operator) -> None:
    hosts = {number: host(two, f"race-{number}") for number in range(RACES)}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        making = [pool.submit(stage.app, f"race-{number}", given.with_hostname(name)) for number, name in hosts.items() for stage in two]
        for each in making:
            each.result()
    holders = {}
    for number in hosts:
        app = f"race-{number}"
        eventually(f"both {app} are settled", lambda app=app: all(settled(stage, app) for stage in two))  # type: ignore[misc]
        holders[number] = [stage.namespace for stage in two if routes(stage, app)]
    assert {len(found) for found in holders.values()} == {1}
    operator.restart()
    for stage in two:
        for number in hosts:
            stage.change(kinds.APP.kind, f"race-{number}", spec={"description": "looked at again"})
            eventually("it was looked at", lambda: stage.seen(f"race-{number}"))  # noqa: B023 - called at once
    assert {number: [stage.namespace for stage in two if routes(stage, f"race-{number}")] for number in hosts} == holders
    print(f"{RACES} times two Apps at once: {RACES} times one holder, the same after a restart")


def test_a_holder_made_again_within_the_grace_period_keeps_it(two: Stages, operator: Operator) -> None:
    ours, theirs = two
    ours.app("holder", given.with_hostname(host(two)))
    eventually("it has its route", lambda: routes(ours, "holder"))
    theirs.app("waiting", given.with_hostname(host(two)))
    refused(theirs, "waiting")
    ours.delete(kinds.APP.kind, "holder")
    message = f"hostname {host(two)} belonged to another App until recently: this App gets it 60 s after it asked"
    eventually("the other is told", lambda: message in theirs.condition("waiting", "ChildrenApplied")["message"])
    asked_later(theirs, host(two))
    eventually("the route is gone", lambda: not routes(ours, "holder"))
    ours.app("holder", given.with_hostname(host(two)))
    eventually("it has its route again", lambda: routes(ours, "holder"))
    noted = names.RELEASED_ANNOTATION
    eventually(
        "nothing is noted on the claim", lambda: noted not in (ours.api.read(claim(host(two))).body["metadata"].get("annotations") or {})
    )
    assert "to another App" in refused(theirs, "waiting")


# Lost claims.


def lose_claims(api: Api, namespace: str = OPERATOR_NAMESPACE) -> None:
    """Deletes claims until none is left: an operator that has not seen an App's deletion yet may make one more."""
    selector = {"labelSelector": f"{names.CLAIM_LABEL}=hostname"}

    def lost() -> bool:
        assert api.request("DELETE", f"/api/v1/namespaces/{namespace}/configmaps", query=selector).ok
        return bool(api.get("ConfigMap", "", namespace, **selector).body["items"] == [])

    eventually("no claim is left", lost)


def identity(stage: HistoryStage, app: str) -> tuple[str, int]:
    """Returns the uid and the generation of an App's Ingress: equal as long as it was neither recreated nor changed."""
    meta = stage.get("Ingress", app)["metadata"]
    return meta["uid"], meta["generation"]


def claimed_since(stage: HistoryStage, hostname: str) -> str | None:
    found = stage.api.read(claim(hostname))
    return (found.body["metadata"].get("annotations") or {}).get(names.CLAIMED_ANNOTATION) if found.ok else None


def test_claims_that_are_lost_are_made_again_and_no_route_is(two: Stages, operator: Operator) -> None:
    ours, theirs = two
    hosts = {f"lost-{number}": host(two, f"lost-{number}") for number in range(LOST)}
    for app, name in hosts.items():
        ours.app(app, given.with_hostname(name))
    for app in hosts:
        eventually(f"{app} has its route", lambda app=app: routes(ours, app))  # type: ignore[misc]
    for app, name in hosts.items():
        theirs.app(app, given.with_hostname(name))
    for app in hosts:
        refused(theirs, app)
    before = {app: identity(ours, app) for app in hosts}
    operator.stop()
    lose_claims(ours.api)
    operator.start()
    for app, name in hosts.items():
        made = ours.get("Ingress", app)["metadata"]["creationTimestamp"]
        eventually(f"the claim of {name} has the age of its route", lambda name=name, made=made: claimed_since(ours, name) == made)  # type: ignore[misc]
        theirs.change(kinds.APP.kind, app, spec={"description": "looked at again"})
        eventually("the other was looked at", lambda app=app: theirs.seen(app))  # type: ignore[misc]
        refused(theirs, app)
    assert {app: identity(ours, app) for app in hosts} == before
    assert f"the claim of hostname {hosts['lost-0']} was lost and is created again" in ours.events("lost-0")["HostnameClaimed"]
    print(f"{LOST} claims lost, the operator restarted: {LOST} made again, 0 routes touched")


def route_beside(ours: HistoryStage, theirs: HistoryStage, app: str, other: str) -> None:
    """Makes a route of App `other` with the hostname of App `app`, a second younger, as lost claims would have allowed.

    It leads to the Service of `app`, so the operator repairs it: contested routes are maintained as well.
    """
    first, second = ours.get("Ingress", app), theirs.get(kinds.APP.kind, other)
    owner = {**first["metadata"]["ownerReferences"][0], "name": other, "uid": second["metadata"]["uid"]}
    meta = {"name": other, "namespace": theirs.namespace, "labels": names.labels(other), "ownerReferences": [owner]}
    eventually("a second has passed", lambda: format_time(datetime.now(UTC)) > first["metadata"]["creationTimestamp"])
    theirs.create({"apiVersion": first["apiVersion"], "kind": "Ingress", "metadata": meta, "spec": first["spec"]})


def test_the_operators_namespace_deleted_and_made_again_touches_no_route(
    cluster: Cluster, two: Stages, operator: Operator, tmp_path: Path
) -> None:
    """Claims are made again before any route changes. A hostname that an App gives up meanwhile is not reassigned at once."""
    ours, theirs = two
    operator.stop()  # another one, at home elsewhere, is at work in its place
    hosts = {f"app-{number}": host(two, f"app-{number}") for number in range(4)}
    with (
        fresh_namespace(ours.api, "home") as home,
        Operator(cluster.kubeconfig, tmp_path, [each.namespace for each in two], home=home) as running,
    ):
        for app, name in hosts.items():
            ours.app(app, given.with_hostname(name))
            eventually(f"{app} has its route", lambda app=app: routes(ours, app))  # type: ignore[misc]
            theirs.app(app, given.with_hostname(name))
            refused(theirs, app)
        running.stop()
        route_beside(ours, theirs, "app-0", "app-0")
        before = {(stage, app): identity(stage, app) for stage, app in ((theirs, "app-0"), *((ours, app) for app in list(hosts)[:3]))}
        ours.kubectl("delete", "namespace", home)
        ours.kubectl("create", "namespace", home)
        ours.change(kinds.APP.kind, "app-3", spec={"hostname": host(two, "other")})
        running.start()
        for name in hosts.values():
            eventually(f"the claim of {name} is there again", lambda name=name: ours.api.get("ConfigMap", names.claim(name), home).ok)  # type: ignore[misc]
        message = f"hostname {hosts['app-3']} belonged to another App until recently: this App gets it 60 s after it asked"
        eventually("it is kept for a while", lambda: message in theirs.condition("app-3", "ChildrenApplied")["message"])
        assert not routes(theirs, "app-3")
        theirs.until_condition("app-0", "ChildrenApplied", "False", reason="HostnameContested")
        for app in list(hosts)[1:3]:
            assert "belongs to another App" in refused(theirs, app)
        assert {(stage, app): identity(stage, app) for stage, app in before} == before
    print(f"the operator's namespace lost with {len(hosts)} claims: {len(hosts)} made again, 0 routes touched, 1 contested and served")


def test_an_old_route_that_its_tenant_edits_takes_no_hostname_that_is_claimed(two: Stages, operator: Operator) -> None:
    """An App that holds its hostname, but has no route at the moment, would otherwise lose it to an older Ingress."""
    ours, theirs = two
    theirs.app("thief", given.with_hostname(host(two, "own")))
    eventually("the thief has a route of its own", lambda: routes(theirs, "thief"))
    made = theirs.get("Ingress", "thief")["metadata"]["creationTimestamp"]
    eventually("a second has passed", lambda: format_time(datetime.now(UTC)) > made)
    ours.app("victim", given.with_hostname(host(two)))
    eventually("the victim has its route", lambda: routes(ours, "victim"))
    operator.stop()
    ours.delete("Ingress", "victim")
    theirs.change(kinds.APP.kind, "thief", spec={"hostname": host(two)})
    rules = theirs.get("Ingress", "thief")["spec"]["rules"]
    theirs.change("Ingress", "thief", spec={"rules": [{**rules[0], "host": host(two)}]})
    operator.start()
    eventually("the victim has its route again", lambda: routes(ours, "victim"))
    refused(theirs, "thief")
    eventually("the thief has none", lambda: not routes(theirs, "thief"))
