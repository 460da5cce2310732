"""The operator tells the journal to hold open runs of rejected versions, again and again until they are, and to let them go on once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dynamiq_operator.controller.background import holding
from dynamiq_operator.controller.background.holding import HoldWriter, KeptHolds
from dynamiq_operator.controller.background.reader import Pauses
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.plan.workloads.holding import Holding
from tests.unit.support.answering import served

KEY, UID, PINS, OTHER = ("demo", "chat"), "uid-1", "0123456789abcdef", "fedcba9876543210"


class Calls:
    """A journal that takes calls, and a writer that calls it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any], str]] = []
        self.status = 200
        self.requeued: list[tuple[str, str]] = []
        self.kept = KeptHolds()

    async def handle(self, request: web.Request) -> web.Response:
        self.seen.append((request.path, await request.json(), request.headers["Authorization"]))
        return web.json_response({"held": 1}, status=self.status)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():  # noqa: ASYNC110 - what it waits for sets no event
                await asyncio.sleep(0.005)

    async def call(self, *wanted: Holding) -> None:
        """Schedules what is wanted, and waits until it is done or has failed."""
        before = len(self.requeued)
        self.writer.schedule(KEY, UID, self.kept, wanted)
        await self.until(lambda: len(self.requeued) > before)

    writer: HoldWriter


@pytest.fixture
async def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Calls]:
    monkeypatch.setattr(holding, "PAUSES", Pauses(holds=0.0, first=0.01, most=0.01))
    (tmp_path / "token").write_text("of-the-operator\n")
    made = Calls()
    async with (
        served(made.handle) as port,
        HoldWriter(made.requeued.append, RecorderAccess(f"http://127.0.0.1:{port}", tmp_path / "token")) as made.writer,
    ):
        yield made


async def test_runs_are_held_or_canceled_by_a_call_for_each_set_of_pins(calls: Calls) -> None:
    await calls.call(Holding(PINS, holds=True), Holding(OTHER, holds=True, cancels=True))
    token = "Bearer of-the-operator"
    assert calls.seen == [
        (f"/v1/apps/{UID}/hold", {"pins": PINS, "reason": "Rejected"}, token),
        (f"/v1/apps/{UID}/hold", {"pins": OTHER, "reason": "Rejected", "cancel": True}, token),
    ]
    await calls.call(Holding(PINS, holds=True))
    assert len(calls.seen) == 3, "as long as it is wanted"


async def test_runs_that_are_held_for_another_reason_are_let_go_on_once_and_not_again_and_again(calls: Calls) -> None:
    released = Holding(PINS, holds=False, held=2)
    await calls.call(released)
    assert [(path, body) for path, body, _ in calls.seen] == [(f"/v1/apps/{UID}/unhold", {"pins": PINS, "reason": "Rejected"})]
    calls.writer.schedule(KEY, UID, calls.kept, (released,))
    assert calls.kept.task is None
    await calls.call(Holding(PINS, holds=False, held=3))
    assert len(calls.seen) == 2


async def test_a_call_that_failed_is_made_again(calls: Calls) -> None:
    calls.status = 503
    released = Holding(PINS, holds=False, held=2)
    await calls.call(released)
    calls.status = 200
    await calls.call(released)
    assert (len(calls.seen), calls.kept.failures) == (2, 0)


async def test_without_a_journal_nothing_is_called() -> None:
    async with HoldWriter(print) as writer:
        kept = KeptHolds()
        writer.schedule(KEY, UID, kept, (Holding(PINS, holds=True),))
        assert (kept.task, kept.timer) == (None, None)
