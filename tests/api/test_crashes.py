"""The operator is killed at its writes, and reaches the same end each time. `make soak` kills it before and after every write."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support.api import Api
from tests.support.faults import crashes
from tests.support.faults.deploys import BOTH, ROLLING, Story
from tests.support.operator import install_rights

DECIDES_WHERE = {
    "apply services",
    "apply apps deployments",
    "delete apps deployments",
    "apply horizontalpodautoscalers",
    "patch apps deployments",
}
"""Kinds of writes that decide which pods get calls."""


@pytest.fixture(scope="module", autouse=True)
def rights(cluster: Cluster) -> None:
    install_rights(cluster)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("story", [ROLLING, BOTH], ids=lambda story: story.name)
def test_killed_at_each_kind_of_write_it_comes_to_the_same_end(cluster: Cluster, api: Api, tmp_path: Path, story: Story) -> None:
    """The operator is killed once at each kind of write, alternately before and after it.

    In the second story callers always have a pod, even when the strategy changes.
    """
    expected, writes = crashes.undisturbed(cluster, api, tmp_path, story)
    made = {crashes.kind_of(call.name) for call in writes}
    kinds = made | {"create leases"} if story is ROLLING else made & DECIDES_WHERE
    end, killed = crashes.run_killed_at_each_kind(cluster, api, kinds, tmp_path, story)
    print(f"{story.name}, killed at: " + ", ".join(f"{'after' if after else 'before'} {kind}" for kind, after in killed.items()))
    assert end == expected
    assert set(killed) == kinds
