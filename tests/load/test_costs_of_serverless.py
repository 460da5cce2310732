"""What serverless costs callers: a cold call beside a bare start of the same pods, and an awake App beside a server-based one.

The counts are small, and the times are only told: `tests/soak/quiet` takes them in full on an idle machine, and holds them to their bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.load import awake, cold
from tests.support.load.operated import Operated, operated

pytestmark = pytest.mark.long("figures of many cold starts; sleep and wake: tests/node/test_no_call_fails.py")

PAIRS_COLD, PAIRS_AWAKE = 5, 300


@pytest.fixture
def stage(cluster: Cluster, at: Gateway, tmp_path: Path) -> Iterator[Operated]:
    with operated(cluster, at, "costs", tmp_path) as made:
        made.on.release("v1")
        made.on.runtime("tiny", by_default=True)
        yield made


@pytest.mark.timeout(600)
def test_cold_calls_and_bare_starts_are_all_answered(stage: Operated) -> None:
    times = cold.measured(stage.on, stage.at, PAIRS_COLD, 3, "tiny")
    print("\n" + "\n".join(times.report("tiny")))
    assert len(times.cold) == len(times.bare) == PAIRS_COLD


@pytest.mark.timeout(600)
def test_calls_of_an_awake_app_pass_no_gate(stage: Operated) -> None:
    costs = awake.measured(stage.on, stage.at, stage.gates, PAIRS_AWAKE)
    print("\n" + "\n".join(costs.report()))
    assert costs.seen_by_the_gate == 0
