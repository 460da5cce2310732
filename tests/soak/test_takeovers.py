"""Ends, kills, and pauses the leader at a write, again and again; the log goes to docs/measured/takeovers.txt."""

from __future__ import annotations

import os
import signal
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from local import components
from local.clusters import Cluster
from tests.support.api import Api, fresh_namespace
from tests.support.cluster import REPOSITORY
from tests.support.faults import deploys, takeovers
from tests.support.faults.takeovers import LATE, Late, Pair
from tests.support.operator import install_rights

LOG = REPOSITORY / "docs" / "measured" / "takeovers.txt"
PAIRS = 5
"""Pairs of replicas in parallel, each on a lease of its own."""
ROUNDS = int(os.environ.get("TAKEOVERS", "50")) // PAIRS
MOST = {signal.SIGTERM: 1.0, signal.SIGKILL: 16.0}
"""Seconds until the other leads, for 95 of 100."""


@contextmanager
def _pair(cluster: Cluster, folder: Path) -> Iterator[Pair]:
    api = Api.of(cluster)
    with fresh_namespace(api, "takeover") as namespace, takeovers.pair(cluster, api, namespace, folder) as replicas:
        yield replicas


def _rounds(cluster: Cluster, folder: Path) -> dict[signal.Signals, list[float]]:
    """Ends the leader of one pair by each signal, so many times; the new leader then deploys the App."""
    took: dict[signal.Signals, list[float]] = {number: [] for number in MOST}
    with _pair(cluster, folder) as on:
        for turn in range(ROUNDS):
            for number, seconds in took.items():
                seconds.append(on.taken_over(number))
                name = f"{number.name.lower()}-{turn}"
                deploys.create_row(on.api, on.namespace, name, workflowVersion="v2" if turn % 2 else "v1")
                deploys.until_live(on.api, on.namespace, name)
    return took


def _late(cluster: Cluster, folder: Path, late: Late) -> int:
    """Returns the status of the answer to a write that arrives late."""
    with _pair(cluster, folder) as on:
        return takeovers.answer_to_late(on, late).status


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


@pytest.mark.timeout(3600)
def test_another_replica_leads_in_time_and_nothing_late_is_accepted(cluster: Cluster, tmp_path: Path) -> None:
    install_rights(cluster)
    with ThreadPoolExecutor(PAIRS) as pool:
        lanes = list(pool.map(lambda lane: _rounds(cluster, tmp_path / f"pair-{lane}"), range(PAIRS)))
        statuses = dict(zip(LATE, pool.map(lambda case: _late(cluster, tmp_path / case[0], case[1]), LATE.items()), strict=True))
    took = {number: sorted(seconds for lane in lanes for seconds in lane[number]) for number in MOST}
    lines = [f"make soak: Kubernetes {components.KUBERNETES.version}, simulated pods, {PAIRS} pairs of replicas side by side."]
    lines += [
        f"{number.name}: {len(times)} times, until the other led: p50 {statistics.median(times):.2f} s, p95 {_p95(times):.2f} s, "
        f"at most {times[-1]:.2f} s"
        for number, times in took.items()
    ]
    accepted = {case: status for case, status in statuses.items() if status != 409}
    lines += [f"writes that arrived after the takeover: {len(statuses)}, accepted {len(accepted)}"]
    lines += [f"  {case}: HTTP {status}" for case, status in statuses.items()]
    LOG.parent.mkdir(parents=True, exist_ok=True)
    LOG.write_text("\n".join(lines) + "\n")
    print(LOG.read_text(), flush=True)
    assert accepted == {}
    assert {number: _p95(times) <= MOST[number] for number, times in took.items()} == dict.fromkeys(MOST, True)
