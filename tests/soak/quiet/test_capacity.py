"""Measures 1,000 and 3,000 Apps, and one slope for each of Apps, rows and flows; the log goes to docs/measured/capacity.txt.

    SOAK=1 CAPACITY_APPS=1000 python -m pytest tests/soak/quiet/test_capacity.py --capture=no
    python -m tests.soak.capacity_figures

The first takes an hour, alone on a quiet machine; the second writes the tables of docs/capacity-measured.md. Without CAPACITY_APPS, as in
`make soak`, it uses 100 and 300 Apps and shorter times at rest: that only proves that the measure works. Its figures are not kept.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.soak import capacity, capacity_figures
from tests.soak.capacity_figures import FIGURES as NAMED
from tests.soak.capacity_figures import Size
from tests.support.api import Api
from tests.support.cluster import session_cluster
from tests.support.measured import Figures
from tests.support.operator import install_rights

KEPT = "CAPACITY_APPS" in os.environ
APPS = int(os.environ.get("CAPACITY_APPS", "100"))
AT_REST = 60.0 if KEPT else 15.0  # seconds
CPU_MOST, MEMORY_MOST, GROWS_MOST = 0.6, 300.0, 1.1
"""Seconds a minute and MiB of an operator of `FEW` Apps; and the most growth of its requests at rest with more of anything."""
FIGURES = Figures("capacity")
FEW = Size(APPS, rows=20)
HALF = replace(FEW, apps=APPS // 2)
GROWTHS = (
    (FEW, replace(FEW, apps=3 * APPS)),
    (HALF, replace(HALF, rows=60), replace(HALF, rows=60, large=2)),
)
"""Sizes that extend one another, each line on a cluster of its own.

Rows and flows are added to few Apps: with 3,000 of them, Kubernetes' own work on two cores would hide a slope.
"""


@pytest.mark.timeout(4 * 3600)
def test_the_cost_of_apps_rows_and_flows_is_measured(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    for growth in GROWTHS:
        with session_cluster("control-plane", pytestconfig) as cluster:
            api = Api.of(cluster)
            install_rights(cluster)
            before = capacity.NOTHING
            at_rest: list[float] = []
            for size in growth:
                began = time.monotonic()
                capacity.grow(cluster, before, size)
                took = time.monotonic() - began
                settled = capacity.settle(cluster, api, size.apps, tmp_path)
                values = capacity.measured(cluster, api, size, tmp_path, AT_REST)
                assert set(values) == {each.name for each in NAMED}
                note(
                    *capacity_figures.section(size, values),
                    f"What is new was written in {took:.0f} s, and an operator made the rest in {settled:.0f} s.",
                )
                before = size
                at_rest.append(values["operator.rest.requests"])
                if size == FEW:
                    assert values["operator.rest.cpu"] <= CPU_MOST
                    assert values["operator.memory.peak"] <= MEMORY_MOST
            assert max(at_rest) <= GROWS_MOST * at_rest[0], "what it asks at rest does not grow with Apps, rows or flows"


def note(*lines: str) -> None:
    if KEPT:
        FIGURES.note(*lines)
    else:
        print("\n" + "\n".join(lines), flush=True)
