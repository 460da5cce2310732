"""Two replicas: one works. The other takes over when the first ends, is killed, or was paused and wakes up too late."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support.api import Api
from tests.support.faults import crashes, deploys, takeovers
from tests.support.faults.takeovers import LATE, Pair
from tests.support.operator import install_rights
from tests.support.waiting import eventually


@pytest.fixture(scope="module", autouse=True)
def rights(cluster: Cluster) -> None:
    install_rights(cluster)


@pytest.fixture
def pair(cluster: Cluster, api: Api, namespace: str, tmp_path: Path) -> Iterator[Pair]:
    with takeovers.pair(cluster, api, namespace, tmp_path) as made:
        yield made


def test_the_other_takes_over(api: Api, namespace: str, pair: Pair) -> None:
    for number, row in ((signal.SIGTERM, "b"), (signal.SIGKILL, "c")):
        took = pair.taken_over(number)
        print(f"{number.name}: the other led after {took:.2f} s")
        deploys.deploy(api, namespace, row)
    assert len(api.get("Deployment", "", namespace).body["items"]) == len(deploys.ROWS)


def test_one_that_was_paused_at_a_write_writes_nothing_twice(
    cluster: Cluster, api: Api, namespace: str, pair: Pair, tmp_path: Path
) -> None:
    """The paused write arrives after the other replica has made it."""
    expected, _ = crashes.undisturbed(cluster, api, tmp_path)
    assert takeovers.answer_to_late(pair, LATE["pins"]).status == 409
    deploys.deploy(api, namespace, "c")
    eventually("all is told", lambda: deploys.is_settled(api, namespace), deploys.END_WITHIN)
    assert deploys.End.of(api, namespace) == expected


OF_ONE = pytest.mark.long("each case waits until a lease has expired; an Event and the write of the pins are in `make test`")


@pytest.mark.parametrize(
    "case",
    [
        "Event, overtaken",
        *(pytest.param(case, marks=OF_ONE) for case in ("workload", "workload, not wanted any more", "autoscaler, not wanted any more")),
    ],
)
def test_a_write_that_arrives_after_the_takeover_is_refused(api: Api, namespace: str, pair: Pair, case: str) -> None:
    late = takeovers.answer_to_late(pair, LATE[case])
    assert late.status == 409, f"{late.name}: {late.body.decode()}"
    assert deploys.phase(api, namespace, LATE[case].live) == "Live"
