"""The operator is killed before and after its writes, and comes to the same end each time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support.api import Api
from tests.support.faults import crashes, deploys
from tests.support.operator import install_rights

EVERY = 10
DECIDES_WHERE = (
    "apply services",
    "apply apps deployments",
    "delete apps deployments",
    "apply horizontalpodautoscalers",
    "patch apps deployments",
)
DRAWN = 3


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


@pytest.mark.timeout(900)
def test_killed_at_a_write_of_what_decides_where_callers_go_no_caller_is_without_a_pod(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    """A few of these writes, of one of the stories, drawn anew each time; `make soak` takes every write of both."""
    seed = random.randrange(1_000_000)  # noqa: S311 - no secret
    chance = random.Random(seed)  # noqa: S311 - no secret
    story = chance.choice([deploys.SWITCH, deploys.BOTH])
    end, writes = crashes.undisturbed(cluster, api, tmp_path, story)
    points = [point for point in crashes.points_of(writes) if point.name.startswith(DECIDES_WHERE)]
    taken = chance.sample(points, DRAWN)
    print(f"seed {seed}, {story.name}: {len(writes)} writes, {len(points)} points of Service and workloads, of which {len(taken)}:")
    crashes.run_all(cluster, api, taken, end, tmp_path, print, story)
