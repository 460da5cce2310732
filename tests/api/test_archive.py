"""An App with an archive on a real API server, with a real operator and a real recorder: what leaves etcd, when, and what comes back.

Who may hand over and who may read the API server says, by the accounts and rights of the manifests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model import kinds
from dynamiq_operator.model.chain import verify
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local.clusters import Cluster
from tests.support import factories as given
from tests.support import history_stage, recorders
from tests.support.comparing_recorder import token_file
from tests.support.history_stage import HistoryStage
from tests.support.operator import OPERATOR_ACCOUNT, Operator
from tests.support.recorders import Recorder
from tests.support.waiting import eventually

pytestmark = [pytest.mark.usefixtures("policies"), pytest.mark.timeout(600)]

APP = "support"
LIMIT = 10


@pytest.fixture(scope="module")
def stage(cluster: Cluster) -> Iterator[HistoryStage]:
    with history_stage.stage(cluster, "archived") as made:
        yield made


@pytest.fixture(scope="module")
def recorder(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    with recorders.running(cluster, tmp_path_factory.mktemp("recorder")) as made:
        yield made


@dataclass(frozen=True)
class Archived:
    """App `support` with more rows than it keeps. `names`: of all of them, oldest first."""

    stage: HistoryStage
    recorder: Recorder
    token: str
    names: list[str]

    def archive(self) -> list[dict[str, Any]]:
        """Oldest first."""
        uid = self.stage.get(kinds.APP.kind, APP)["metadata"]["uid"]
        answer = self.recorder.call("GET", f"/v1/apps/{uid}/archive?order=oldest", self.token)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    def until_kept(self, count: int) -> None:
        eventually(f"{count} rows are in the cluster: {self.stage.lines(APP)}", lambda: len(self.stage.rows(APP)) == count)


@pytest.fixture(scope="module")
def archived(account: Path, stage: HistoryStage, recorder: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    folder = tmp_path_factory.mktemp("operator")
    token = token_file(stage.api, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, folder)
    options = [f"--recorder={recorder.url}", f"--recorder-token-file={token}"]
    with Operator(account, folder, [stage.namespace], options):
        stage.app(APP, given.public(), given.with_spec(history={"limit": LIMIT, "archive": True}), workflow=history_stage.APP)
        names = [stage.live(APP, "v1", runtime=stage.default_runtime)]
        names += [stage.live(APP, f"v{1 + number % 2}") for number in range(1, LIMIT + 3)]
        yield Archived(stage, recorder, token.read_text(), names)


def test_rows_leave_etcd_into_the_archive_and_the_chain_is_whole(archived: Archived) -> None:
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


def test_an_archived_row_is_brought_back(archived: Archived) -> None:
    archived.until_kept(LIMIT)
    first = archived.names[0]
    assert first not in {row["metadata"]["name"] for row in archived.stage.rows(APP)}
    back = archived.stage.deploy(APP, restores=first)
    archived.names.append(back)
    pinned = archived.stage.until(back, "Live")["spec"]["pinned"]
    assert (pinned["restores"], pinned["workflowVersion"]) == ({"row": first, "sequence": 1}, "v1")


def test_nobody_but_the_operator_hands_over(archived: Archived) -> None:
    uid = archived.stage.get(kinds.APP.kind, APP)["metadata"]["uid"]
    rows = {"rows": archived.stage.rows(APP)[:1], "flows": {}}
    others = recorders.token(archived.stage.api, archived.stage.namespace, "default")
    assert archived.recorder.call("POST", f"/v1/apps/{uid}/archive", others, json=rows).status_code == 403
    assert archived.recorder.call("GET", f"/v1/apps/{uid}/archive", others).status_code == 404
