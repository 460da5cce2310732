"""Callbacks of real pods with the real journal: each is delivered at least once, with one id, whatever dies and whoever refuses."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from dynamiq_recorder.journal import callback
from dynamiq_recorder.journal.store import opened
from dynamiq_runtime.activity import Activity
from dynamiq_runtime.callbacks import AT_ONCE, Callbacks, SigningKey
from dynamiq_runtime.journal import Journal
from dynamiq_runtime.posting import Poster
from dynamiq_runtime.recorder_client import Recorder
from tests.support.callbacks import KEY, Receiver, is_signed, own_address, status
from tests.support.journal import APP, POD, JournalStage
from tests.support.journal_store import Clock
from tests.support.waiting import IN_TIME
from tests.unit.support.certificates import serving_context

RUNS = 12
END = {"status": "completed", "reason": "succeeded", "output": {"answer": 42}}


class Dying(Journal):
    """The journal as a pod sees it that is killed before any of its results arrives."""

    async def callback_results(self, results: Sequence[Mapping[str, Any]]) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stage(tmp_path: Path, clock: Clock) -> Iterator[JournalStage]:
    with JournalStage(tmp_path, store=opened(f"sqlite://{tmp_path}/journal.db", clock, clock)) as journal:
        journal.table.add_app(APP, callback_hosts=(own_address(),))
        yield journal


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Yields a receiver that refuses each third call."""
    context, authority = serving_context(tmp_path, own_address())
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with Receiver(context, own_address()) as served:

        def respond(handler: http.server.BaseHTTPRequestHandler) -> None:
            status(500 if len(served.calls) % 3 == 0 else 204)(handler)

        served.respond = respond
        yield served


@contextlib.asynccontextmanager
async def deliverer(tmp_path: Path, url: str, kind: type[Journal] = Journal) -> AsyncIterator[Callable[[], None]]:
    """Runs what delivers callbacks in a pod. Yields the call by which the pod hears that some are due."""
    (tmp_path / "token").write_text(POD)
    (tmp_path / "key").write_text(KEY)
    journal = kind(Recorder(url, tmp_path / "token", None), APP.app_uid)
    callbacks = Callbacks(journal, SigningKey(tmp_path / "key"), Poster(AT_ONCE), Activity())
    callbacks.begin()
    yield lambda: journal._tell({"callbacks_seconds": 0.0})
    await callbacks.close()
    await journal.close()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(IN_TIME):
        while not holds():  # noqa: ASYNC110 - receivers and the journal are threads
            await asyncio.sleep(0.01)


async def test_each_callback_is_delivered_with_one_id_though_pods_die_and_receivers_refuse(
    tmp_path: Path, stage: JournalStage, receiver: Receiver, clock: Clock
) -> None:
    runs = [stage.accept(claim=True, callbacks=[{"url": receiver.url, "metadata": {"n": n}}])["data"]["id"] for n in range(RUNS)]
    results = stage.save(*({"id": run_id, "fence": 1, "number": 1, "end": END} for run_id in runs))
    assert [each["callbacks"] for each in results] == [1] * RUNS
    async with deliverer(tmp_path, stage.url, Dying) as hear:
        hear()
        await until(lambda: len(receiver.calls) == AT_ONCE)
    twice = Counter(each.headers["webhook-id"] for each in receiver.calls)

    store = stage.store
    assert store is not None
    async with deliverer(tmp_path, stage.url) as hear:
        while store.next_callback(APP.app_uid) is not None:
            clock.pass_by(150)  # the lease of the killed pod is over, and so are waits of the first tries
            hear()
            await until(lambda: store.next_callback(APP.app_uid) != 0)
            # None is under way: each that the journal still has was refused.
            await until(lambda: all(each["state"] == "delivered" or each["next_at"] for run_id in runs for each in shown(stage, run_id)))
    came = Counter(each.headers["webhook-id"] for each in receiver.calls)
    assert came.keys() == {f"msg_{run_id}_0" for run_id in runs}
    assert all(came[each] > 1 for each in twice), "the killed pod told the journal of none"
    assert all(map(is_signed, receiver.calls))
    assert {each["state"] for run_id in runs for each in shown(stage, run_id)} == {"delivered"}
    assert stage.metrics()["dynamiq_journal_callbacks_delivered_total"] == RUNS


async def test_a_pod_hears_with_its_result_when_the_callback_is_due_again(
    tmp_path: Path, stage: JournalStage, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback, "WAITS", (0.0,))
    receiver.respond = lambda handler: status(204 if len(receiver.calls) == 3 else 500)(handler)
    run_id = stage.accept(claim=True, callbacks=[{"url": receiver.url}])["data"]["id"]
    stage.save({"id": run_id, "fence": 1, "number": 1, "end": END})
    async with deliverer(tmp_path, stage.url) as hear:
        hear()
        await until(lambda: shown(stage, run_id)[0]["state"] == "delivered")
    assert len(receiver.calls) == 3


def shown(stage: JournalStage, run_id: str) -> Any:
    return stage.get(f"runs/{run_id}")["data"]["callbacks"]
