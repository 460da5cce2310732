"""The operator is killed at its writes and comes to the same end; the API server fails, goes away, forgets to tell, and so it does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.clusters import Cluster
from tests import harness
from tests.faults import crashes, deploys, faults, operators
from tests.faults.proxy import Proxy
from tests.harness import Api

EVERY = 10


@pytest.fixture(scope="module", autouse=True)
def rights(cluster: Cluster) -> None:
    operators.install_rights(cluster)


@pytest.fixture
def proxy(cluster: Cluster, api: Api, namespace: str) -> Iterator[Proxy]:
    """A proxy for operators of this test's namespace."""
    operators.allow_leases(api, namespace)
    with operators.proxied(cluster, api) as made:
        yield made


@pytest.mark.timeout(1500)
def test_killed_before_and_after_its_writes_it_comes_to_the_same_end(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    """Every tenth write point and every kind of write; `make soak` takes them all."""
    end, writes = crashes.undisturbed(cluster, api, tmp_path)
    points = crashes.points_of(writes)
    taken = points if os.environ.get("SOAK") else crashes.chosen(points, EVERY)
    print(f"{len(writes)} writes of deploy, redeploy and rollback beside the lease, so {len(points)} points, of which {len(taken)}:")
    for number, call in enumerate(writes, 1):
        print(f"  {number:3d}  {call.point}")
    for run in crashes.run_all(cluster, api, taken, tmp_path, print):
        assert run.end == end, f"killed {run.point}"
