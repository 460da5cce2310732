"""Two journals serve one PostgreSQL at once: what one commits is known at the other without a delay, and none undoes the other's work."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from dynamiq_recorder.journal import listening, open_feed, operations, upkeep, waiting
from dynamiq_recorder.journal.committer import Committer
from dynamiq_recorder.journal.epoch import Epoch
from dynamiq_recorder.journal.model import ALONE_FROM, LEASE, Limits, NewRun, Refused, State
from dynamiq_recorder.journal.operations import ALONE_WAITS
from dynamiq_recorder.journal.replicas import Replica
from dynamiq_recorder.journal.store import opened
from dynamiq_recorder.journal.tables import Work, run_key
from tests.support import postgres
from tests.support.journal import ADMIN, APP, ClusterEpoch, JournalStage, a_run
from tests.support.journal_store import Clock, Kept, a_new_run, a_question, a_save, everything
from tests.support.waiting import eventually
from tests.unit.journal.test_polls import a_claim, asking, open_after, wait_for_polls

SECOND = msgspec.structs.replace(APP, pod="chat-2")


@pytest.fixture
def address(server: postgres.Server) -> str:
    return server.database()


@pytest.fixture
def both(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[JournalStage, JournalStage]]:
    """Yields two journals that serve one database. Nothing but news wakes a poll."""
    monkeypatch.setattr(upkeep.Upkeep, "_notify_again", lambda _: None)
    monkeypatch.setattr(listening, "EVERY", 0.1)
    monkeypatch.setattr(open_feed, "EVERY", 0.02)
    with JournalStage(tmp_path, store=opened(address)) as first, JournalStage(tmp_path, store=opened(address)) as second:
        for each in (first, second):
            each.table.add_pod("second", SECOND)
            eventually("it listens", partial(listens, each))
        yield first, second


def listens(journal: JournalStage) -> bool:
    """Returns True if the database has its connection for news."""
    assert journal.context is not None
    listener = journal.context.listener
    assert listener is not None
    return listener.hears


@pytest.fixture
def stores(address: str, clock: Clock) -> Iterator[tuple[Kept, Kept]]:
    made = Kept(opened(address, clock, clock), clock), Kept(opened(address, clock, clock), clock)
    yield made
    made[0].check()
    for each in made:
        each.store.close()


def test_a_run_that_one_accepts_is_claimed_at_the_other_at_once(both: tuple[JournalStage, JournalStage]) -> None:
    first, second = both
    first.accept(claim=True)
    assert second.claim() == [], "and now its key is quiet"
    with asking(second, "POST", "claims", json=a_claim()) as answers:
        wait_for_polls(second, 1)
        run_id = first.accept()["data"]["id"]
    assert [each["run"]["id"] for each in answers[0].json()["data"]] == [run_id]
    first.save({"id": run_id, "fence": 1, "number": 1, "hand_back": True})
    assert [each["fence"] for each in eventually("it is claimed again", second.claim)] == [2]


def test_events_that_one_takes_are_streamed_at_the_other(both: tuple[JournalStage, JournalStage]) -> None:
    first, second = both
    run_id = first.accept(claim=True)["data"]["id"]
    with asking(second, "GET", f"runs/{run_id}/events?after=2&wait=30") as answers:
        wait_for_polls(second, 1)
        first.save({"id": run_id, "fence": 1, "number": 1, "events": [{"type": "chunk", "data": {"text": "a"}}]})
    assert [each["data"] for each in answers[0].json()["data"]] == [{"text": "a"}]


def test_open_runs_and_polled_pins_are_those_of_both_and_a_client_that_changes_is_answered_at_once(
    both: tuple[JournalStage, JournalStage],
) -> None:
    first, second = both
    version = eventually("it is read", lambda: open_after(first, ""))["version"]
    assert open_after(second, version)["version"] != version
    run_id = first.accept(claim=True)["data"]["id"]

    def entry() -> Any:
        return next(iter(open_after(second, "", 0)["data"]), None)

    assert eventually("it is counted", entry)["polled"] is False
    with asking(first, "POST", "claims", json=a_claim(wait=25)):
        eventually("the other knows that its pins are polled", lambda: entry()["polled"])
        first.save({"id": run_id, "fence": 1, "number": 1, "hand_back": True})


async def test_what_a_replica_that_was_killed_told_of_polls_is_forgotten(address: str, clock: Clock) -> None:
    first, second = (opened(address, clock, clock) for _ in range(2))
    pins = frozenset({(APP.app_uid, APP.pins)})
    first.check()
    assert first.share_polled(pins) == frozenset()
    assert second.share_polled(frozenset()) == pins
    clock.pass_by(13)
    assert second.share_polled(frozenset()) == frozenset()
    first.check()
    assert second.share_polled(frozenset()) == pins, "it was only slow"
    first.share_polled(frozenset())
    assert second.share_polled(frozenset()) == frozenset()
    for each in (first, second):
        each.close()


def test_what_is_committed_while_a_replica_hears_nothing_is_known_once_it_hears_again(
    both: tuple[JournalStage, JournalStage], address: str
) -> None:
    first, second = both
    first.accept(claim=True)
    assert second.claim() == []
    with asking(second, "POST", "claims", json=a_claim()) as answers, psycopg.connect(address, autocommit=True) as raw:
        wait_for_polls(second, 1)
        raw.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dynamiq-journal-news' AND datname = current_database()"
        )
        run_id = first.accept()["data"]["id"]
    assert [each["run"]["id"] for each in answers[0].json()["data"]] == [run_id]
    for each in both:
        eventually("it listens again", partial(listens, each))


def test_a_run_whose_news_were_lost_is_claimed_nevertheless(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as since the replica that was about to give it to a pod was killed."""
    monkeypatch.setattr(upkeep, "LOOKS_EVERY", 0.1)
    silent = Kept(opened(address), Clock())
    monkeypatch.setattr(silent.store.replica, "tell", lambda *_: None)
    with JournalStage(tmp_path, store=opened(address)) as journal:
        journal.accept(claim=True)
        with asking(journal, "POST", "claims", json=a_claim()) as answers:
            wait_for_polls(journal, 1)
            run_id = silent.accepted()
            journal.accept(claim=True)  # so that runs are counted
        assert [each["run"]["id"] for each in answers[0].json()["data"]] == [run_id]
    silent.store.close()


