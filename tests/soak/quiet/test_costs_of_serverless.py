"""Measures cold calls and bare starts, with engine tiny and sdk, and an awake serverless App against a server-based one, on an idle
machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from local import images
from local.clusters import Cluster
from local.gateway import Gateway
from tests.soak.support import awake, cold
from tests.soak.support.sdk_runtime import ROOM, sdk_runtime
from tests.support.load.operated import Operated, operated
from tests.support.measured import Figures

PAIRS_COLD = int(os.environ.get("COLD") or 50)
PAIRS_AWAKE = 3000
TINY_RATIO, SDK_RATIO, TINY_P50 = 0.7, 1.0, 1.2
"""Ratios of the medians, cold to bare; and seconds."""
AWAKE_RATIO = 1.10
FIGURES = Figures("serverless")


@pytest.fixture(scope="module")
def stage(node: Cluster, at: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    with operated(node, at, "costs", tmp_path_factory.mktemp("costs")) as prepared:
        prepared.on.release("v1")
        yield prepared


@pytest.mark.timeout(3600)
def test_an_awake_app_costs_what_a_server_costs(stage: Operated) -> None:
    stage.on.runtime("tiny", by_default=True)
    costs = awake.measured(stage.on, stage.at, stage.gates, PAIRS_AWAKE)
    FIGURES.note(*costs.report())
    assert costs.seen_by_the_gate == 0
    assert costs.ratio <= AWAKE_RATIO


@pytest.mark.timeout(3600)
def test_a_cold_call_is_quicker_than_a_bare_start(stage: Operated) -> None:
    times = cold.measured(stage.on, stage.at, PAIRS_COLD, 4, "tiny")
    FIGURES.note(*times.report("tiny"))
    assert times.ratio() <= TINY_RATIO
    assert cold.median(times.cold) <= TINY_P50


@pytest.mark.timeout(7200)
def test_a_cold_call_of_the_sdk_is_no_slower_than_a_bare_start(stage: Operated, node: Cluster) -> None:
    node.load_images(images.ensure([images.RUNTIME_SDK]).values())
    name = sdk_runtime(stage.on, ROOM)
    times = cold.measured(stage.on, stage.at, PAIRS_COLD, 3, "sdk", runtime=name, resources=ROOM)
    FIGURES.note(*times.report("sdk"))
    assert times.ratio() <= SDK_RATIO
