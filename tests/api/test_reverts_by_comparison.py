"""A version that is slower than the one before is taken back by the recorder's word, which the operator asks for with a token of its own.

The recorder is a stand-in, and who may ask it the API server says.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local.clusters import Cluster
from tests.support import factories as given
from tests.support import history_stage
from tests.support.api import Manifest
from tests.support.comparing_recorder import ComparingRecorder, token_file
from tests.support.history_stage import HistoryStage
from tests.support.operator import OPERATOR_ACCOUNT, Operator
from tests.support.simulated_runs import SimulatedRuns
from tests.support.waiting import eventually

pytestmark = [pytest.mark.usefixtures("policies"), pytest.mark.timeout(300)]

SLOWER = given.with_spec(rollout={"revert": {"seconds": 600, "minRuns": 100, "maxP95Ratio": 1.2}})


@pytest.fixture(scope="module")
def stage(cluster: Cluster) -> Iterator[HistoryStage]:
    with history_stage.stage(cluster, "compared") as made:
        yield made


@pytest.fixture(scope="module")
def recorder(stage: HistoryStage) -> Iterator[ComparingRecorder]:
    with ComparingRecorder(stage.api, stage.namespace) as made:
        yield made


@pytest.fixture(scope="module")
def operator(
    account: Path, stage: HistoryStage, recorder: ComparingRecorder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("operator")
    token = token_file(stage.api, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, folder)
    with Operator(account, folder, [stage.namespace], [f"--recorder={recorder.url}", f"--recorder-token-file={token}"]) as running:
        yield running


@pytest.fixture
def app(request: pytest.FixtureRequest) -> str:
    """The name of the test's App."""
    return names.shortened(request.function.__name__.removeprefix("test_").replace("_", "-"), 40)


@pytest.fixture
def runs() -> Iterator[SimulatedRuns]:
    with SimulatedRuns() as made:
        yield made


def watched(stage: HistoryStage, app: str, runs: SimulatedRuns, limits: given.Modifier = SLOWER) -> Manifest:
    """The row of v2, which has gone live in place of v1 and is watched; no run of it fails."""
    stage.app(app, given.public(), limits, workflow=history_stage.APP)
    stage.live(app, "v1", runtime=stage.default_runtime)
    row = stage.live(app, "v2")
    runs.report(succeeded=500)
    runs.of(stage, app)
    return stage.row(row)


def test_slower_version_is_taken_back_once_with_the_recorders_figures(
    stage: HistoryStage, operator: Operator, recorder: ComparingRecorder, app: str, runs: SimulatedRuns
) -> None:
    row = watched(stage, app, runs)
    uid, name = row["metadata"]["uid"], row["metadata"]["name"]
    stage.until_condition(app, "Trial", "True", reason="Watching")
    recorder.say(uid, runs=99, p95=3.0)
    before = recorder.asked.count(uid)
    eventually("the recorder was asked, and has too few runs", lambda: recorder.asked.count(uid) > before)
    assert len(stage.rows(app)) == 2
    recorder.say(uid, runs=104, p95=1.42)
    back = stage.until_served("v1", app, rows=3)
    spec = stage.row(back)["spec"]
    assert (back, spec["pinned"]["source"]) == (names.revert_row(app, name), "Revert")
    assert spec["message"] == f"v2 (#2, {name}) was taken back: p95 of its first 104 runs is 1.42 times that of #1 (at most 1.20)"
    assert "1.42 times" in stage.until_condition(app, "Trial", "False", reason="Reverted")["message"]
    assert recorder.refused == []
    operator.restart()
    stage.quiet(app)
    assert len(stage.rows(app)) == 3


def test_version_that_was_no_slower_at_the_look_is_kept_and_not_looked_at_again(
    stage: HistoryStage, operator: Operator, recorder: ComparingRecorder, app: str, runs: SimulatedRuns
) -> None:
    row = watched(stage, app, runs)
    uid = row["metadata"]["uid"]
    recorder.say(uid, runs=100)

    def noted() -> Manifest | None:
        found: Manifest | None = stage.get(kinds.APP.kind, app)["status"]["trial"].get("compared")
        return found

    found = eventually("the look is noted", noted)
    assert (found["result"], found["runs"], found["p95Ratio"]) == ("Kept", 100, 1)
    recorder.say(uid, runs=5000, p95=4.0)
    asked = recorder.asked.count(uid)
    operator.restart()
    stage.acted_on(app)
    stage.quiet(app)
    assert (recorder.asked.count(uid), len(stage.rows(app))) == (asked, 2)
    assert "p95 of its first 100 runs is 1.00 times that of #1" in stage.until_condition(app, "Trial", "True")["message"]


def test_slow_recorder_holds_up_no_deploy_and_the_app_says_in_the_end_that_nothing_was_compared(
    stage: HistoryStage, operator: Operator, recorder: ComparingRecorder, app: str, runs: SimulatedRuns
) -> None:
    recorder.slow = 30.0
    try:
        limits = given.with_spec(rollout={"revert": {"seconds": 60, "minRuns": 30, "maxP95Ratio": 1.2, "maxCostRatio": 1.5}})
        row = watched(stage, app, runs, limits)
        eventually("the recorder is asked", lambda: row["metadata"]["uid"] in recorder.asked)
        stage.acted_on(app)
        message = stage.until_condition(app, "Trial", "False", reason="NotCompared")["message"]
    finally:
        recorder.slow = 0.0
    assert message.endswith("is kept; its p95 and cost could not be compared: the recorder gave no answer: it takes longer than 2 s")
    stage.quiet(app)
    assert len(stage.rows(app)) == 2


def test_operator_without_a_recorder_says_what_it_does_not_look_at(
    stage: HistoryStage, account: Path, operator: Operator, app: str, runs: SimulatedRuns, tmp_path: Path
) -> None:
    operator.stop()
    try:
        with Operator(account, tmp_path, [stage.namespace]):
            watched(stage, app, runs)
            message = stage.until_condition(app, "Trial", "Unknown", reason="NoRecorder")["message"]
            assert "its p95 cannot be compared: the operator was told of no recorder" in message
    finally:
        operator.start()


def test_token_of_the_recorder_is_none_of_the_api_servers(stage: HistoryStage, operator: Operator, tmp_path: Path) -> None:
    token = token_file(stage.api, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, tmp_path).read_text()
    reviewed = stage.api.request(
        "POST",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}},
    )
    assert not reviewed.body["status"].get("authenticated")
