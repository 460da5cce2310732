"""Makes the API server fail in every way for 40 s, with one operator for each, in parallel; the log goes to docs/measured/faults.txt."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local import components
from local.clusters import Cluster
from tests.support.api import Api
from tests.support.faults import matrix
from tests.support.measured import MEASURED, kept
from tests.support.operator import install_rights

LOG = MEASURED / "faults.txt"
LASTS = 40.0  # seconds
SIDE_BY_SIDE = 8
APART = 6.0
"""Seconds between the starts of the first ones: operators that all start, or recover, at once would measure the machine."""


@pytest.mark.timeout(3600)
def test_after_each_fault_it_is_back_within_ten_seconds_and_all_is_as_it_was(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    install_rights(cluster)
    began = time.monotonic()
    outcomes: list[matrix.Outcome] = []
    with kept(LOG) as say, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        say(
            f"make soak: Kubernetes {components.KUBERNETES.version}, simulated pods, {SIDE_BY_SIDE} operators side by side, each behind a proxy."
        )
        say(
            f"An App is live, each fault lasts {LASTS:.0f} s, a row is made in the middle of it; back: from healing until that row is Live,"
            " beside what a row took before the fault.\n"
        )

        def run(number: int, kind: str) -> matrix.Outcome:
            time.sleep(number * APART if number < SIDE_BY_SIDE else 0)
            return matrix.run(cluster, api, kind, LASTS, tmp_path / str(number))

        running = [pool.submit(run, number, kind) for number, kind in enumerate(matrix.KINDS)]
        for future in running:
            outcomes.append(future.result())
            say(str(outcomes[-1]))
        back = [outcome.recovered for outcome in outcomes if outcome.recovered is not None]
        late = [outcome.kind for outcome in outcomes if outcome.is_late]
        say(f"\n{len(outcomes)} kinds; back after {sorted(back)[len(back) // 2]:.1f} s in the middle, {max(back):.1f} s at most.")
        say(f"{len(late)} later than {matrix.RECOVERS_WITHIN:.0f} s; {sum(each.died for each in outcomes)} deaths;")
        say(f"{sum(bool(each.faults) for each in outcomes)} with a fault of integrity. {time.monotonic() - began:.0f} s in all.")
    assert [str(each) for each in outcomes if not each.is_good or each.is_late] == []
