"""From a pod's runs to the row that takes its version back, with the real recorder: whose runs they are the API server says of the pods' tokens."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local.clusters import Cluster
from tests.support import factories as given
from tests.support import history_stage
from tests.support.api import Manifest
from tests.support.comparing_recorder import token_file
from tests.support.history_stage import HistoryStage
from tests.support.operator import OPERATOR_ACCOUNT, Operator
from tests.support.otlp_runs import a_run
from tests.support.recorder_process import Recorder, a_pod, recording
from tests.support.simulated_runs import SimulatedRuns
from tests.support.waiting import eventually

pytestmark = [pytest.mark.usefixtures("policies"), pytest.mark.timeout(300)]

APP = "support"
LIMITS = given.with_spec(rollout={"revert": {"seconds": 600, "minRuns": 150, "maxP95Ratio": 1.2, "maxCostRatio": 1.5}})
DRAWN = 20261127


@pytest.fixture(scope="module")
def stage(cluster: Cluster) -> Iterator[HistoryStage]:
    with history_stage.stage(cluster, "recorded") as made:
        yield made


@pytest.fixture(scope="module")
def recorder(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    with recording(cluster, tmp_path_factory.mktemp("recorder")) as made:
        yield made


@pytest.fixture(scope="module")
def operator(account: Path, stage: HistoryStage, recorder: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("operator")
    token = token_file(stage.api, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, folder)
    with Operator(account, folder, [stage.namespace], [f"--recorder={recorder.url}", f"--recorder-token-file={token}"]) as running:
        yield running


def send(recorder: Recorder, pod: Manifest, count: int, *, times: float = 1.0) -> None:
    """A pod sends runs of about 100 ms, so many times as long and as dear."""
    chance = random.Random(DRAWN)  # noqa: S311 - no secret
    began = time.time_ns()  # a simulated pod begins at once: what began a second ago would be of no row
    made = [
        a_run(seq=number, began=began, milliseconds=times * 100 * chance.lognormvariate(0, 0.3), cost=times * 0.001)
        for number in range(1, count + 1)
    ]
    recorder.send(pod, *made, instance=str(uuid.uuid4()))


def test_version_whose_pods_send_slower_runs_is_taken_back(stage: HistoryStage, recorder: Recorder, operator: Operator) -> None:
    stage.app(APP, given.public(), LIMITS, workflow=history_stage.APP)
    stage.live(APP, "v1", runtime=stage.default_runtime)
    send(recorder, a_pod(stage.api, stage.namespace, APP, "v1"), 400)
    row = stage.live(APP, "v2")
    stage.until_condition(APP, "Recorded", "True")
    with SimulatedRuns() as runs:
        runs.report(succeeded=160)
        runs.of(stage, APP)
        stage.until_condition(APP, "Trial", "True", reason="Watching")
        send(recorder, a_pod(stage.api, stage.namespace, APP, "v2"), 160, times=2.0)
        back = stage.until_served("v1", APP, rows=3)
    assert back == names.revert_row(APP, row)
    message = stage.row(back)["spec"]["message"]
    assert message.startswith(f"v2 (#2, {row}) was taken back: p95 of its first 160 runs is ")
    assert "one of its first 160 runs costs 2.00 times what one of #1 did (at most 1.50)" in message
    found = eventually("the App says so", lambda: stage.get(kinds.APP.kind, APP)["status"].get("conditions"))
    assert "was taken back" in next(each["message"] for each in found if each["type"] == "Trial")
