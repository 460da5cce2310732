"""Callbacks over HTTP: pods of an App claim and report them, users see them without URL and token, and counts show those that nobody sends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from dynamiq_operator.kube.journal import OpenAnswer, with_callbacks
from dynamiq_operator.model.background_runs import RunCallback
from dynamiq_recorder.journal import open_feed, upkeep
from dynamiq_recorder.journal.callback import TRIES
from dynamiq_recorder.journal.store import opened
from tests.support.journal import ADMIN, APP, OTHER_POD, POD, STRANGER, VIEWER, JournalStage, a_run
from tests.support.journal_store import Clock
from tests.support.waiting import eventually
from tests.unit.journal.test_polls import a_claim, asking, wait_for_polls

NEWER_POD = "newer-token"
NEWER = msgspec.structs.replace(APP, pins="9999999999999999", workflow_hash="sha256:f9", pod="chat-2")
URL, TOKEN = "https://hooks.example.com/runs?key=secret", "t0ken"
CALLBACK = {"url": URL, "token": TOKEN, "metadata": {"order": 1}}
AT_ONCE = 10.0
"""Seconds within which a poll ends that would wait for longer."""
AT = "2026-12-02T12:00:00.000000Z"
END = {"status": "completed", "reason": "succeeded", "output": {"answer": 42}}
PENDING = {"n": 0, "host": "hooks.example.com", "state": "pending", "tries": 0, "status": None, "error": None}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[JournalStage]:
    """Yields a journal at a time that the test sets, whose upkeep and counts are often."""
    for name in ("SWEEPS_EVERY", "EXPIRES_EVERY", "DELETES_EVERY"):
        monkeypatch.setattr(upkeep, name, 0.02)
    for name in ("EVERY", "AGAIN"):
        monkeypatch.setattr(open_feed, name, 0.02)
    stage = JournalStage(tmp_path, store=opened(f"sqlite://{tmp_path}/journal.db", clock, clock))
    stage.table.add_pod(NEWER_POD, NEWER)
    with stage:
        yield stage


def accept(journal: JournalStage, *callbacks: Any, **fields: Any) -> requests.Response:
    return journal.call("POST", "runs", json=a_run(callbacks=callbacks, **fields))


def ended(journal: JournalStage, *callbacks: Any, end: Any = END) -> str:
    """Accepts and ends a run with callbacks. Returns its id."""
    run_id = str(accept(journal, *(callbacks or (CALLBACK,)), claim=True).json()["data"]["id"])
    (saved,) = journal.save({"id": run_id, "fence": 1, "number": 1, "end": end})
    assert saved["callbacks"] == len(callbacks or (CALLBACK,))
    return run_id


def claim(journal: JournalStage, token: str = POD, free: int = 20) -> dict[str, Any]:
    answer = journal.call("POST", "callbacks/claims", token, json={"instance": "i", "free": free})
    assert answer.status_code == 200, answer.text
    claims: dict[str, Any] = answer.json()
    return claims


def report(journal: JournalStage, token: str = POD, attempt: int = 1, **result: Any) -> dict[str, Any]:
    body = {"instance": "i", "results": [{"n": 0, "try": attempt, **result}]}
    answer = journal.call("POST", "callbacks/results", token, json=body)
    assert answer.status_code == 200, answer.text
    reported: dict[str, Any] = answer.json()
    return reported


def shown(journal: JournalStage, run_id: str, token: str = VIEWER) -> Any:
    return journal.get(f"runs/{run_id}", token)["data"]["callbacks"]


def seconds_until_due(journal: JournalStage) -> Any:
    """Returns what a pod without work is told."""
    return journal.call("POST", "claims", json=a_claim(wait=0)).json()["callbacks_seconds"]


def late(journal: JournalStage) -> list[tuple[str, int, bool]]:
    answer = msgspec.convert(journal.get("/v1/open", ADMIN), OpenAnswer)
    return [(each.pins, each.callbacks, each.polled) for each in with_callbacks(answer)]


def code(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_callback_from_its_acceptance_to_its_delivery(journal: JournalStage, clock: Clock) -> None:
    body = a_run(callbacks=[CALLBACK], claim=True)
    waits = [{**PENDING, "last_at": None, "next_at": None}]
    for status in (201, 200):
        answer = journal.call("POST", "runs", json=body)
        assert (answer.status_code, answer.json()["data"]["callbacks"]) == (status, waits)
    run_id = body["id"]
    assert journal.save({"id": run_id, "fence": 1, "number": 1, "end": END})[0]["callbacks"] == 1
    assert shown(journal, run_id) == [{**PENDING, "last_at": None, "next_at": AT}]
    given = claim(journal, NEWER_POD)
    (claimed,) = given["data"]
    run = claimed.pop("run")
    assert claimed == {"n": 0, "id": f"msg_{run_id}_0", "url": URL, "token": TOKEN, "metadata": {"order": 1}, "try": 1, "private": False}
    assert (run["id"], run["status"], run["output"], run["input"], run["content_omitted"]) == (
        run_id,
        "completed",
        {"answer": 42},
        None,
        False,
    )
    assert (given["next_seconds"], claim(journal)["data"]) == (60.0, [])
    assert report(journal, NEWER_POD, run_id=run_id, status=500) == {"data": [{"ok": True}], "callbacks_seconds": pytest.approx(5, abs=1)}
    assert report(journal, NEWER_POD, run_id=run_id, status=200)["data"] == [{"ok": False}]
    (tried,) = shown(journal, run_id)
    assert (tried["state"], tried["tries"], tried["status"], tried["last_at"]) == ("pending", 1, 500, AT)
    assert "2026-12-02T12:00:04" <= tried["next_at"] <= "2026-12-02T12:00:06.1"
    clock.pass_by(6)
    assert [each["try"] for each in claim(journal)["data"]] == [2]
    assert report(journal, run_id=run_id, attempt=2, status=204) == {"data": [{"ok": True}], "callbacks_seconds": None}
    (delivered,) = shown(journal, run_id)
    assert (delivered["state"], delivered["status"], delivered["next_at"]) == ("delivered", 204, None)
    RunCallback.model_validate(delivered)
    assert journal.metrics()["dynamiq_journal_callbacks_delivered_total"] == 1


def test_nobody_but_the_pod_that_sends_it_sees_url_and_token(journal: JournalStage) -> None:
    run_id = ended(journal)
    claim(journal)
    report(journal, run_id=run_id, error=f"cannot reach {URL} with {TOKEN}")
    for path in (f"runs/{run_id}", "runs", f"runs/{run_id}/events"):
        for token in (ADMIN, VIEWER, POD):
            text = journal.call("GET", path, token).text
            assert "secret" not in text, path
            assert TOKEN not in text, path
    assert journal.get("runs")["data"][0]["callbacks"] == []


def test_hosts_that_the_app_forbids_are_refused_and_listed_ones_may_be_private(journal: JournalStage) -> None:
    refused = accept(journal, CALLBACK, {"url": "https://10.0.0.1/"}, {"url": "http://a.example/"})
    assert code(refused) == (400, "bad_request")
    assert list(refused.json()["error"]["details"]) == ["callbacks.1.url", "callbacks.2.url"]
    assert "10.0.0.1" not in refused.text
    journal.table.add_app(APP, callback_hosts=("receiver.team.svc",))
    assert code(accept(journal, CALLBACK)) == (400, "bad_request")
    ended(journal, {"url": "https://receiver.team.svc/"})
    assert [each["private"] for each in claim(journal)["data"]] == [True]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"url": URL, "token": "two words"},
        {"url": URL, "token": "x" * 4097},
        {"url": URL, "token": "line\n"},
        {"url": URL, "metadata": [1]},
        {"url": URL, "metadata": {"a": "x" * 4096}},
    ],
)
def test_wrong_callbacks_are_refused(journal: JournalStage, wrong: Any) -> None:
    assert code(accept(journal, wrong)) == (422, "validation_error")


def test_a_run_has_five_callbacks_at_most(journal: JournalStage) -> None:
    assert accept(journal, *[CALLBACK] * 5).status_code == 201
    assert code(accept(journal, *[CALLBACK] * 6)) == (422, "validation_error")


def test_an_output_that_is_too_large_is_left_out(journal: JournalStage) -> None:
    run_id = ended(journal, end={**END, "output": {"text": "x" * 1024 * 1024}})
    (claimed,) = claim(journal)["data"]
    assert (claimed["run"]["output"], claimed["run"]["content_omitted"]) == (None, True)
    assert len(journal.get(f"runs/{run_id}")["data"]["output"]["text"]) == 1024 * 1024


def test_pods_hear_when_the_next_callback_is_due(journal: JournalStage, monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds() -> Any:
        return seconds_until_due(journal)

    run_id = str(accept(journal, CALLBACK).json()["data"]["id"])
    assert [each["run"]["id"] for each in journal.claim()] == [run_id]
    assert seconds() is None
    with monkeypatch.context() as patch:
        assert journal.store is not None
        patch.setattr(journal.store, "next_callback", lambda _: 1 / 0)
        assert seconds() is None, "it is known to have none, which costs no read"
    journal.save({"id": run_id, "fence": 1, "number": 1, "end": END})
    assert seconds() == 0
    claim(journal)
    assert seconds() == 60


def test_a_poll_ends_when_a_run_ends_of_which_no_save_tells(journal: JournalStage) -> None:
    run_id = str(accept(journal, CALLBACK).json()["data"]["id"])
    with asking(journal, "POST", "claims", NEWER_POD, json=a_claim()) as answers:
        wait_for_polls(journal, 1)
        journal.call("POST", f"runs/{run_id}/cancel", ADMIN, json={})
        eventually("the poll of 25 s has ended", lambda: answers, AT_ONCE)
    assert (answers[0].json()["data"], answers[0].json()["callbacks_seconds"]) == ([], 0)
    assert [each["run"]["status"] for each in claim(journal)["data"]] == ["canceled"]


def test_callbacks_that_no_pod_sends_are_counted_also_without_open_runs(journal: JournalStage, clock: Clock) -> None:
    run_id = ended(journal)
    eventually("it is pending", lambda: journal.metrics()["dynamiq_journal_callbacks"] == 1)
    assert late(journal) == []
    clock.pass_by(6)
    eventually("it is late", lambda: [each[:2] for each in late(journal)] == [(APP.pins, 1)])
    with asking(journal, "POST", "claims", json=a_claim()):
        eventually("its pins have a pod", lambda: [each[2] for each in late(journal)] == [True])
        claim(journal)
        eventually("a pod sends it", lambda: late(journal) == [])
        journal.accept()
    report(journal, run_id=run_id, status=200)
    eventually("none is pending", lambda: journal.metrics()["dynamiq_journal_callbacks"] == 0)


def test_unreachable_receivers_of_an_app_with_limits_say_so(journal: JournalStage) -> None:
    journal.table.add_app(APP, limits_egress=True)
    run_id = ended(journal)
    claim(journal)
    report(journal, run_id=run_id, error="unreachable", retry_after=60.0)
    (tried,) = shown(journal, run_id)
    assert (tried["error"], tried["next_at"]) == ("unreachable; the App's network.egress may not allow it", "2026-12-02T12:01:00.000000Z")


def test_upkeep_gives_up_after_a_day_and_then_deletes_the_run(journal: JournalStage, clock: Clock) -> None:
    run_id = ended(journal)
    clock.pass_by(86_399)
    eventually("upkeep has seen it", lambda: [each[1] for each in late(journal)] == [1])
    assert shown(journal, run_id)[0]["state"] == "pending"
    clock.pass_by(2)
    eventually("its run is deleted", lambda: journal.call("GET", f"runs/{run_id}").status_code == 404)
    assert journal.metrics()["dynamiq_journal_callbacks_failed_total"] == 1


def test_users_with_the_right_send_callbacks_again(journal: JournalStage) -> None:
    run_id = ended(journal)
    path = f"runs/{run_id}/callbacks"
    claim(journal)
    report(journal, run_id=run_id, status=410)
    assert shown(journal, run_id)[0]["state"] == "failed"
    for token, status in ((VIEWER, 403), (POD, 403), (STRANGER, 404)):
        assert journal.call("POST", path, token, json={"n": None}).status_code == status
    assert code(journal.call("POST", path, ADMIN, json={"n": 1})) == (404, "not_found")
    assert seconds_until_due(journal) is None
    with asking(journal, "POST", "claims", json=a_claim()) as answers:
        wait_for_polls(journal, 1)
        again = journal.call("POST", path, ADMIN, json={"n": None})
        eventually("the poll of 25 s has ended", lambda: answers, AT_ONCE)
    assert answers[0].json()["callbacks_seconds"] == 0
    assert [(each["state"], each["next_at"]) for each in again.json()["data"]["callbacks"]] == [("pending", AT)]
    (claimed,) = claim(journal)["data"]
    assert (claimed["id"], claimed["try"]) == (f"msg_{run_id}_0", TRIES + 1)
    assert journal.call("POST", path, ADMIN, json={"n": 0}).status_code == 200
    open_run = journal.accept()["data"]["id"]
    assert code(journal.call("POST", f"runs/{open_run}/callbacks", ADMIN)) == (409, "not_ended")
    missing = f"runs/{'d' * 8}-0000-4000-8000-000000000004/callbacks"
    assert journal.call("POST", missing, ADMIN).status_code == 404


def test_a_start_makes_callbacks_due_of_runs_that_the_version_before_ended(journal: JournalStage, clock: Clock) -> None:
    run_id = ended(journal)
    journal.stop()
    journal.store = opened(journal.address, clock, clock)
    journal.store.commit(lambda work: work.connection.do("UPDATE callback SET due = NULL, gives_up_at = NULL"))
    journal.start()
    assert [each["run"]["id"] for each in claim(journal)["data"]] == [run_id]


def test_only_pods_of_the_app_claim_and_report(journal: JournalStage) -> None:
    run_id = ended(journal)
    for name, body in (("claims", {"free": 1}), ("results", {"results": [{"run_id": run_id, "n": 0, "try": 1, "status": 200}]})):
        for token, status in ((OTHER_POD, 404), (STRANGER, 404), (VIEWER, 403), (ADMIN, 403)):
            assert journal.call("POST", f"callbacks/{name}", token, json={"instance": "i", **body}).status_code == status
    assert code(journal.call("POST", "callbacks/claims", json={"instance": "i", "free": 21})) == (422, "validation_error")
    assert code(journal.call("POST", "callbacks/results", json={"instance": "i", "results": [{}]})) == (422, "validation_error")
