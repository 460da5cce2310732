"""1,000 Apps that serve, with 10,000 releases of 40 KiB and 50,000 closed rows; the log goes to docs/measured/scale.txt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from local import components
from local.clusters import Cluster
from tests.support import factories as given
from tests.support import scale_figures as figures
from tests.support.api import Api, fresh_namespace
from tests.support.cluster import session_cluster
from tests.support.faults import deploys
from tests.support.faults.audit import Audit
from tests.support.measured import MEASURED, Say, kept
from tests.support.scale import Size, fill
from tests.support.scale_figures import Paces, median, p95
from tests.support.waiting import eventually

Check = Callable[[str, float, float], None]
"""Logs a figure with the most that it may be, and remembers one that is more."""
SIZE = Size(1000)
LOG = MEASURED / "scale.txt"
DEPLOYS, ROUNDS, ROLLBACKS = 20, 2, 20
AT_REST = 60.0  # seconds
BIG = [("scale-0", "chat-0"), ("scale-1", "chat-1")]


@pytest.fixture(scope="module")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """One of its own, since it is filled to the brim."""
    with session_cluster("control-plane", pytestconfig) as started:
        yield started


@pytest.mark.timeout(7200)
def test_what_a_thousand_apps_cost(cluster: Cluster, tmp_path: Path) -> None:
    api = Api.of(cluster)
    with kept(LOG) as say, fresh_namespace(api, "two") as small:
        missed: list[str] = []

        def check(what: str, found: float, most: float) -> None:
            missed.extend([what] if found > most else [])
            say(f"  {what}: {found:.2f}, at most {most:g}{'' if found <= most else '   MISSED'}")

        began = time.monotonic()
        say(f"make soak: Kubernetes {components.KUBERNETES.version}, simulated pods, controllers with their default limits.")
        fill(cluster, api, SIZE, tmp_path)
        prepare_two(cluster, api, small, tmp_path)
        say(f"{SIZE.apps} Apps, each of {SIZE.releases} releases of {SIZE.flow_bytes // 1024} KiB and {SIZE.closed} closed rows:")
        say(f"made in {time.monotonic() - began:.0f} s")
        requests(cluster, api, small, tmp_path, say, check)
        restart(cluster, api, tmp_path, say, check)
        rest(cluster, api, small, tmp_path, say, check)
        say(f"\n{time.monotonic() - began:.0f} s in all; missed: {', '.join(missed) or 'nothing'}")
    assert not missed


def prepare_two(cluster: Cluster, api: Api, namespace: str, folder: Path) -> None:
    """Two Apps that serve in a namespace of their own."""
    deploys.prepare(api, namespace, versions=("v1", "v2", "v3"))
    deploys.create_app(api, namespace, "other")
    created = api.create(figures.workload_of_nobody("undone", namespace))
    assert created.ok, created.message
    with figures.started(cluster, api, namespace, folder):
        for app in (given.NAME, "other"):
            deploys.create_row(api, namespace, f"{app}-first", app=app, workflowVersion="v1")
            eventually(f"{app} serves", partial(_is_live, api, namespace, f"{app}-first"), deploys.END_WITHIN)


def _is_live(api: Api, namespace: str, row: str) -> bool:
    return deploys.phase(api, namespace, row) == "Live"


def restart(cluster: Cluster, api: Api, folder: Path, say: Say, check: Check) -> None:
    raw, objects = min(figures.raw_list(cluster) for _ in range(3))
    say(f"\nA restart. LIST and decode of the {objects} objects that are watched, by nothing but a client: {raw:.1f} s.")
    audit = Audit(cluster, "")
    with figures.started(cluster, api, None, folder) as operator:
        time.sleep(figures.QUIET)
        writes = [each.what for each in audit.requests() if each.is_write or each.is_event]
        say(f"  it works after {operator.seconds:.1f} s; CPU {operator.cpu():.1f} s with its first look at every App")
        check("until it works beside that", operator.seconds / raw, 1.5)
        check("writes", len(writes), 0)
        check("MiB of memory, at most", operator.mebibytes("VmHWM"), 300)


def rest(cluster: Cluster, api: Api, small: str, folder: Path, say: Say, check: Check) -> None:
    found = {}
    for title, namespace in (("the whole cluster", None), ("two Apps", small)):
        with figures.started(cluster, api, namespace, folder) as operator:
            time.sleep(figures.QUIET)
            found[title] = figures.at_rest(cluster, operator, AT_REST)
        one = found[title]
        say(f"\nAt rest, {title}: {one.requests.total()} requests in {AT_REST:.0f} s, {one.cpu:.1%} of a core")
        say("  " + ", ".join(f"{count} {what}" for what, count in one.requests.most_common(8)))
    all_, two = found.values()
    check("requests beside those for two Apps", all_.requests.total() / two.requests.total(), 1.1)
    check("% of a core", all_.cpu * 100, 1)


def requests(cluster: Cluster, api: Api, small: str, folder: Path, say: Say, check: Check) -> None:
    places = {"two Apps": (small, [(small, given.NAME), (small, "other")]), "the whole cluster": (None, BIG)}
    deployed = {title: Paces() for title in places}
    rolled_back = {title: Paces() for title in places}
    for _ in range(ROUNDS):
        for title, (namespace, apps) in places.items():
            with figures.started(cluster, api, namespace, folder):
                time.sleep(figures.QUIET)  # until it has looked at every App
                figures.deploys(cluster, apps, DEPLOYS, deployed[title])
                figures.rollbacks(cluster, apps[0], ROLLBACKS, rolled_back[title])
    by_hand = figures.undone(cluster, (small, "undone"), ROLLBACKS)
    say(f"\nA request, {ROUNDS * DEPLOYS} times, until a watch shows its pins")
    for title, paces in deployed.items():
        say(f"  {title}: {paces}")
    all_, two = deployed["the whole cluster"], deployed["two Apps"]
    check("p50 beside that of two Apps", median(all_.pinned) / median(two.pinned), 1.5)
    check("p95 beside that of two Apps", p95(all_.pinned) / p95(two.pinned), 1.5)
    check("p50 in ms", median(all_.pinned), 40)
    say(f"\nA rollback, {ROUNDS * ROLLBACKS} times; what `kubectl rollout undo` sends: template changed p50 {median(by_hand):.0f} ms")
    for title, paces in rolled_back.items():
        say(f"  {title}: {paces}")
    check("p50 in ms until the template has changed, at the size of the whole cluster", median(rolled_back["the whole cluster"].rolled), 30)
