"""The API server fails, loses answers, cuts watches, stops or sends no events: the operator keeps running and reaches the same end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Api
from tests.support.faults import crashes, deploys, faults, operators
from tests.support.faults.proxy import Fault, Proxy
from tests.support.operator import install_rights
from tests.support.waiting import eventually

OUTAGE = 20.0  # seconds
LIST_AGAIN = 5
WATCHES_LAST = 0.2  # seconds: far less than the deploys take, however fast the machine


@pytest.fixture(scope="module", autouse=True)
def rights(cluster: Cluster) -> None:
    install_rights(cluster)


@pytest.fixture
def proxy(cluster: Cluster, api: Api, namespace: str) -> Iterator[Proxy]:
    """Yields a proxy for operators of this test's namespace."""
    operators.allow_leases(api, namespace)
    deploys.prepare(api, namespace)
    with operators.proxied(cluster, api) as made:
        yield made


def _everything() -> list[Fault]:
    return [
        faults.Fails(0.1, faults.INTERNAL, faults.TOO_MANY, faults.UNAVAILABLE),
        faults.CutsWatches(WATCHES_LAST),
        faults.LosesAnswers(0.1),
    ]


OF_ALL = pytest.mark.long("one fault of several; in `make test` the same test meets all of them at once")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: [faults.Fails(0.1, faults.INTERNAL, faults.TOO_MANY)], id="a tenth of all requests fails", marks=OF_ALL),
        pytest.param(lambda: [faults.CutsWatches(WATCHES_LAST)], id="watches are cut five times a second", marks=OF_ALL),
        pytest.param(lambda: [faults.LosesAnswers(0.3)], id="a third of the writes is never answered", marks=OF_ALL),
        pytest.param(_everything, id="all of it"),
    ],
)
def test_it_comes_to_the_same_end(
    cluster: Cluster, api: Api, namespace: str, proxy: Proxy, tmp_path: Path, make: Callable[[], list[Fault]]
) -> None:
    expected, _ = crashes.undisturbed(cluster, api, tmp_path)
    proxy.faults += make()
    with operators.running(proxy.url, namespace, tmp_path) as operator:
        end = deploys.deploy_all(api, namespace)
        assert operator.alive
    assert all(fault.count > 0 for fault in proxy.faults), "nothing went wrong"
    # A failed write of an Event blocks nothing, so some may be missing. None is repeated but ReconcileFailed, which reports a retry.
    events = Counter(event for event in end.said if not event.endswith(": ReconcileFailed"))
    assert events <= Counter(expected.said)
    assert replace(end, said=[]) == replace(expected, said=[])


def test_an_api_server_that_goes_away_for_a_while(api: Api, namespace: str, proxy: Proxy, tmp_path: Path) -> None:
    down = faults.Down()
    proxy.faults.append(down)
    with operators.running(proxy.url, namespace, tmp_path) as operator:
        deploys.deploy(api, namespace, "a")
        with down.for_seconds(OUTAGE):
            proxy.cut_watches()
            deploys.create_row(api, namespace, "b", **deploys.ROWS["b"])
        eventually("row b is Live", lambda: deploys.phase(api, namespace, "b") == "Live", deploys.END_WITHIN)
        deploys.deploy(api, namespace, "c")
        eventually("all is told", lambda: deploys.is_settled(api, namespace), deploys.END_WITHIN)
        assert operator.alive
    assert down.count > 0
    assert deploys.End.of(api, namespace).live == "v1"


def test_a_deletion_without_an_event_is_found_by_the_next_list(api: Api, namespace: str, proxy: Proxy, tmp_path: Path) -> None:
    hides = faults.HidesDeletions("services")
    proxy.faults.append(hides)
    with operators.running(proxy.url, namespace, tmp_path, "--list-again-every", str(LIST_AGAIN)):
        deploys.deploy(api, namespace, "a")
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": given.NAME, "namespace": namespace}}
        before = api.read(service).body["metadata"]["uid"]
        api.delete(service)
        eventually("the deletion is hidden", lambda: hides.count)

        def is_back() -> bool:
            found = api.read(service)
            return found.ok and found.body["metadata"]["uid"] != before

        eventually("the Service is back", is_back)
