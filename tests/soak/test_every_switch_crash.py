"""Kills the operator before and after every write of a switch, and of a change between the strategies.

The log goes to docs/measured/switch-crashes.txt.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from local import components
from local.clusters import Cluster
from tests.support.api import Api
from tests.support.faults import crashes, deploys
from tests.support.measured import MEASURED, kept
from tests.support.operator import install_rights

LOG = MEASURED / "switch-crashes.txt"


@pytest.mark.timeout(7200)
def test_killed_before_and_after_every_write_its_callers_always_have_a_pod(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    install_rights(cluster)
    with kept(LOG) as say:
        say(f"make soak: Kubernetes {components.KUBERNETES.version}, simulated pods, {crashes.SIDE_BY_SIDE} runs side by side.")
        say(
            "SIGKILL of the operator at one write in each run; a watch of the Service's EndpointSlices sees whether it ever has no Ready pod."
        )
        for story in (deploys.SWITCH, deploys.BOTH):
            began = time.monotonic()
            end, writes = crashes.undisturbed(cluster, api, tmp_path, story)
            points = crashes.points_of(writes)
            say(f"\n{story.name}: {len(writes)} writes beside the lease:")
            for line in crashes.listed(writes):
                say(line)
            say(f"\n{len(points)} points, before and after each of them and of the taking of the lease:")
            runs = crashes.run_all(cluster, api, points, end, tmp_path / story.name, say, story)
            say(f"\n{len(runs)} of {len(points)} kills, each with the same end, none with a Service without a Ready pod.")
            say(f"{time.monotonic() - began:.0f} s in all.")
