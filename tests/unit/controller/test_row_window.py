"""The rows that a pass reads: a limited number, but always those that decide what runs, and the next ones."""

from __future__ import annotations

import random
from typing import Any

from dynamiq_operator.controller.observing import row_window
from dynamiq_operator.controller.observing.row_window import ROWS_MOST
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given


def row(name: str, *modifiers: given.Modifier, created: int = 0) -> Manifest:
    at = f"2026-01-01T{created // 3600:02}:{created // 60 % 60:02}:{created % 60:02}Z"
    return given.stored(given.row_manifest(name, given.with_meta(creationTimestamp=at), *modifiers))


def shuffled(rows: list[Manifest]) -> list[Manifest]:
    return random.Random(1).sample(rows, len(rows))  # noqa: S311 - any order that is not theirs


def named(window: row_window.RowWindow) -> list[str]:
    return [each["metadata"]["name"] for each in window.rows]


def test_few_rows_are_all_looked_at() -> None:
    rows = [row("live", given.live(1)), row("rolling", given.pinned(2)), row("waiting", given.numbered(3)), row("new")]
    window = row_window.of_app(rows)
    assert (sorted(named(window)), window.more) == (["live", "new", "rolling", "waiting"], False)


def test_the_oldest_of_many_new_rows_come_first_and_those_of_one_second_in_natural_order() -> None:
    rows = [row(f"r{number}", created=number // 100) for number in range(10_000)]
    window = row_window.of_app(shuffled(rows))
    assert named(window) == [f"r{number}" for number in range(ROWS_MOST)]
    assert window.more


def test_the_oldest_and_the_newest_of_many_waiting_rows_are_read() -> None:
    for stage in (given.numbered, given.pinned, given.failed):
        rows = [row(f"r{number}", stage(number)) for number in range(1, 1001)]
        window = row_window.of_app(shuffled(rows))
        assert set(named(window)) == {f"r{number}" for number in (*range(1, ROWS_MOST + 1), *range(1001 - ROWS_MOST, 1001))}
        assert not window.more, "what has its number does not hold up what is rolled out"


def test_the_live_row_is_always_among_them() -> None:
    failed = [row(f"r{number}", given.failed(number)) for number in range(1, 1001) if number != 500]
    assert "live" in named(row_window.of_app(shuffled([*failed, row("live", given.live(500))])))


def test_rows_that_may_not_be_written_hold_up_no_others() -> None:
    held = {f"r{number}" for number in range(100)}
    rows = [*(row(name) for name in held), row("good", created=60)]
    window = row_window.of_app(shuffled(rows), held)
    assert "good" in named(window)
    assert not window.more


def test_without_an_app_rows_get_their_status_in_turn_and_the_oldest_are_given_up_first() -> None:
    waits: dict[str, Any] = {"conditions": [{"type": "Succeeded", "status": "Unknown"}]}
    gone: dict[str, Any] = {"conditions": [{"type": "Succeeded", "status": "False"}]}
    silent = [row(f"new{number}", created=5000 + number) for number in range(100)]
    waiting = [row(f"r{number}", given.with_status(**waits), created=number) for number in range(100)]
    given_up = [row(f"gone{number}", given.with_status(**gone)) for number in range(100)]
    window = row_window.without_app(shuffled([*silent, *waiting, *given_up]))
    assert set(named(window)) == {f"{kind}{number}" for kind in ("new", "r") for number in range(ROWS_MOST)}
    assert window.more
