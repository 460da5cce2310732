"""Kills the operator before and after every write that it makes; the log goes to docs/measured/crashes.txt."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from local import components
from local.clusters import Cluster
from tests.support.api import Api
from tests.support.faults import crashes, deploys
from tests.support.faults.finishing import FINISHING
from tests.support.measured import MEASURED, kept
from tests.support.operator import install_rights

LOG = MEASURED / "crashes.txt"
LOG_OF_REVERTS = MEASURED / "crashes-of-reverts.txt"
LOG_OF_FINISHING = MEASURED / "crashes-of-finishing.txt"
AT_A_MINUTE_EACH = 8
"""Runs side by side that mostly wait: the operator keeps a pod, and then a workload, for a minute after they are needed."""


@pytest.mark.timeout(3600)
def test_killed_before_and_after_every_write_it_comes_to_the_same_end(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    install_rights(cluster)
    began = time.monotonic()
    with kept(LOG) as say:
        end, writes = crashes.undisturbed(cluster, api, tmp_path)
        points = crashes.points_of(writes)
        say(f"make soak: Kubernetes {components.KUBERNETES.version}, simulated pods, {crashes.SIDE_BY_SIDE} runs side by side.")
        say("An App is deployed with v1, redeployed with v2, rolled back by restores; SIGKILL of the operator at one write in each run.")
        say(f"\nThe end of the undisturbed run:\n{end}\n\nIts {len(writes)} writes beside the lease:")
        for line in crashes.listed(writes):
            say(line)
        say(f"\n{len(points)} points, before and after each of them and of the taking of the lease:")
        runs = crashes.run_all(cluster, api, points, end, tmp_path, say)
        gaps = sum(run.sequences[-1] > len(run.sequences) for run in runs)
        say(f"\n{len(runs)} of {len(points)} kills, each with the same end; {gaps} left a gap in the sequences.")
        say(f"{time.monotonic() - began:.0f} s in all.")
    crashes.require_made(points, runs)


@pytest.mark.timeout(1800)
def test_killed_before_and_after_every_write_of_a_revert_one_row_takes_the_version_back(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    install_rights(cluster)
    began = time.monotonic()
    with kept(LOG_OF_REVERTS) as say:
        end, writes = crashes.undisturbed(cluster, api, tmp_path, deploys.REVERT)
        points = crashes.points_of_revert(writes)
        say(f"make soak: Kubernetes {components.KUBERNETES.version}, simulated pods, {crashes.SIDE_BY_SIDE} runs side by side.")
        say("The pods of a redeploy crash again and again, and it is taken back; SIGKILL of the operator at one write in each run.")
        say(
            f"\nThe end of the undisturbed run:\n{end}\n\n{len(points)} points, before and after each write from the end of the bad row on:"
        )
        runs = crashes.run_all(cluster, api, points, end, tmp_path, say, deploys.REVERT)
        say(f"\n{len(runs)} of {len(points)} kills, each with the same end; {time.monotonic() - began:.0f} s in all.")
    crashes.require_made(points, runs)


@pytest.mark.timeout(5400)
def test_killed_before_and_after_every_write_of_finishing_a_run_waits_wakes_and_ends_on_its_version(
    cluster: Cluster, api: Api, tmp_path: Path
) -> None:
    install_rights(cluster)
    began = time.monotonic()
    with kept(LOG_OF_FINISHING) as say:
        end, writes = crashes.undisturbed(cluster, api, tmp_path, FINISHING)
        points = crashes.points_of_finishing(writes)
        say(f"make soak: Kubernetes {components.KUBERNETES.version}, simulated pods, {AT_A_MINUTE_EACH} runs side by side.")
        say(
            "A run of v1 is open when v2 is deployed: it gets a workload, waits without a pod, is answered, woken by the operator, and ends."
        )
        say("A scripted journal counts it. SIGKILL of the operator at one write in each run.")
        say(f"\nThe end of the undisturbed run:\n{end}\n\nIts {len(writes)} writes beside the lease:")
        for line in crashes.listed(writes):
            say(line)
        say(f"\n{len(points)} points, before and after each write from the making of that workload on:")
        runs = crashes.run_all(cluster, api, points, end, tmp_path, say, FINISHING, AT_A_MINUTE_EACH)
        say(f"\n{len(runs)} of {len(points)} kills, each with the same end; {time.monotonic() - began:.0f} s in all.")
    crashes.require_made(points, runs)
