"""A restored store is known by its epoch: runs that had begun are held, others ask again, and pods of the lost time are refused."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_recorder.journal import waiting
from dynamiq_recorder.journal.committer import Committer
from dynamiq_recorder.journal.epoch import Epoch, EpochMap
from dynamiq_recorder.journal.model import MICROSECONDS, RESTORED, State
from dynamiq_recorder.journal.store import back_up, opened
from tests.support.journal import APP, ClusterEpoch
from tests.support.journal_store import NOON, Clock, Kept, a_question, a_save, an_end

AWAY = errors.Unavailable("no answer")


class Journals:
    """One journal after the other on a file, in one cluster."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder, self.clock, self.cluster = folder, clock, ClusterEpoch()
        self.kept = self._opened()

    @property
    def address(self) -> str:
        return f"sqlite://{self.folder}/journal.db"

    def _opened(self) -> Kept:
        return Kept(opened(self.address, self.clock, self.clock), self.clock)

    def start(self, *, again: Callable[[], Any] | None = None) -> None:
        """Starts a journal. `again`: what happens before it tries again to raise the epoch."""

        async def work() -> None:
            committer = Committer(self.kept.store.commit, lambda _: None, lambda _: None)
            epoch = Epoch(self.kept.store, committer, self.cluster)
            await epoch.start()
            if again is not None:
                again()
                await epoch._try()
            await asyncio.to_thread(committer.close)

        asyncio.run(work())

    def restart(self) -> None:
        self.kept.store.close()
        self.kept = self._opened()
        self.start()

    def copy(self) -> Path:
        path = self.folder / "backup.db"
        back_up(self.address, path)
        return path

    def restore(self, copy: Path, *, starts: bool = True) -> None:
        self.kept.store.close()
        for end in ("-wal", "-shm"):
            (self.folder / f"journal.db{end}").unlink(missing_ok=True)
        (self.folder / "journal.db").write_bytes(copy.read_bytes())
        self.kept = self._opened()
        if starts:
            self.start()


@pytest.fixture
def journals(tmp_path: Path, clock: Clock) -> Iterator[Journals]:
    made = Journals(tmp_path, clock)
    made.start()
    yield made
    made.kept.check()
    made.kept.store.close()


def test_an_open_run_of_a_restored_store_goes_on_only_where_nothing_can_have_happened(journals: Journals) -> None:
    kept = journals.kept
    held = kept.paused(a_question())
    kept.hold("Rejected")
    asks, passed, later = kept.paused(a_question()), kept.paused(resume_at=NOON + 5 * MICROSECONDS), kept.paused(resume_at=NOON * 2)
    running, _ = kept.begun()
    canceling, _ = kept.begun()
    kept.cancel(canceling)
    ended, fence = kept.begun()
    kept.end(ended, fence)
    answered = kept.paused(a_question())
    kept.answer(answered)
    queued = kept.accepted()
    copy = journals.copy()
    journals.clock.pass_by(60)
    journals.restore(copy)
    found = {
        name: (journals.kept.run(each).state, journals.kept.run(each).hold_reason)
        for name, each in {
            "held": held,
            "asks": asks,
            "its time passed": passed,
            "its time comes": later,
            "running": running,
            "canceling": canceling,
            "ended": ended,
            "answered": answered,
            "queued": queued,
        }.items()
    }
    assert found == {
        "held": (State.HELD, "Rejected"),
        "asks": (State.WAITING, None),
        "its time passed": (State.HELD, RESTORED),
        "its time comes": (State.WAITING, None),
        "running": (State.HELD, RESTORED),
        "canceling": (State.CANCELED, None),
        "ended": (State.COMPLETED, None),
        "answered": (State.HELD, RESTORED),
        "queued": (State.HELD, RESTORED),
    }


def test_a_question_is_open_again_if_its_answer_is_not_in_the_copy_and_an_answer_in_it_is_kept(journals: Journals) -> None:
    answered, asks = journals.kept.paused(a_question()), journals.kept.paused(a_question())
    journals.kept.answer(answered, feedback="yes")
    copy = journals.copy()
    (claim,) = journals.kept.claim()
    journals.kept.end(claim.run.id, claim.run.fence)
    journals.kept.answer(asks, feedback="lost")
    journals.restore(copy)
    assert journals.kept.answer(asks, feedback="another"), "it is a new answer"
    journals.kept.do(partial(waiting.release, app_uid=APP.app_uid, run_id=answered, by="ann"))
    given = {each.run.id: [question.answer for question in each.questions] for each in journals.kept.claim(free=2)}
    assert given == {
        answered: [b'{"feedback":"yes","request_id":"ask:1"}'],
        asks: [b'{"feedback":"another","request_id":"ask:1"}'],
    }


