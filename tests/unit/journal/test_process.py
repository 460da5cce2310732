"""The journal as a process: an API server says who calls, it serves until SIGTERM, and then again with what it kept."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import postgres
from tests.support.background import Caller, pod
from tests.support.journal import a_run
from tests.support.journal_program import FINISHING, OLDER, POD, Process
from tests.support.recorder_stage import ADMIN, APP, APP_UID, NAMESPACE, PINS, POD_TOKEN, STRANGER, VIEWER, RecorderStage, app
from tests.support.runtime import ECHO
from tests.support.scripted import Reply
from tests.support.waiting import IN_TIME, eventually


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


def test_two_serve_one_postgresql_with_the_password_of_a_file(process: Process, tmp_path: Path, server: postgres.Server) -> None:
    other = Process(process.stage, tmp_path / "other")
    other.folder.mkdir()
    (tmp_path / "password").write_text("not-shown\n")
    process.options = other.options = [f"--store={server.database()}", f"--store-password-file={tmp_path}/password"]
    with process.running(), other.running():
        run_id = process.call("POST", "runs", POD, a_run()).json()["data"]["id"]
        claims = other.call("POST", "claims", POD, {"instance": "i", "free": 1, "held": 0}).json()["data"]
        assert [each["run"]["id"] for each in claims] == [run_id]
        assert process.call("GET", f"runs/{run_id}", VIEWER).json()["data"]["state"] == "running"
    assert "not-shown" not in process.log.read_text() + other.log.read_text()


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


def test_a_journal_of_an_older_version_does_not_start_on_a_newer_store_and_pods_serve_calls(process: Process, tmp_path: Path) -> None:
    with process.running():
        assert process.call("POST", "runs", POD, a_run()).status_code == 201
    with contextlib.closing(sqlite3.connect(process.store, isolation_level=None)) as raw:
        raw.execute("UPDATE meta SET value = 99 WHERE name = 'schema'")
        before = list(raw.iterdump())
    process.log.unlink()
    with pod(tmp_path / "pod", ECHO, process, token=POD) as served:
        assert process.start().wait(IN_TIME) == 1
        assert "version 99 of its tables, and this journal knows up to 3: run the newer journal again" in process.log.read_text()
        assert "Traceback" not in process.log.read_text()
        caller = Caller(served)
        for number in range(20):
            assert caller.ask("POST", "/", {"input": {"n": number}}).body == {"result": {"n": number}}
        refused = caller.ask("POST", "/v1/runs", {"input": {}, "background": True})
        assert (refused.status, refused.body["error"]["code"]) == (503, "journal_away")
    with contextlib.closing(sqlite3.connect(process.store)) as raw:
        assert list(raw.iterdump()) == before, "the newer journal finds its store as it was"


def _missing(_: object) -> Any:
    return Reply(404, {"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"})
