"""Time and leases: after a step of the wall clock queued runs stay due, and no pod loses its runs. A silent pod does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_recorder.journal import operations
from dynamiq_recorder.journal.model import LEASE, MICROSECONDS, State
from dynamiq_recorder.journal.store import opened
from tests.support.journal_store import NOON, Clock, Kept, a_save

HOUR = 3600


@pytest.fixture
def ticks() -> Clock:
    """Returns the time that no step changes."""
    ticks = Clock()
    ticks.now = 0
    return ticks


@pytest.fixture
def stepped(tmp_path: Path, clock: Clock, ticks: Clock) -> Iterator[Kept]:
    made = Kept(opened(f"sqlite://{tmp_path}/journal.db", clock, ticks), clock)
    yield made
    made.check()
    made.store.close()


def test_queued_runs_are_due_after_a_step_back(stepped: Kept, clock: Clock) -> None:
    first = stepped.accepted()
    clock.pass_by(-HOUR)
    second = stepped.accepted()
    assert [each.run.id for each in stepped.claim(free=2)] == [first, second]


def test_queued_runs_are_due_if_a_journal_starts_after_a_step_back(stepped: Kept, clock: Clock, tmp_path: Path) -> None:
    run_id = stepped.accepted()
    clock.pass_by(-HOUR)
    stepped.store.close()
    stepped.store = opened(f"sqlite://{tmp_path}/journal.db", clock, clock)
    stepped.do(operations.renew_leases)
    assert [each.run.id for each in stepped.claim()] == [run_id]


def test_the_time_goes_on_after_a_step_back_until_the_wall_clock_has_caught_up(stepped: Kept, clock: Clock, ticks: Clock) -> None:
    times = []
    clock.pass_by(-HOUR)
    for _ in range(4):
        times.append(stepped.store.clock() - NOON)
        for each in (clock, ticks):
            each.pass_by(HOUR)
    assert times == [0, HOUR // 2 * MICROSECONDS, HOUR * MICROSECONDS, 2 * HOUR * MICROSECONDS]


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_a_step_ends_no_lease_and_prolongs_none(stepped: Kept, clock: Clock, ticks: Clock, step: int) -> None:
    run_id, fence = stepped.begun()
    clock.pass_by(step)
    assert stepped.sweep() == 0
    assert stepped.save(a_save(run_id, fence))[0].ok
    ticks.pass_by(LEASE - 1)
    assert stepped.sweep() == 0
    ticks.pass_by(2)
    assert stepped.sweep() == 1
    assert stepped.run(run_id).state is State.QUEUED


def test_a_first_claim_without_a_save_is_no_interruption_and_later_ones_are(kept: Kept) -> None:
    run_id = kept.accepted()
    attempts = []
    while kept.run(run_id).is_open:
        kept.claim()
        kept.clock.pass_by(LEASE + 1)
        kept.sweep()
        attempts.append(kept.run(run_id).attempts)
    assert attempts == [0, 1, 2, 3, 4, 5]
    assert kept.run(run_id).reason == "interrupted"
