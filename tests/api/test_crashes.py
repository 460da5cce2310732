"""The operator is killed before and after its writes, and comes to the same end each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support.api import Api
from tests.support.faults import crashes
from tests.support.operator import install_rights

EVERY = 10


@pytest.fixture(scope="module", autouse=True)
def rights(cluster: Cluster) -> None:
    install_rights(cluster)


@pytest.mark.timeout(900)
def test_killed_before_and_after_its_writes_it_comes_to_the_same_end(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    """Every tenth write point and every kind of write; `make soak` takes them all."""
    end, writes = crashes.undisturbed(cluster, api, tmp_path)
    points = crashes.points_of(writes)
    taken = crashes.chosen(points, EVERY)
    print(f"{len(writes)} writes of deploy, redeploy and rollback beside the lease, so {len(points)} points, of which {len(taken)}:")
    print("\n".join(crashes.listed(writes)))
    runs = crashes.run_all(cluster, api, taken, end, tmp_path, print)
    crashes.require_made(taken, runs)
