"""Measures 200 rollbacks to standbys under full load, on an idle machine; the log goes to docs/measured/warm-rollbacks.txt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.load import warm
from tests.support.load.operated import OPTIONS
from tests.support.measured import Figures
from tests.support.stage import operator, stage

ROLLBACKS = int(os.environ.get("ROLLBACKS") or 200)
RATE = int(os.environ.get("RATE") or 200)
P50, P99 = 0.15, 0.5  # seconds
FIGURES = Figures("warm-rollbacks")


@pytest.mark.timeout(3600)
def test_a_rollback_to_the_standby_answers_within_half_a_second(node: Cluster, at: Gateway, tmp_path: Path) -> None:
    with stage(node, "warm") as on, operator(on, folder=tmp_path, options=OPTIONS):
        load = warm.roll_back_again_and_again(on, at, ROLLBACKS, RATE)
        FIGURES.note(*warm.report(load, RATE))
        warm.require(load)
    warm.require_quick(load, P50, P99)
