"""Two operators, each of its own namespaces: each App belongs to one of them, and a hostname is claimed once for both."""

from __future__ import annotations

import concurrent.futures
import contextlib
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dynamiq_operator.model import kinds
from local.clusters import Cluster
from tests.api.support.hostnames import asked_long_ago, claim, refused, routes, settled
from tests.support import factories as given
from tests.support import history_stage
from tests.support.cluster import REPOSITORY, Kubectl
from tests.support.history_stage import HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

DOCUMENT = REPOSITORY / "docs" / "capacity.md"
SECOND = "--lease-name=dynamiq-operator-2"
RACES = 3
Side = tuple[HistoryStage, Operator]


@pytest.fixture(scope="module")
def rights(cluster: Cluster, account: Path) -> Iterator[None]:
    """Lets the second operator keep its lease, by the manifests of the page."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    manifests = list(yaml.safe_load_all(block))
    kubectl = Kubectl(cluster)
    kubectl("apply", "-f", "-", input=manifests)
    yield
    kubectl("delete", "-f", "-", input=manifests)


@pytest.fixture(scope="module")
def both(cluster: Cluster, account: Path, rights: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """Yields two sides, each with its own operator and a namespace with releases v1 to v4. Both use the claims of one namespace."""
    with contextlib.ExitStack() as stack:
        made = []
        for side, options in (("a", ()), ("b", (SECOND,))):
            at = stack.enter_context(history_stage.stage(cluster, f"{side}-two-operators"))
            operator = stack.enter_context(Operator(account, tmp_path_factory.mktemp(side), [at.namespace], options))
            made.append((at, operator))
        yield made[0], made[1]


@pytest.fixture
def sides(both: tuple[Side, Side]) -> tuple[Side, Side]:
    """Returns both sides with running operators, whatever an earlier test left."""
    for _, operator in both:
        if not operator.runs:
            operator.start()
    return both


def host(side: Side, name: str) -> str:
    """Returns a hostname that no other test uses."""
    return f"{name}.{side[0].namespace}.example.test"


def asks_again(stage: HistoryStage, app: str) -> None:
    """Makes the operator reconcile an App at once: after a refusal it would wait up to a minute."""
    stage.change(kinds.APP.kind, app, spec={"description": f"asks again {uuid.uuid4().hex[:6]}"})


def test_each_app_is_one_operators_and_waits_for_no_other(sides: tuple[Side, Side]) -> None:
    (here, first), (there, second) = sides
    second.stop()
    for stage in (here, there):
        stage.apply(stage.declared("v1"))
    live = here.until_served("v1", rows=1)
    assert there.rows("chat") == [], "the operator of other namespaces does nothing for it"
    first.stop()
    second.start()
    there.until_served("v1", rows=1)
    here.apply(here.declared("v2"))
    there.apply(there.declared("v2"))
    there.until_served("v2", rows=2)
    assert [row["metadata"]["name"] for row in here.rows("chat")] == [live], "its operator is down, and the other one leaves it alone"
    first.start()
    here.until_served("v2", rows=2)
    assert here.versions() == there.versions() == ["v1", "v2"]


def test_a_hostname_that_both_sides_ask_for_at_once_is_one_apps(sides: tuple[Side, Side]) -> None:
    stages = [stage for stage, _ in sides]
    hosts = {f"race-{number}": host(sides[0], f"race-{number}") for number in range(RACES)}
    with concurrent.futures.ThreadPoolExecutor(2 * RACES) as pool:
        making = [pool.submit(stage.app, app, given.with_hostname(name)) for app, name in hosts.items() for stage in stages]
        for each in making:
            each.result()
    for app in hosts:
        eventually(f"both {app} are settled", lambda app=app: all(settled(stage, app) for stage in stages))  # type: ignore[misc]
        assert sum(routes(stage, app) for stage in stages) == 1, app


@pytest.mark.parametrize("gives_up", ["deleted", "renamed"])
def test_an_operator_that_is_down_keeps_no_hostname_from_an_app_of_another(sides: tuple[Side, Side], gives_up: str) -> None:
    (here, _), (there, second) = sides
    holder, waiting = (f"{app}-{gives_up}" for app in ("holder", "waiting"))
    hostname = host(sides[0], gives_up)
    there.app(holder, given.with_hostname(hostname))
    eventually("the holder has its route", lambda: routes(there, holder))
    here.app(waiting, given.with_hostname(hostname))
    assert refused(here, waiting) == f"hostname {hostname} belongs to another App: choose another"
    second.stop()
    asks_again(here, waiting)
    eventually("it was looked at", lambda: here.seen(waiting))
    assert "belongs to another App" in refused(here, waiting), "the holder is there, and serves"
    if gives_up == "deleted":
        there.delete(kinds.APP.kind, holder)
    else:
        there.change(kinds.APP.kind, holder, spec={"hostname": host(sides[0], "new")})
        asks_again(here, waiting)
    asked_long_ago(here, hostname)
    if gives_up == "renamed":
        asks_again(here, waiting)
        eventually("the claim is given up", lambda: not here.api.read(claim(hostname)).ok)
        eventually("its route serves on", lambda: "belongs to another App" in refused(here, waiting))
        assert routes(there, holder)
        second.start()
        eventually("its operator takes the claim for lost, and makes it again", lambda: here.api.read(claim(hostname)).ok)
        asks_again(here, waiting)
        asked_long_ago(here, hostname)
        asks_again(here, waiting)
    eventually("the other has the route", lambda: routes(here, waiting))


def test_without_its_own_lease_a_second_operator_waits_and_reports_the_cause(
    account: Path, sides: tuple[Side, Side], tmp_path: Path
) -> None:
    (_, first), (there, second) = sides
    second.stop()
    waiting = Operator(account, tmp_path, [there.namespace])
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        starting = pool.submit(waiting.start)
        try:
            eventually(
                "it says that it needs a lease of its own",
                lambda: "a lease each (--lease-name)" in waiting.log.read_text() if waiting.log.exists() else False,
            )
        finally:
            first.stop()  # it leads now, and can be ended
            starting.result()
            waiting.stop()
