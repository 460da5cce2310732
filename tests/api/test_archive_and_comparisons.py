"""A real operator reads a real recorder with its own token: rows leave etcd for the archive, and slower versions are reverted.

The API server decides who may read, and whose runs they are, by the accounts and rights of the manifests.
"""

from __future__ import annotations

import random
import sqlite3
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.chain import verify
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from dynamiq_operator.model.runs import RECORDER_AUDIENCE
from local.clusters import Cluster
from tests.api.support import recorder_process
from tests.api.support.recorder_process import a_pod
from tests.api.support.simulated_runs import SimulatedRuns
from tests.support import factories as given
from tests.support import history_stage, recorders
from tests.support.api import Api
from tests.support.history_stage import HistoryStage
from tests.support.operator import OPERATOR_ACCOUNT, Operator
from tests.support.otlp_runs import a_run
from tests.support.recorders import Recorder
from tests.support.waiting import eventually

pytestmark = [pytest.mark.usefixtures("policies"), pytest.mark.timeout(900)]

APP = "support"
LIMIT = 10


@pytest.fixture(scope="module")
def stage(cluster: Cluster) -> Iterator[HistoryStage]:
    """Yields a stage whose namespace is deleted afterwards."""
    # A later report of all Apps would query the recorder for its archive, and that recorder has ended.
    with history_stage.stage(cluster, "archived", leave=False) as made:
        yield made
    eventually("the namespace is gone", lambda: made.api.get("Namespace", made.namespace, "").status == 404)


