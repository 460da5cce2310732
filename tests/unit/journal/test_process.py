"""The journal as a process: an API server says who calls, it serves until SIGTERM, and then again with what it kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.journal import a_run
from tests.support.journal_program import FINISHING, OLDER, POD, Process
from tests.support.recorder_stage import ADMIN, APP, APP_UID, NAMESPACE, PINS, POD_TOKEN, STRANGER, VIEWER, RecorderStage, app
from tests.support.scripted import Reply
from tests.support.waiting import eventually


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    with RecorderStage(tmp_path) as stage:
        yield Process(stage)


def test_it_serves_pods_and_users_as_the_api_server_says_and_keeps_runs_over_a_restart(process: Process) -> None:
    body, older = a_run(claim=True), a_run(claim=True)
    with process.running():
        assert process.call("POST", "runs", POD, body).json()["data"]["pins"] == PINS
        assert process.call("POST", "runs", FINISHING, older).json()["data"]["pins"] == OLDER
        statuses = {token: process.call("GET", f"runs/{body['id']}", token).status_code for token in (ADMIN, VIEWER, STRANGER, POD_TOKEN)}
        assert statuses == {ADMIN: 200, VIEWER: 200, STRANGER: 404, POD_TOKEN: 401}, "a token for the recorder is none for the journal"
        assert process.call("GET", f"runs/{body['id']}", VIEWER).json()["data"]["input"] is None
    with process.running():
        saves = {"instance": "i", "saves": [{"id": body["id"], "fence": 1, "number": 1}, {"id": older["id"], "fence": 1, "number": 1}]}
        assert [each["ok"] for each in process.call("POST", "saves", POD, saves).json()["data"]] == [True, False], (
            "the other has older pins"
        )
        assert process.call("POST", "claims", POD, {"instance": "i", "free": 1, "held": 0}).json()["data"] == []


def test_an_app_that_is_deleted_in_the_cluster_has_its_runs_canceled(process: Process) -> None:
    def is_counted() -> bool:
        return "dynamiq_journal_runs{" in process.metrics()

    with process.running():
        assert process.call("POST", "runs", POD, a_run()).status_code == 201
        eventually("its run is counted", is_counted)
        process.stage.apps.pop(0)
        process.stage.script.on("GET", f"/apis/dynamiq.getdynamiq.ai/v1alpha1/namespaces/{NAMESPACE}/apps/{APP}", _missing)
        process.stage.put("apps", app(APP_UID, NAMESPACE), "DELETED")
        eventually("its run is canceled", lambda: not is_counted())
        assert process.call("GET", "runs", POD).status_code == 404


def _missing(_: object) -> Any:
    return Reply(404, {"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"})
