"""Nothing that was acknowledged is lost when the journal is killed or its disk is full, and nothing is there by half.

Runs are accepted, claimed, saved, handed back, canceled and ended meanwhile. `SOAK=1`: 200 kills and full disks, else 20.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from dynamiq_recorder.journal.store import is_shared, opened
from tests.support import postgres
from tests.support.journal_store import Clock, Kept
from tests.support.journal_stories import STORIES, Snapshot, snapshot, snapshots
from tests.support.journal_writer import Writer, forked
from tests.support.waiting import eventually

COUNT = 200 if os.environ.get("SOAK") else 20
COMMIT = 60_000
"""Most bytes of the log that a commit of all pods takes: a limit of its file within them ends a commit in its middle."""


def size_of(file: Path) -> int:
    return file.stat().st_size


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/journal.db"
    server: postgres.Server = request.getfixturevalue("server")
    return server.database()


@pytest.mark.full_count
def test_what_is_acknowledged_survives_kills_at_any_moment(tmp_path: Path, address: str) -> None:
    chance, expected = random.Random(34), snapshots(tmp_path)  # noqa: S311
    steps = 0
    for number in range(COUNT):
        log = tmp_path / f"{number}.log"
        process, most = forked(address, log), chance.randint(1, 400)

        def is_due(process: BaseProcess = process, log: Path = log, most: int = most) -> bool:
            assert process.is_alive(), log.read_text()
            return log.read_text().count("\n") >= most

        eventually(f"{most} operations are acknowledged", is_due, every=0.002)
        process.kill()
        process.join()
        if is_shared(address):  # the server goes on with a commit that it has got
            eventually("its connections have ended", lambda: postgres.connections(address) == 0, every=0.01)
        text = log.read_text()
        assert "Traceback" not in text
        log.unlink()
        steps += text.count("\n")
        acknowledged = {run_id: (story, int(step)) for story, run_id, step in map(str.split, text.splitlines())}
        _check(address, acknowledged, expected, further=1)
    print(f"\n{COUNT} kills of a journal's process, {steps} acknowledged operations: 0 lost, 0 by half")


def _check(address: str, acknowledged: dict[str, tuple[str, int]], expected: dict[str, list[Snapshot | None]], further: int) -> None:
    """Checks that each run is as far as it was acknowledged to be, or at most so many steps further."""
    clock = Clock()
    store = Kept(opened(address, clock, clock), clock)
    assert acknowledged
    for run_id, (story, step) in acknowledged.items():
        assert snapshot(store, run_id) in expected[story][step : step + 1 + further], (story, step)
    store.check()
    store.store.close()


@pytest.fixture
def files() -> Iterator[None]:
    """Restores the limit of files."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.full_count
@pytest.mark.usefixtures("files")
def test_runs_go_on_once_a_full_disk_has_room_again(tmp_path: Path) -> None:
    """The log may grow no further: by chance within a commit, or not at all."""
    address, expected = f"sqlite://{tmp_path}/journal.db", snapshots(tmp_path)
    acknowledged: dict[str, tuple[str, int]] = {}
    store = opened(address)
    writer = Writer(store, lambda story, run_id, step: acknowledged.update({run_id: (story, step)}))
    asyncio.run(_with_a_full_disk(writer, tmp_path / "journal.db-wal"))
    store.close()
    assert {story for story, _ in acknowledged.values()} == set(STORIES)
    assert all(step == len(STORIES[story]) for story, step in acknowledged.values())
    _check(address, acknowledged, expected, further=0)
    print(f"\n{COUNT} full disks, {writer.done} acknowledged operations, {writer.refused} refused: 0 lost, all runs ended as they had to")


async def _with_a_full_disk(writer: Writer, log: Path) -> None:
    chance = random.Random(34)  # noqa: S311
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writing = asyncio.create_task(writer.write())

    async def until(count: int, name: str, within: float = 60) -> bool:
        for _ in range(round(within / 0.001)):
            if getattr(writer, name) >= count:
                return True
            assert not writing.done(), writing.exception()
            await asyncio.sleep(0.001)
        return False

    for _ in range(COUNT):
        assert await until(writer.done + chance.randint(1, 30), "done")
        refused, is_full = writer.refused, False
        while not is_full:  # after a checkpoint the log is written from its begin
            limit = size_of(log) + chance.randint(0, COMMIT) if chance.random() < 0.7 else chance.randint(0, size_of(log))
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            is_full = await until(refused + 1, "refused", 0.1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    writer.is_over = True
    await writing