def test_pods_of_the_lost_time_are_refused_however_often_the_same_copy_is_restored(journals: Journals) -> None:
    asks = journals.kept.paused(a_question())
    copy, lost = journals.copy(), list[int]()
    for _ in range(3):
        journals.kept.answer(asks)
        (claim,) = journals.kept.claim()
        lost.append(claim.run.fence)
        journals.restore(copy)
    journals.kept.answer(asks)
    (claim,) = journals.kept.claim()
    assert claim.run.fence not in lost
    results = [journals.kept.save(a_save(asks, fence, end=an_end()))[0].ok for fence in (*lost, claim.run.fence)]
    assert results == [False, False, False, True]
    assert journals.kept.event(asks, "run.resumed") == {"attempt": 2}, "a caller sees no epoch"


def test_a_restart_holds_nothing(journals: Journals) -> None:
    running, fence = journals.kept.begun()
    journals.restart()
    journals.restart()
    assert journals.kept.save(a_save(running, fence))[0].ok
    assert journals.cluster.value == 3


def test_a_store_is_held_once(journals: Journals) -> None:
    run_id = journals.kept.accepted()
    journals.restore(journals.copy())
    journals.kept.do(partial(waiting.release, app_uid=APP.app_uid, run_id=run_id, by="ann"))
    journals.restart()
    assert journals.kept.run(run_id).state is State.QUEUED


def test_a_copy_without_a_mark_is_known_once_a_journal_started_after_it(journals: Journals, tmp_path: Path) -> None:
    """Such as a snapshot of the volume."""
    run_id = journals.kept.accepted()
    snapshot = tmp_path / "snapshot.db"
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as raw, contextlib.closing(sqlite3.connect(snapshot)) as copy:
        raw.backup(copy)
    journals.restart()
    journals.restore(snapshot)
    assert journals.kept.run(run_id).hold_reason == RESTORED


def test_unknown_is_not_restored_and_what_came_meanwhile_is_not_held_either(journals: Journals, caplog: pytest.LogCaptureFixture) -> None:
    before = journals.kept.accepted()
    journals.restore(journals.copy(), starts=False)
    journals.cluster.error = AWAY
    meanwhile = list[str]()

    def answers() -> None:
        assert journals.kept.run(before).state is State.QUEUED
        assert journals.kept.store.epoch() == 0, "else the next start would take it for no copy"
        journals.clock.pass_by(1)
        meanwhile.append(journals.kept.accepted())
        journals.cluster.error = None

    with caplog.at_level(logging.WARNING):
        journals.start(again=answers)
    assert [journals.kept.run(each).state for each in (before, *meanwhile)] == [State.HELD, State.QUEUED]
    assert [record.getMessage() for record in caplog.records] == [
        "the epoch cannot be raised, so it is unknown if the store was restored: no answer",
        "the store is an older copy: 1 of its runs are held",
    ]


@pytest.mark.parametrize("error", [errors.NotFound("no ConfigMap", 404), errors.Denied("no right", 403), AWAY])
def test_it_is_logged_once_that_nothing_is_known(journals: Journals, caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    journals.cluster.error = error
    run_id = journals.kept.accepted()
    with caplog.at_level(logging.WARNING):
        journals.start(again=lambda: None)
    assert len(caplog.records) == 1
    assert (journals.kept.run(run_id).state, journals.kept.store.epoch()) == (State.QUEUED, 1)


def test_a_kill_before_the_clusters_copy_is_raised_is_no_restore(journals: Journals) -> None:
    run_id = journals.kept.accepted()
    journals.cluster.value -= 1
    journals.restart()
    assert (journals.kept.run(run_id).state, journals.cluster.value) == (State.QUEUED, 2)


class _Maps(Client):
    def __init__(self, data: dict[str, str] | None) -> None:
        self.data, self.sent = data, list[Any]()

    async def get(self, *of: Any) -> Any:
        return {"metadata": {}, "data": self.data}

    async def patch(self, *of: Any, **more: Any) -> Any:
        self.sent.append((of[1:], more))


@pytest.mark.parametrize(("data", "expected"), [(None, 0), ({}, 0), ({"epoch": "7"}, 7)])
def test_the_clusters_copy_is_an_entry_of_a_config_map(data: dict[str, str] | None, expected: int) -> None:
    client = _Maps(data)
    assert asyncio.run(EpochMap(client, "journals").read()) == expected
    asyncio.run(EpochMap(client, "journals").write(8))
    assert client.sent == [(("journals", "dynamiq-journal-epoch", {"data": {"epoch": "8"}}), {})]


@pytest.mark.parametrize("text", ["", "-1", "1.5", "٣", "999999999", "x"])
def test_an_entry_that_is_no_number_is_unknown(text: str) -> None:
    with pytest.raises(errors.Invalid):
        asyncio.run(EpochMap(_Maps({"epoch": text}), "journals").read())