def test_one_of_two_leads_and_the_other_one_takes_over(both: tuple[JournalStage, JournalStage]) -> None:
    def leads() -> list[bool]:
        return [each.context.leads() for each in both if each.context is not None]

    eventually("one leads", lambda: sum(leads()) == 1)
    at = leads().index(True)
    both[at].stop()
    eventually("the other leads", lambda: leads()[1 - at])


def test_a_request_that_comes_to_both_at_once_is_one_run(both: tuple[JournalStage, JournalStage]) -> None:
    with ThreadPoolExecutor(2) as pool:
        for number in range(20):
            bodies = [a_run(idempotency_key=f"k{number}", request_hash="h") for _ in both]
            sent = [pool.submit(each.call, "POST", "runs", json=body) for each, body in zip(both, bodies, strict=True)]
            answers = [each.result() for each in sent]
            assert sorted(each.status_code for each in answers) == [200, 201]
            assert len({each.json()["data"]["id"] for each in answers}) == 1


def test_a_pod_that_asks_now_the_one_and_now_the_other_keeps_its_turn_to_make_room(stores: tuple[Kept, Kept]) -> None:
    first, second = stores
    alone = first.accepted()
    first.silent(ALONE_FROM + 1)
    first.clock.pass_by(ALONE_WAITS / 1_000_000 + 1)
    usual = first.accepted()
    assert first.claim(APP, held=1) == [], "it makes room"
    assert [each.run.id for each in second.claim(SECOND, held=1)] == [usual]
    other = second.accepted()
    assert second.claim(APP, held=1) == []
    assert [each.run.id for each in first.claim(SECOND, held=1)] == [other]
    assert [each.run.id for each in second.claim(APP)] == [alone]


