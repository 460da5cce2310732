"""The operator's whole process: it fills its cache, leads, watches, reconciles, and hands over on SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from dynamiq_operator.controller.run import OperatorOptions, run
from dynamiq_operator.kube.resources import HTTP_ROUTES, LEASES, ROWS, SLICES, WATCHED
from dynamiq_operator.model.names import GATE_NAMESPACE
from dynamiq_operator.model.settings import Settings
from tests.support import factories as given
from tests.support import waiting
from tests.support.controller import LEASE, SYSTEM, Watches, at, empty_cluster, stored
from tests.support.ports import free_port
from tests.support.scripted import Script, ScriptedServer, failure, kubeconfig, listed
from tests.support.waiting import IN_TIME

SOON = IN_TIME
RELIST = 0.5
"""Seconds between two lists."""
STATUS = at(ROWS, "a", "status")


@pytest.fixture
def script() -> Script:
    """Returns a script of a cluster without an App. Its Lease is free at first and then the leader's."""
    script = empty_cluster(Script())
    held: dict[str, Any] = {}

    def keep(sent: Any) -> dict[str, Any]:
        held.update(sent.body, metadata={**sent.body["metadata"], "resourceVersion": "1"})
        return held

    script.on("GET", LEASE, lambda _: held or failure(404, "NotFound"))
    return script.on("POST", LEASES.path(SYSTEM), keep).on("PUT", LEASE, keep)


@pytest.fixture(autouse=True)
def watches(script: Script) -> Iterator[Watches]:
    made = Watches(script)
    yield made
    made.close()


@asynccontextmanager
async def running(script: Script, folder: Path, *namespaces: str, metrics_port: int | None = None) -> AsyncIterator[None]:
    """Runs the process. At the end it gets SIGTERM, and must end without an error."""
    with ScriptedServer(script) as server:
        path = folder / "kubeconfig.yaml"
        path.write_text(yaml.safe_dump(kubeconfig(server)))
        options = OperatorOptions(
            Settings(),
            "replica-a",
            SYSTEM,
            "dynamiq-operator",
            kubeconfig=path,
            relist_period=RELIST,
            namespaces=namespaces,
            metrics_port=metrics_port,
        )
        task = asyncio.create_task(run(options))
        try:
            yield
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(task, SOON)


async def eventually(what: str, condition: Callable[[], object]) -> None:
    await asyncio.to_thread(waiting.eventually, what, condition, SOON, 0.01)


async def test_row_that_a_watch_reports_is_reconciled_and_the_lease_released_at_the_end(
    script: Script, watches: Watches, tmp_path: Path
) -> None:
    script.on("PATCH", STATUS, stored(given.row_manifest("a"), 9, phase="Pending"))
    async with running(script, tmp_path):
        await eventually("all watches are open", lambda: len(set(watches.opened)) == len(WATCHED))
        watches.send(ROWS, "ADDED", given.stored(given.row_manifest("a")))
        await eventually("the row is reconciled", lambda: script.bodies("PATCH", STATUS))
    assert script.bodies("PATCH", STATUS)[0]["status"]["phase"] == "Failed", "it is days old, and its App does not exist"
    assert script.bodies("POST", LEASES.path(SYSTEM))[0]["spec"]["holderIdentity"] == "replica-a"
    assert script.bodies("PUT", LEASE)[-1]["spec"]["holderIdentity"] == "", "the other replica leads at once"
    watched = {sent.path: sent.query for sent in script.sent if sent.query.get("watch")}
    assert watched[ROWS.path()]["fieldSelector"] == "status.phase!=Superseded,status.phase!=Failed", "closed rows are not watched"
    assert watched[HTTP_ROUTES.path()]["labelSelector"] == "app.kubernetes.io/managed-by=dynamiq-operator"
    assert {sent.path for sent in script.writes() if sent.method == "PATCH"} == {STATUS}, "kopf writes nothing of its own"


async def test_routes_are_watched_once_the_gateway_api_is_installed(script: Script, watches: Watches, tmp_path: Path) -> None:
    script.on("GET", HTTP_ROUTES.path(), failure(404, "NotFound"), query={"limit": "500"})
    without = len(WATCHED) - 1
    async with running(script, tmp_path):
        await eventually("all other watches are open", lambda: len(set(watches.opened)) == without)
        script.on("GET", HTTP_ROUTES.path(), listed(version="7"), query={"limit": "500"})
        await eventually("routes are watched", lambda: HTTP_ROUTES.path() in watches.opened)
    assert watches.opened.count(ROWS.path()) == 1, "no other watch was disturbed"


async def test_operator_of_some_namespaces_watches_the_gate_and_nothing_else_beside_it(tmp_path: Path) -> None:
    script = empty_cluster(Script(), given.NAMESPACE).on("GET", SLICES.path(GATE_NAMESPACE), listed(version="7"))
    script.on("GET", LEASE, failure(503, "ServiceUnavailable"))
    watches = Watches(script, given.NAMESPACE, GATE_NAMESPACE)
    async with running(script, tmp_path, given.NAMESPACE):
        await eventually("all watches are open", lambda: len(set(watches.opened)) == len(WATCHED) + 1)
        watches.close()
    assert [path for path in set(watches.opened) if GATE_NAMESPACE in path] == [SLICES.path(GATE_NAMESPACE)]


async def test_process_that_is_stopped_before_it_leads_ends(script: Script, tmp_path: Path) -> None:
    script.on("GET", LEASE, failure(503, "ServiceUnavailable"))
    async with running(script, tmp_path):
        await eventually("the lease was asked for", lambda: any(sent.path == LEASE for sent in script.sent))
    assert script.writes() == []


async def test_process_waits_for_the_crds_and_can_be_stopped_meanwhile(script: Script, tmp_path: Path) -> None:
    script.on("GET", ROWS.path(), failure(404, "NotFound"), query={"limit": "500"})
    async with running(script, tmp_path):
        await eventually("rows were asked for twice", lambda: sum(sent.path == ROWS.path() for sent in script.sent) >= 2)
    assert not any(sent.path == LEASE for sent in script.sent if sent.method != "GET"), "a replica that knows nothing does not lead"


async def test_metrics_show_the_leader_and_end_with_the_process(script: Script, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/metrics"

    def said() -> str | None:
        """Returns the metrics; None if nothing listens."""
        try:
            return requests.get(url, timeout=5).text
        except requests.ConnectionError:
            return None

    async with running(script, tmp_path, metrics_port=int(url.split(":")[2].split("/")[0])):
        await eventually("it leads", lambda: "dynamiq_leader 1.0" in (said() or ""))
    assert await asyncio.to_thread(said) is None
