"""Tests pods whose Runtime has the engine `sdk`: an image of 2 GB that takes minutes to build."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from local import images
from local.clusters import Cluster
from tests.soak.support.sdk_runtime import ROOM, sdk_runtime
from tests.support.flows import answering
from tests.support.stage import Stage, operator, restarts, said, stage, took
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(3600)
READY = 600.0  # seconds: the SDK loads for ten on an idle core


@pytest.fixture(scope="module")
def on(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Provides a Runtime of each engine."""
    cluster.load_images(images.ensure([images.RUNTIME_SDK]).values())
    with stage(cluster, "sdk") as staged, operator(staged, folder=tmp_path_factory.mktemp("sdk")):
        staged.release("v1", "v2")
        staged.runtime("tiny", by_default=True)
        sdk_runtime(staged, ROOM)
        yield staged


def test_callers_do_not_notice_that_another_engine_runs_their_app(on: Stage) -> None:
    on.app("moved")
    first = on.live("moved", "v1")
    with on.load("moved", every=0.5) as calls:
        row = on.live("moved", "v2", READY, runtime=f"{on.namespace}-sdk", config={"type": "server", "resources": ROOM})
        on.until_answer("moved", "v2", on.key("moved"))
        pods = on.until_settled("moved")
        metrics = on.kubectl(
            "get", "--raw", f"/api/v1/namespaces/{on.namespace}/pods/{pods[0]['metadata']['name']}:9090/proxy/metrics"
        ).stdout
        on.live("moved", restores=first)
        on.until_answer("moved", "v1", on.key("moved"))
    print(
        f"\nfrom tiny to sdk: Live after {took(on.row(row)):.0f} s; {calls['sent']} calls all along, {calls['failed']} failed; {calls['latency_ms']}"
    )
    assert calls["failed"] == 0, calls["errors"]
    assert set(calls["by_output"]) == {'{"answer":"v1"}', '{"answer":"v2"}'}
    assert restarts(pods) == 0
    assert f'dynamiq_runtime_info{{app="moved",engine="sdk",version="{images.version()}",workflow_version="v2"}} 1.0' in metrics
    memory = next(float(line.split()[1]) for line in metrics.splitlines() if line.startswith("process_resident_memory_bytes "))
    print(f"resident memory of the pod's process: {memory / 1e6:.0f} MB")


def test_a_flow_that_the_sdk_can_not_load_fails_its_row_by_the_nodes_name(on: Stage) -> None:
    broken = json.loads(answering("never"))
    broken["nodes"]["code"]["type"] = "dynamiq.nodes.tools.Nothing"
    on.release("v1", workflow="broken", text=json.dumps(broken))
    on.app("broken", workflow="broken")
    row = on.until(on.deploy("broken", "v1", runtime=f"{on.namespace}-sdk"), "Failed", READY)
    eventually("the reason names the node", lambda: 'node "code" has type dynamiq.nodes.tools.Nothing' in said(row))
