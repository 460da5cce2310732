"""Equal versions are kept and worse ones reverted: a few deploys of `tests.bench.revert_power`, drawn by seed."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from dynamiq_operator.model.rollout import RevertPolicy
from dynamiq_operator.model.runs import Verdict
from tests.support.simulated_watches import Load, is_reverted, looked

FAST = Load(10, 30, failing=0.05)
LATE = Load(3, 120, failing=0.4, fails_late=True)


@pytest.mark.parametrize(
    ("before", "load", "reverted"), [(FAST, FAST, 0), (replace(LATE, failing=0.02), LATE, 8)], ids=["fast, equal", "late"]
)
def test_version_is_judged_by_the_runs_that_had_time_to_fail(before: Load, load: Load, reverted: int) -> None:
    chance = random.Random(30)  # noqa: S311 - no secret
    assert sum(is_reverted(chance, before, load, RevertPolicy()) for _ in range(8)) == reverted


@pytest.mark.parametrize("load", [Load(20, 20), Load(20, 10, hanging=0.1)], ids=["twice as slow", "some hang"])
def test_version_is_compared_by_runs_that_had_time_to_end(load: Load) -> None:
    chance, policy = random.Random(30), RevertPolicy(seconds=600, min_runs=100, max_p95_ratio=1.2)  # noqa: S311 - no secret
    found = [looked(chance, Load(20, 10), load, policy) for _ in range(4)]
    assert [(each.reverted, each.verdict) for each in found] == [(True, Verdict.REGRESSED)] * 4
