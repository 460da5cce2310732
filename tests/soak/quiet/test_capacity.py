"""Measures 1,000 and 3,000 Apps, and one slope for each of Apps, rows and flows; the log goes to docs/measured/capacity.txt. Measures 10,000
Apps beside 100; that log goes to docs/measured/capacity-many.txt.

    SOAK=1 CAPACITY_APPS=1000 python -m pytest tests/soak/quiet/test_capacity.py --capture=no -k slopes
    SOAK=1 CAPACITY_MANY=10000 python -m pytest tests/soak/quiet/test_capacity.py --capture=no -k many
    python -m tests.soak.capacity_figures

The first takes an hour, the second almost two, alone on a quiet machine with 24 GiB. The third writes the tables of
docs/capacity-measured.md. Without the variables, as in `make soak`, they use few Apps and shorter times at rest: that only proves that the
measure works. Its figures are not kept.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.soak import capacity, capacity_figures
from tests.soak.capacity_figures import FIGURES as NAMED
from tests.soak.capacity_figures import Size
from tests.soak.support import own_objects
from tests.support import cluster as cluster_of_session
from tests.support.api import Api
from tests.support.cluster import session_cluster
from tests.support.measured import Figures
from tests.support.operator import install_rights

APPS, MANY = (int(os.environ.get(f"CAPACITY_{name}", few)) for name, few in (("APPS", "100"), ("MANY", "200")))
KEPT = {"capacity": "CAPACITY_APPS" in os.environ, "capacity-many": "CAPACITY_MANY" in os.environ}
AT_REST = 60.0 if any(KEPT.values()) else 15.0  # seconds
CPU_MOST, MEMORY_MOST, GROWS_MOST = 0.6, 300.0, 1.1
"""Seconds a minute and MiB of an operator of `FEW` Apps; and the most growth of its requests at rest with more of anything."""
FIGURES, FIGURES_OF_MANY = Figures("capacity"), Figures("capacity-many")
FEW = Size(APPS, rows=20)
HALF = replace(FEW, apps=APPS // 2)
GROWTHS = (
    (FEW, replace(FEW, apps=3 * APPS)),
    (HALF, replace(HALF, rows=60), replace(HALF, rows=60, large=2)),
)
"""Sizes that extend one another, each line on a cluster of its own.

Rows and flows are added to few Apps: with 3,000 of them, Kubernetes' own work on two cores would hide a slope.
"""


TO_MANY = (Size(min(100, MANY // 2), rows=20, releases=2, flow_kib=2), Size(MANY, rows=20, releases=2, flow_kib=2))
MOST_OF_MANY = {
    **{f"operator.memory.{when}": 450.0 for when in ("peak", "rest")},
    **{f"api.memory.{when}": 250.0 for when in ("peak", "rest")},
    **{f"{program}.rest.cpu": 1.2 for program in ("operator", "api")},
}
"""Limits in MiB, and in seconds a minute: 2 % of a core."""
LEADS_MOST, READY_MOST, DEPLOY_MOST = 1.5, 1.0, 1.5
"""Until the operator leads, and until the API is ready, each beside a client that lists and decodes the same. A deploy's p50, beside that
with few Apps.
"""
APPS_OF_NODE = 3000
"""Apps whose pods' requests fit onto a simulated node: each requests 256 MiB of 1 TiB."""
GARBAGE_KEPT_OF_MANY = "100"
"""Per cent of the API server's memory in use, Go's default: with the tests' own 300 its 200,000 rows would not fit into 24 GiB."""


@pytest.mark.timeout(4 * 3600)
def test_the_slopes_of_apps_rows_and_flows_are_measured(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    for growth in GROWTHS:
        at_rest: list[float] = []
        for size, values in measured(growth, pytestconfig, tmp_path, FIGURES):
            at_rest.append(values["operator.rest.requests"])
            if size == FEW:
                assert values["operator.rest.cpu"] <= CPU_MOST
                assert values["operator.memory.peak"] <= MEMORY_MOST
        assert max(at_rest) <= GROWS_MOST * at_rest[0], "what it asks at rest does not grow with Apps, rows or flows"


@pytest.mark.timeout(6 * 3600)
def test_many_apps_cost_no_more_than_their_limits(pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_of_session, "GARBAGE_KEPT", GARBAGE_KEPT_OF_MANY)
    (_, few), (_, many) = measured(TO_MANY, pytestconfig, tmp_path, FIGURES_OF_MANY)
    found = {name: many[name] for name in MOST_OF_MANY}
    ratios = {
        "operator leads / bare list": (many["operator.leads.seconds"] / many["operator.bare.seconds"], LEADS_MOST),
        "API ready / bare list": (many["api.start.seconds"] / many["api.bare.seconds"], READY_MOST),
        "deploy p50 / with few Apps": (many["deploy.p50"] / few["deploy.p50"], DEPLOY_MOST),
    }
    missed = [f"{name} {value:.2f}" for name, value in found.items() if value > MOST_OF_MANY[name]]
    if KEPT[FIGURES_OF_MANY.name]:  # a start of few Apps is all imports
        missed += [f"{name} {value:.2f}" for name, (value, most) in ratios.items() if value > most]
    note(FIGURES_OF_MANY, *(f"{name}: {value:.2f}, at most {most}" for name, (value, most) in ratios.items()))
    assert not missed


def measured(growth: tuple[Size, ...], config: pytest.Config, folder: Path, figures: Figures) -> Iterator[tuple[Size, dict[str, float]]]:
    """Yields the figures at each size, on one cluster."""
    with session_cluster("control-plane", config, nodes=1 + growth[-1].apps // APPS_OF_NODE) as cluster:
        api = Api.of(cluster)
        install_rights(cluster)
        before = own_objects.NOTHING
        for size in growth:
            began = time.monotonic()
            own_objects.grow(cluster, before, size)
            took = time.monotonic() - began
            settled = capacity.settle(cluster, api, size.apps, folder)
            values = capacity.measured(cluster, api, size, folder, AT_REST)
            assert set(values) == {each.name for each in NAMED}
            note(
                figures,
                *capacity_figures.section(size, values),
                f"What is new was written in {took:.0f} s, and an operator made the rest in {settled:.0f} s.",
            )
            before = size
            yield size, values


def note(figures: Figures, *lines: str) -> None:
    if KEPT[figures.name]:
        figures.note(*lines)
    else:
        print("\n" + "\n".join(lines), flush=True)