def test_runs_that_another_replica_is_giving_away_are_neither_waited_for_nor_taken_for_none(stores: tuple[Kept, Kept]) -> None:
    first, second = stores
    run_id = first.accepted()

    def while_it_is_claimed(work: Work) -> None:
        assert len(operations.claim(work, APP, 1, 0, first.turns) or []) == 1
        found = second.do(partial(operations.claim, place=SECOND, free=1, held=0, turns=second.turns))
        assert found == [], "None would say that no poll of these pins has to ask again"
        assert second.sweep() == 0

    first.do(while_it_is_claimed)
    assert first.run(run_id).holder == APP.pod


def test_a_start_beside_a_replica_that_serves_prolongs_no_lease(stores: tuple[Kept, Kept]) -> None:
    first, second = stores
    run_id, _ = first.begun()
    first.clock.pass_by(LEASE - 1)
    first.store.check()
    second.do(operations.renew_leases)
    first.clock.pass_by(2)
    assert second.sweep() == 1
    assert first.run(run_id).state is State.QUEUED


def test_after_a_time_without_any_replica_leases_get_their_full_time(stores: tuple[Kept, Kept]) -> None:
    first, second = stores
    first.begun()
    first.store.check()
    first.clock.pass_by(LEASE + 1)
    second.do(operations.renew_leases)
    assert second.sweep() == 0


def test_many_news_of_one_commit_are_all_heard(stores: tuple[Kept, Kept], address: str) -> None:
    first, second = stores
    news = {run_key(APP.app_uid, str(uuid.uuid4())) for _ in range(500)}
    own, other = first.store.replica, second.store.replica
    assert own is not None
    assert other is not None
    with psycopg.connect(address, autocommit=True) as raw:
        raw.execute("LISTEN dynamiq_journal")
        first.do(lambda work: work.news.update(news))
        payloads = [each.payload for each in raw.notifies(timeout=1)]
    assert {key for each in payloads for key in other.heard(each)} == news
    assert [key for each in payloads for key in own.heard(each)] == []
    assert Replica("").heard("no JSON") == []


async def _raised(stores: tuple[Kept, Kept], cluster: ClusterEpoch, *, again: int = 0) -> None:
    """Starts both replicas at once, and lets each raise the epoch so many times more."""
    committers = [Committer(each.store.commit, lambda _: None, lambda _: None) for each in stores]
    epochs = [Epoch(each.store, committer, cluster) for each, committer in zip(stores, committers, strict=True)]
    await asyncio.gather(*(each.start() for each in epochs))
    for _ in range(again):
        await asyncio.gather(*(each._try() for each in epochs))
    for each in committers:
        await asyncio.to_thread(each.close)


async def test_replicas_that_raise_the_epoch_at_once_are_no_restore(stores: tuple[Kept, Kept]) -> None:
    cluster, run_id = ClusterEpoch(), stores[0].accepted()
    for _ in range(5):
        await _raised(stores, cluster, again=3)
    assert stores[0].run(run_id).state is State.QUEUED
    assert stores[0].store.epoch() >= cluster.value > 5


async def test_a_restored_store_is_known_and_what_comes_in_its_new_epoch_is_not_held(stores: tuple[Kept, Kept]) -> None:
    first, second = stores
    before, asks = first.accepted(), first.paused(a_question())
    await _raised(stores, ClusterEpoch())
    cluster = ClusterEpoch()
    cluster.value = first.store.epoch() + 1
    await _raised(stores, cluster)
    later = first.accepted()
    epoch = cluster.value
    assert second.do(partial(waiting.restored, epoch=epoch, before=1 << 62)) == (0, False), "the first one has noted it"
    assert [first.run(each).state for each in (before, asks, later)] == [State.HELD, State.WAITING, State.QUEUED]
    first.do(partial(waiting.note_epoch, epoch=epoch - 1))
    assert first.store.epoch() == epoch


