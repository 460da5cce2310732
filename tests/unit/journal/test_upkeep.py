"""The journal's work beside requests, and its commands: leases, deleted Apps, old runs, metrics, and wrong options."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dynamiq_recorder.__main__ import main
from dynamiq_recorder.journal import upkeep
from dynamiq_recorder.journal.store import opened
from tests.support.journal import ADMIN, APP, OTHER, OTHER_POD, JournalStage, a_run
from tests.support.journal_store import Clock
from tests.support.waiting import eventually

DAY = 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[JournalStage]:
    """Yields a journal at a time that the test sets, whose upkeep works often."""
    for name in ("SWEEPS_EVERY", "LOOKS_EVERY", "DELETES_EVERY", "EXPIRES_EVERY"):
        monkeypatch.setattr(upkeep, name, 0.02)
    with JournalStage(tmp_path, store=opened(f"sqlite://{tmp_path}/journal.db", clock, clock)) as stage:
        yield stage


def state(journal: JournalStage, run_id: str, token: str = ADMIN) -> str:
    return str(journal.get(f"runs/{run_id}", token)["data"]["state"])


def test_a_run_of_a_silent_pod_is_queued_again_and_fails_by_the_apps_limit(journal: JournalStage, clock: Clock) -> None:
    journal.table.add_app(APP, interruptions=2)
    run_id = journal.accept(claim=True)["data"]["id"]
    assert journal.save({"id": run_id, "fence": 1, "number": 1})[0]["ok"]
    clock.pass_by(31)
    eventually("it is queued", lambda: state(journal, run_id) == "queued")
    journal.claim()
    clock.pass_by(31)
    eventually("it has failed", lambda: state(journal, run_id) == "failed")
    run = journal.get(f"runs/{run_id}")["data"]
    assert (run["reason"], run["error"]["code"], run["attempts"]) == ("interrupted", "interrupted", 2)
    assert journal.metrics()["dynamiq_journal_interrupted_total"] == 2


def test_leases_get_their_full_time_after_a_restart(journal: JournalStage, clock: Clock, tmp_path: Path) -> None:
    run_id = journal.accept(claim=True)["data"]["id"]
    journal.stop()
    clock.pass_by(3600)
    journal.store = opened(journal.address, clock, clock)
    journal.start()
    assert journal.save({"id": run_id, "fence": 1, "number": 1})[0]["ok"]
    assert state(journal, run_id) == "running"


def test_runs_go_on_when_their_time_comes_and_end_when_nobody_answers(journal: JournalStage, clock: Clock) -> None:
    journal.table.add_app(APP, wait=120)
    question = {"id": "ask:1", "node": "ask", "type": "human_feedback", "content": {"prompt": "Go on?"}}
    asking = journal.accept(paused={"questions": [question], "pause": {}})["data"]
    timed = journal.accept(paused={"pause": {"resume_at": asking["input_requests"][0]["expires_at"]}})["data"]["id"]
    journal.stop()
    clock.pass_by(119)
    journal.store = opened(journal.address, clock, clock)
    journal.start()
    assert [state(journal, each) for each in (asking["id"], timed)] == ["waiting"] * 2
    clock.pass_by(1)
    eventually("its time comes", lambda: state(journal, timed) == "queued")
    eventually("it is expired", lambda: state(journal, asking["id"]) == "expired")
    run = journal.get(f"runs/{asking['id']}")["data"]
    assert (run["status"], run["reason"], run["error"]["code"], run["questions_open"]) == ("failed", "expired", "expired", 0)


def test_runs_of_a_deleted_app_are_canceled_and_deleted_after_an_hour(journal: JournalStage, clock: Clock) -> None:
    run_id = journal.accept(claim=True)["data"]["id"]
    journal.accept()
    body = a_run()
    journal.call("POST", f"/v1/apps/{OTHER.app_uid}/runs", OTHER_POD, json=body)
    app = journal.table.apps_by_uid.pop(APP.app_uid)
    assert journal.store is not None
    eventually("they are canceled", lambda: [each.app_uid for each in journal.store.open_runs()] == [OTHER.app_uid])  # type: ignore[union-attr]
    journal.table.apps_by_uid[APP.app_uid] = app
    assert journal.save({"id": run_id, "fence": 1, "number": 1})[0]["ok"] is False
    del journal.table.apps_by_uid[APP.app_uid]
    clock.pass_by(3601)
    eventually("they are deleted", lambda: [uid for uid, _, _, _ in journal.store.apps()] == [OTHER.app_uid])  # type: ignore[union-attr]


def test_a_watch_that_misses_an_app_cancels_nothing(journal: JournalStage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def exists(app: object) -> bool:
        asked.append(str(app))
        return True

    run_id = journal.accept()["data"]["id"]
    monkeypatch.setattr(journal.table, "exists", exists)
    journal.stop()
    journal.start()
    app = journal.table.apps_by_uid.pop(APP.app_uid)
    eventually("the API server was asked", lambda: len(asked) > 2)
    journal.table.apps_by_uid[APP.app_uid] = app
    assert state(journal, run_id) == "queued"


def test_ended_runs_are_deleted_by_the_apps_time(journal: JournalStage, clock: Clock) -> None:
    journal.table.add_app(APP, keep=60)
    run_id = journal.accept()["data"]["id"]
    journal.call("POST", f"runs/{run_id}/cancel")
    assert state(journal, run_id) == "canceled"
    clock.pass_by(61)
    eventually("it is deleted", lambda: journal.call("GET", f"runs/{run_id}").status_code == 404)


def test_metrics_count_open_runs_by_app_pins_and_state(journal: JournalStage, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.accept(claim=True)
    clock.pass_by(10)
    run_id = journal.accept()["data"]["id"]
    name = f'dynamiq_journal_runs{{app="chat",namespace="team",pins="{APP.pins}",state="%s"}}'
    eventually("both are counted", lambda: journal.metrics().get(name % "queued") == 1 and journal.metrics().get(name % "running") == 1)
    clock.pass_by(5)
    shown = journal.metrics()
    assert (shown['dynamiq_journal_oldest_seconds{state="running"}'], shown['dynamiq_journal_oldest_seconds{state="queued"}']) == (15, 5)
    assert (shown["dynamiq_journal_claims_total"], shown["dynamiq_journal_accept_seconds_count"]) == (1, 2)
    journal.save({"id": run_id, "fence": 7, "number": 1})
    journal.call("POST", f"runs/{run_id}/cancel")
    eventually("it is counted no more", lambda: name % "queued" not in journal.metrics())
    shown = journal.metrics()
    assert (shown["dynamiq_journal_fenced_total"], shown["dynamiq_journal_store_ready"]) == (1, 1)
    assert shown["dynamiq_journal_store_bytes"] > 0
    assert shown["dynamiq_journal_commit_seconds_count"] > 3
    assert shown['dynamiq_journal_requests_total{code="201",route="/v1/apps/{uid}/runs"}'] == 2


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Returns a function that runs the program, and returns its exit code and all its output."""
    monkeypatch.setattr("dynamiq_recorder.journal.command.log_lines", lambda _: None)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["dynamiq_recorder", *arguments])
        try:
            code = main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        return code, "".join(capsys.readouterr())

    return run