@pytest.fixture(scope="module")
def recorder(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    with recorders.running(cluster, tmp_path_factory.mktemp("recorder")) as made:
        yield made


@pytest.fixture(scope="module")
def token(cluster: Cluster, recorder: Recorder) -> str:
    """Returns the operator's token, as its pod mounts one for the recorder."""
    return recorders.token(Api.of(cluster), OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, audience=RECORDER_AUDIENCE)


@pytest.fixture(scope="module")
def operator(
    account: Path, stage: HistoryStage, recorder: Recorder, token: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("operator")
    (folder / "token").write_text(token)
    options = [f"--recorder={recorder.url}", f"--recorder-token-file={folder / 'token'}"]
    with Operator(account, folder, [stage.namespace], options) as running:
        yield running


WATCHED = 600
LIMITS = given.with_spec(rollout={"revert": {"seconds": WATCHED, "minRuns": 150, "maxP95Ratio": 1.2, "maxCostRatio": 1.5}})
DRAWN = 20261127


def send(recorder: Recorder, stage: HistoryStage, app: str, version: str, count: int, *, times: float = 1.0) -> None:
    """Sends runs of a version's pod: about 100 ms long, multiplied by `times`, as is their cost."""
    chance = random.Random(DRAWN)  # noqa: S311 - no secret
    pod, began = a_pod(stage.api, stage.namespace, app, version), time.time_ns()
    made = [
        a_run(seq=number, began=began, milliseconds=times * 100 * chance.lognormvariate(0, 0.3), cost=times * 0.001)
        for number in range(1, count + 1)
    ]
    recorder_process.Recorder(stage.cluster, recorder.url, recorder.log).send(pod, *made, instance=str(uuid.uuid4()))


@dataclass(frozen=True)
class Archived:
    """App `support` with more rows than it keeps. `names`: the names of all of them, oldest first."""

    stage: HistoryStage
    recorder: Recorder
    token: str
    names: list[str]
    operator: Operator

    def archive(self) -> list[dict[str, Any]]:
        """Returns the archived rows, oldest first."""
        uid = self.stage.get(kinds.APP.kind, APP)["metadata"]["uid"]
        answer = recorders.heard(lambda: self.recorder.call("GET", f"/v1/apps/{uid}/archive?order=oldest", self.token))
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    def until_kept(self, count: int) -> None:
        """Waits until `count` rows are in the cluster, after a day has passed for all archived ones."""
        eventually("all others are archived", lambda: len(self.archive()) >= len(self.names) - count)
        with sqlite3.connect(self.recorder.folder / "runs.db", timeout=120) as store:
            store.execute("UPDATE archived_rows SET archived_at = archived_at - 86400000000")
        store.close()
        self.operator.restart()
        eventually(lambda: f"{count} rows are in the cluster: {self.stage.lines(APP)}", lambda: len(self.stage.rows(APP)) == count)


@pytest.fixture(scope="module")
def archived(stage: HistoryStage, recorder: Recorder, token: str, operator: Operator) -> Archived:
    stage.app(APP, given.public(), given.with_spec(history={"limit": LIMIT, "archive": True}), workflow=history_stage.APP)
    names = [stage.live(APP, "v1", runtime=stage.default_runtime)]
    names += [stage.live(APP, f"v{1 + number % 2}") for number in range(1, LIMIT + 3)]
    return Archived(stage, recorder, token, names, operator)


def test_rows_leave_etcd_into_the_archive_and_the_chain_is_whole(archived: Archived) -> None:
    eventually("what is beyond the limit is archived", lambda: len(archived.archive()) == len(archived.names) - LIMIT)
    assert [row["metadata"]["name"] for row in archived.stage.rows(APP)] == archived.names, "for a day a row is in both"
    archived.until_kept(LIMIT)
    rows = [*archived.archive(), *archived.stage.rows(APP)]
    assert [row["metadata"]["name"] for row in rows] == archived.names
    assert verify(rows).misfits == ()
    archived.stage.until_condition(APP, "Archived", "True", reason="HandedOver")


def test_while_the_recorder_is_away_rows_stay_and_deploys_go_on(archived: Archived) -> None:
    archived.until_kept(LIMIT)
    before = [row["metadata"]["name"] for row in archived.archive()]
    archived.recorder.kill()
    archived.names.extend(archived.stage.live(APP, f"v{1 + number % 2}") for number in range(2))
    archived.stage.until_condition(APP, "Archived", "False", reason="NotAcknowledged")
    assert [row["metadata"]["name"] for row in archived.stage.rows(APP)] == archived.names[len(before) :]
    archived.recorder.start()
    archived.until_kept(LIMIT)
    assert [row["metadata"]["name"] for row in [*archived.archive(), *archived.stage.rows(APP)]] == archived.names


def test_a_rollback_to_an_archived_row_restores_it(archived: Archived) -> None:
    archived.until_kept(LIMIT)
    first = archived.names[0]
    assert first not in {row["metadata"]["name"] for row in archived.stage.rows(APP)}
    back = archived.stage.deploy(APP, restores=first)
    archived.names.append(back)
    pinned = archived.stage.until(back, "Live")["spec"]["pinned"]
    assert (pinned["restores"], pinned["workflowVersion"]) == ({"row": first, "sequence": 1}, "v1")


def test_only_the_operator_archives_rows(archived: Archived) -> None:
    uid = archived.stage.get(kinds.APP.kind, APP)["metadata"]["uid"]
    rows = {"rows": archived.stage.rows(APP)[:1], "flows": {}}
    others = recorders.token(archived.stage.api, archived.stage.namespace, "default")
    path, call = f"/v1/apps/{uid}/archive", archived.recorder.call
    assert recorders.heard(lambda: call("POST", path, others, json=rows)).status_code == 403
    assert recorders.heard(lambda: call("GET", path, others)).status_code == 404


def test_a_version_whose_runs_are_slower_is_reverted_once(stage: HistoryStage, recorder: Recorder, token: str, operator: Operator) -> None:
    app = "slower"
    stage.app(app, given.public(), LIMITS, workflow=history_stage.APP)
    stage.live(app, "v1", runtime=stage.default_runtime)
    send(recorder, stage, app, "v1", 400)
    row = stage.live(app, "v2")
    stage.until_condition(app, "Recorded", "True")
    with SimulatedRuns() as runs:
        runs.report(succeeded=160)
        runs.of(stage, app)
        stage.until_condition(app, "Trial", "True", reason="Watching")
        send(recorder, stage, app, "v2", 160, times=2.0)
        # A comparison and a rollout follow one another: on a busy machine each takes a minute, and the watch takes ten.
        back = stage.until_served("v1", app, rows=3, seconds=WATCHED)
    assert back == names.revert_row(app, row)
    message = stage.row(back)["spec"]["message"]
    assert message.startswith(f"v2 (#2, {row}) was reverted: p95 of its first 160 runs is ")
    assert "the cost per run of its first 160 runs is 2.00 times that of #1 (at most 1.50)" in message
    assert "was reverted" in stage.until_condition(app, "Trial", "False", reason="Reverted")["message"]
    operator.restart()
    stage.quiet(app)
    assert len(stage.rows(app)) == 3
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    reviewed = stage.api.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review).body["status"]
    assert not reviewed.get("authenticated"), "the token of the recorder is none of the API server's"