@pytest.mark.parametrize("most", [Limits(of_app=3), Limits(of_key=3), Limits(of_namespace=1750)])
def test_limits_hold_within_one_commit(kept: Kept, most: Limits) -> None:
    def accept_many(work: Work) -> int:
        accepted = 0
        with contextlib.suppress(Refused):
            for _ in range(5):
                new = NewRun(id=str(uuid.uuid4()), key="k", input=b"{}")
                operations.accept(work, APP, new, most, claims=False)
                accepted += 1
        return accepted

    assert kept.do(accept_many) == 3


def test_transactions_on_the_same_runs_and_counts_end_none_of_each_other(address: str, clock: Clock) -> None:
    """Each has the same lines in another order."""
    first, second = (Kept(opened(address, clock, clock), clock) for _ in range(2))
    places = [msgspec.structs.replace(APP, namespace=f"n{number}", app_uid=str(uuid.uuid4())) for number in range(6)]
    runs = [first.begun() for _ in range(6)]
    for place in places:
        first.accepted(place)
    rounds = 15

    def accept_in_all(work: Work, order: int) -> None:
        for place in places[::order]:
            operations.accept(work, place, a_new_run(), Limits(), claims=False)

    def count(work: Work, order: int, change: int) -> None:
        for number in range(200)[::order]:
            work.add_to("space", ("namespace",), "size", {(f"many-{number}",): change})

    def write(kept: Kept, order: int, number: int) -> None:
        for each in range(rounds):
            kept.do(partial(accept_in_all, order=order))
            for change in (1, -1) * 3:
                kept.do(partial(count, order=order, change=change))
            kept.save(*(a_save(run_id, fence, number + each, events=1) for run_id, fence in runs[::order]))

    threads = [threading.Thread(target=write, args=each) for each in ((first, 1, 1), (second, -1, 100))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [first.store.page(everything(place))[1] for place in places] == [1 + 2 * rounds] * len(places)
    first.check()
    for kept in (first, second):
        kept.store.close()
    eventually("its connections have ended", lambda: postgres.connections(address) == 0)
    with psycopg.connect(address) as raw:
        assert raw.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone() == (0,)


def test_callbacks_that_become_due_at_one_replica_are_sent_by_a_pod_of_the_other(both: tuple[JournalStage, JournalStage]) -> None:
    first, second = both
    assert second.call("POST", "claims", "second", json=a_claim(wait=0)).json()["callbacks_seconds"] is None
    run_id = first.accept(callbacks=[{"url": "https://a.example"}])["data"]["id"]
    assert [each["run"]["id"] for each in first.claim()] == [run_id]
    assert second.call("POST", "claims", "second", json=a_claim(wait=0)).json()["callbacks_seconds"] is None
    with asking(second, "POST", "claims", "second", json=a_claim()) as answers:
        wait_for_polls(second, 1)
        first.call("POST", f"runs/{run_id}/cancel", ADMIN, json={})
        first.save({"id": run_id, "fence": 1, "number": 1, "hand_back": True})
    assert answers[0].json()["callbacks_seconds"] == 0
    (claimed,) = second.call("POST", "callbacks/claims", "second", json={"instance": "i", "free": 20}).json()["data"]
    result = {"run_id": run_id, "n": 0, "try": claimed["try"], "status": 200}
    assert first.call("POST", "callbacks/results", json={"instance": "i", "results": [result]}).json()["data"] == [{"ok": True}]


def test_callbacks_are_claimed_once_by_pods_of_two_replicas(stores: tuple[Kept, Kept]) -> None:
    first, _ = stores
    ended = [first.run(first.called()).key for _ in range(40)]

    def claim(kept: Kept) -> list[int]:
        return [each.run for each in kept.claim_callbacks(5)]

    with ThreadPoolExecutor(8) as threads:
        claimed = [key for keys in threads.map(claim, stores * 8) for key in keys]
    while keys := claim(first):
        claimed += keys
    assert sorted(claimed) == sorted(ended)