STORE = "sqlite:///tmp/unused/journal.db"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["journal", "--help"], 0, "DYNAMIQ_JOURNAL_DISK_FULL"),
        (["journal", "--help"], 0, "exit codes"),
        (["journal"], 2, "--store is missing"),
        (["journal", "--store", "postgresql://user:hunter2@host/db"], 1, "cannot be used"),
        (["journal", "--store", "sqlite:///dev/null/journal.db"], 1, "cannot be used"),
        (["journal", "--store", STORE, "--tls-cert", "a"], 2, "or neither"),
        (["journal", "--store", STORE, "--recorder", "http://recorder"], 2, "or neither"),
        (["journal", "--store", STORE, "--disk-full", "95"], 2, "from 0 to 1"),
        (["journal-backup", "--store", STORE], 2, "FILE"),
        (["journal-backup", "copy.db"], 2, "--store is missing"),
        (["journal-backup", "copy.db", "--store", "sqlite:///dev/null/store.db"], 1, "there is no store"),
    ],
)
def test_options(ran: Callable[..., tuple[int, str]], arguments: list[str], code: int, says: str) -> None:
    ended, output = ran(*arguments)
    assert (ended, says in output, "hunter2" in output, "Traceback" in output) == (code, True, False, False), output


def test_a_newer_store_and_a_cluster_that_cannot_be_used(ran: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    address = f"sqlite://{tmp_path}/journal.db"
    code, output = ran("journal", "--store", address, "--kubeconfig", "/dev/null")
    assert (code, "configuration cannot be read" in output) == (1, True), output
    assert ran("journal-backup", f"{tmp_path}/copy.db", "--store", address)[0] == 0
    code, output = ran("journal-backup", f"{tmp_path}/copy.db", "--store", address)
    assert (code, "exists" in output) == (1, True), output
    with sqlite3.connect(tmp_path / "journal.db") as raw:
        raw.execute("UPDATE meta SET value = 99 WHERE name = 'schema'")
    code, output = ran("journal", "--store", address)
    assert (code, "run the newer journal again" in output) == (1, True), output
