"""Long polls: each is answered by a commit, none holds a thread, and none claims for a caller who is gone."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import requests

from dynamiq_recorder.journal import notices as notices_module
from dynamiq_recorder.journal import open_feed
from dynamiq_recorder.journal.http import context
from dynamiq_recorder.journal.notices import Notices
from dynamiq_recorder.journal.store import opened
from tests.support.background import expire_leases
from tests.support.journal import ADMIN, APP, OTHER, OTHER_POD, POD, VIEWER, JournalStage, a_run
from tests.support.journal_store import NOON, Clock, Kept
from tests.support.waiting import IN_TIME, eventually


@contextlib.contextmanager
def asking(journal: JournalStage, method: str, path: str, token: str = POD, **options: Any) -> Iterator[list[requests.Response]]:
    """Sends a request while the block runs, and waits for its answer at the end."""
    answers: list[requests.Response] = []

    def ask() -> None:
        url = f"{journal.url}{path}" if path.startswith("/") else f"{journal.url}/v1/apps/{APP.app_uid}/{path}"
        answers.append(requests.request(method, url, headers={"Authorization": f"Bearer {token}"}, timeout=IN_TIME, **options))

    thread = threading.Thread(target=ask)
    thread.start()
    yield answers
    thread.join(IN_TIME)
    assert answers


def polls(journal: JournalStage) -> int:
    """Returns how many polls wait, as the notices know it."""
    assert journal.context is not None
    return sum(map(len, journal.context.notices._waiting.values()))


def wait_for_polls(journal: JournalStage, count: int) -> None:
    eventually(f"{count} polls wait", lambda: polls(journal) == count)


def a_claim(**fields: Any) -> dict[str, Any]:
    return {"instance": "i", "free": 1, "held": 0, "wait": 25, **fields}


def test_a_claim_waits_for_a_run_of_its_pins(journal: JournalStage) -> None:
    newer = msgspec.structs.replace(APP, pins="9999999999999999", pod="chat-2")
    journal.table.add_pod("newer", newer)
    journal.accept(claim=True)
    with asking(journal, "POST", "claims", json=a_claim()) as answers:
        wait_for_polls(journal, 1)
        journal.call("POST", f"/v1/apps/{OTHER.app_uid}/runs", OTHER_POD, json=a_run())
        journal.call("POST", "runs", "newer", json=a_run())
        assert answers == []
        run_id = journal.accept()["data"]["id"]
    assert [each["run"]["id"] for each in answers[0].json()["data"]] == [run_id]
    assert answers[0].json()["next_seconds"] == 0


def test_a_claim_hears_of_what_is_handed_back(journal: JournalStage) -> None:
    run_id = journal.accept(claim=True)["data"]["id"]
    with asking(journal, "POST", "claims", json=a_claim()) as answers:
        wait_for_polls(journal, 1)
        journal.save({"id": run_id, "fence": 1, "number": 1, "hand_back": True})
    assert [each["fence"] for each in answers[0].json()["data"]] == [2]


def test_a_poll_of_a_pod_whose_runs_ended_gets_the_run_that_is_to_be_alone(journal: JournalStage) -> None:
    """Its poll began while it had a run: such a run would wait until the poll is over."""
    alone = journal.accept()["data"]["id"]
    for _ in range(3):  # the first claim was never saved, and does not count
        eventually("it is claimed", journal.claim)
        expire_leases(journal)
        eventually("it is interrupted", lambda: journal.get(f"runs/{alone}")["data"]["state"] == "queued")
    of_pod = journal.accept(claim=True)["data"]["id"]
    with asking(journal, "POST", "claims", json=a_claim(held=1)) as answers:
        wait_for_polls(journal, 1)
        journal.save({"id": of_pod, "fence": 1, "number": 1, "end": {"status": "completed", "reason": "succeeded", "output": 1}})
    assert [(each["run"]["id"], each["alone"]) for each in answers[0].json()["data"]] == [(alone, True)]


def test_pods_of_an_app_without_runs_ask_once_a_minute(journal: JournalStage) -> None:
    answer = journal.call("POST", "claims", json=a_claim())
    assert answer.json() == {"data": [], "next_seconds": 60, "sessions": False, "callbacks_seconds": None}
    journal.accept(claim=True)
    assert journal.call("POST", "claims", json=a_claim(wait=0)).json() == {
        "data": [],
        "next_seconds": 0,
        "sessions": False,
        "callbacks_seconds": None,
    }


def test_pods_at_rest_cost_neither_a_read_nor_a_commit_until_a_run_is_queued(
    journal: JournalStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.accept(claim=True)
    assert journal.claim() == []
    assert journal.context is not None
    for part, name in ((journal.context.store, "has_runs"), (journal.context.committer, "put")):
        monkeypatch.setattr(part, name, None)
    with asking(journal, "POST", "claims", json=a_claim()) as answers:
        assert journal.claim() == []
        wait_for_polls(journal, 1)
        monkeypatch.undo()
        run_id = journal.accept()["data"]["id"]
    assert [each["run"]["id"] for each in answers[0].json()["data"]] == [run_id]
    journal.save({"id": run_id, "fence": 1, "number": 1, "hand_back": True})
    assert [each["fence"] for each in journal.claim()] == [2]


def test_a_run_that_one_pod_may_not_have_is_there_for_another(journal: JournalStage) -> None:
    journal.table.add_pod("second", msgspec.structs.replace(APP, pod="chat-2"))
    run_id = journal.accept()["data"]["id"]
    assert journal.store is not None
    journal.store.commit(lambda work: work.connection.do("UPDATE run SET alone = 1"))
    assert journal.claim(held=1) == []
    assert [each["run"]["id"] for each in journal.claim("second")] == [run_id]


async def test_a_key_is_quiet_for_a_while_unless_news_came_while_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    notices, key, other = Notices(), ("work", "app", "pins"), ("work", "app", "others")
    monkeypatch.setattr(notices_module, "QUIET_FOR", 0.05)

    quiet: list[bool] = []

    async def nothing() -> None:
        return None

    async def nothing_but_news_once() -> None:
        quiet.append(notices.is_quiet(key))
        if len(quiet) == 1:
            notices.notify([key])

    await notices.poll(key, 0, nothing_but_news_once, bool)
    assert (quiet, notices.is_quiet(key)) == ([False, False], True), "it read again"
    notices.notify([key])
    await notices.poll(key, 0, nothing, bool)
    assert (notices.is_quiet(key), notices.is_quiet(other)) == (True, False)
    notices.notify([other])
    assert notices.is_quiet(key)
    notices.notify([key])
    assert not notices.is_quiet(key)
    await notices.poll(key, 0, nothing, bool)
    await asyncio.sleep(0.06)
    assert not notices.is_quiet(key), "a clock that was set back hides no run for long"


def test_nothing_is_claimed_for_a_caller_who_is_gone(journal: JournalStage) -> None:
    journal.accept(claim=True)
    with contextlib.suppress(requests.Timeout):
        headers = {"Authorization": f"Bearer {POD}"}
        requests.post(f"{journal.url}/v1/apps/{APP.app_uid}/claims", json=a_claim(), headers=headers, timeout=1)
    wait_for_polls(journal, 0)
    run_id = journal.accept()["data"]["id"]
    assert journal.get(f"runs/{run_id}")["data"]["state"] == "queued"


def test_events_are_answered_as_soon_as_they_are_committed(journal: JournalStage) -> None:
    run_id = journal.accept(claim=True)["data"]["id"]
    with asking(journal, "GET", f"runs/{run_id.upper()}/events?after=2&wait=30") as answers:
        wait_for_polls(journal, 1)
        journal.accept()
        assert answers == []
        journal.save({"id": run_id, "fence": 1, "number": 1, "events": [{"type": "chunk", "data": {"text": "a"}}]})
    assert [(each["type"], each["data"]) for each in answers[0].json()["data"]] == [("chunk", {"text": "a"})]
    assert answers[0].json()["ended"] is False
    with asking(journal, "GET", f"runs/{run_id}/events?after=3&wait=30") as answers:
        wait_for_polls(journal, 1)
        end = {"status": "failed", "reason": "failed", "error": {"code": "x"}}
        journal.save({"id": run_id, "fence": 1, "number": 2, "end": end})
    assert answers[0].json()["ended"] is True
    assert journal.get(f"runs/{run_id}/events?after=4&wait=30") == {"data": [], "ended": True}, "nothing more comes"
    assert journal.get(f"runs/{run_id}/events?after=4&wait=0.01")["data"] == []


async def test_hundreds_of_polls_hold_no_thread(journal: JournalStage) -> None:
    run_id = journal.accept(claim=True)["data"]["id"]
    headers = {"Authorization": f"Bearer {POD}"}
    url = f"{journal.url}/v1/apps/{APP.app_uid}/runs/{run_id}/events?after=2&wait=30"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as client:

        async def ask() -> Any:
            async with client.get(url) as answer:
                return await answer.json()

        tasks = [asyncio.create_task(ask()) for _ in range(300)]
        await asyncio.to_thread(wait_for_polls, journal, 300)
        await asyncio.to_thread(journal.save, {"id": run_id, "fence": 1, "number": 1, "events": [{"type": "chunk"}]})
        answers = await asyncio.gather(*tasks)
    assert {len(each["data"]) for each in answers} == {1}


def test_a_caller_has_a_limit_of_polls(journal: JournalStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "POLLS_EACH", 1)
    run_id = journal.accept(claim=True)["data"]["id"]
    with asking(journal, "GET", f"runs/{run_id}/events?after=2&wait=30"):
        wait_for_polls(journal, 1)
        assert journal.call("GET", f"runs/{run_id}/events").status_code == 429
        assert journal.call("GET", f"runs/{run_id}/events", VIEWER).status_code == 200
        journal.save({"id": run_id, "fence": 1, "number": 1, "events": [{"type": "chunk"}]})
    assert journal.call("GET", f"runs/{run_id}/events").status_code == 200


def test_polls_end_with_the_process(journal: JournalStage) -> None:
    run_id = journal.accept(claim=True)["data"]["id"]
    with asking(journal, "GET", f"runs/{run_id}/events?after=2&wait=30") as answers:
        wait_for_polls(journal, 1)
        journal.stop()
    assert (answers[0].status_code, answers[0].json()) == (200, {"data": [], "ended": False})


def open_after(journal: JournalStage, version: str, wait: int = 30) -> Any:
    return journal.get(f"/v1/open?after={version}&wait={wait}", ADMIN)


def test_counts_of_open_runs_have_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_feed, "EVERY", 0.02)
    clock = Clock()
    with JournalStage(tmp_path, store=opened(f"sqlite://{tmp_path}/journal.db", clock, clock)) as journal:
        first = eventually("it is read", lambda: open_after(journal, ""))
        assert first["data"] == []
        assert open_after(journal, first["version"], 0) == first
        run_id = journal.accept()["data"]["id"]
        second = open_after(journal, first["version"])
        entry = {"namespace": "team", "app": "chat", "app_uid": APP.app_uid, "pins": APP.pins, "queued": 1, "running": 0}
        entry |= {"waiting": 0, "held": 0, "oldest": "2026-12-02T12:00:00.000000Z", "polled": False}
        entry |= {"questions": 0, "waiting_since": None, "due": "2026-12-02T12:00:00.000000Z"}
        entry |= {"sessions": 0, "recent_sessions": 0, "last_turn": None, "turns_wait": False, "callbacks": 0}
        assert clock.now == NOON
        assert second["data"] == [entry]
        journal.claim()
        third = eventually("the claim is counted", lambda: _with(open_after(journal, second["version"]), running=1))
        assert third["data"] == [{**entry, "queued": 0, "running": 1, "polled": True, "due": None}]
        journal.save({"id": run_id, "fence": 1, "number": 1, "end": {"status": "completed", "reason": "succeeded"}})
        assert open_after(journal, third["version"])["data"] == []
        for token in (VIEWER, POD, OTHER_POD):
            assert journal.call("GET", "/v1/open", token).status_code == 403


def _with(answer: Any, **fields: int) -> Any:
    return answer if all(each[name] == value and each["polled"] for each in answer["data"] for name, value in fields.items()) else None


async def test_pins_count_as_polled_while_a_pod_asks_and_for_a_minute_more_while_their_pods_are_busy(tmp_path: Path) -> None:
    now = 1000.0
    store = opened(f"sqlite://{tmp_path}/journal.db")
    kept = Kept(store, Clock())
    kept.accepted()
    feed = open_feed.OpenFeed(store.open_runs, Notices(), lambda: now)

    async def polled(later: float) -> bool:
        nonlocal now
        now += later
        feed.is_stale = True
        await feed.refresh()
        assert feed.snapshot is not None
        return bool(feed.snapshot.polled)

    with feed.polling(APP.app_uid, APP.pins), feed.polling(APP.app_uid, "others"):
        assert [await polled(0), await polled(3600)] == [True, True]
    assert [await polled(2), await polled(2)] == [True, False]
    assert len(kept.claim()) == 1
    with feed.polling(APP.app_uid, APP.pins):
        pass
    assert [await polled(59), await polled(2)] == [True, False]
    store.close()
