"""The live row at a time, from the rows of an App alone."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from dynamiq_operator.model.objects import Manifest, format_time
from dynamiq_operator.views.live_at import LiveAt, as_data, live_at
from tests.support import factories as given


def at(minutes: float) -> str:
    return format_time(given.NOW + timedelta(minutes=minutes))


def row(sequence: int, result: str | None, began: float, ended: float | None = None, **pins: Any) -> Manifest:
    """Returns the row `chat-<sequence>` of version `v<sequence>`, whose deploy began and ended these minutes after noon."""
    end = [given.ended(result, "why", seconds=60 * ended)] if result is not None and ended is not None else []
    previous = {"previousDigest": given.UNSEALED} if sequence > 1 else {}
    modifiers = [given.pinned(sequence, f"v{sequence}", createdAt=at(began), **{**previous, **pins}), *end]
    return given.stored(given.row_manifest(f"chat-{sequence}", *modifiers))


HISTORY = [
    row(1, "Succeeded", 0, 1),
    row(2, "Failed", 10, 13),
    row(3, "Succeeded", 20, 22),
    row(4, "Overtaken", 30, 31),
    row(5, "Succeeded", 31, 33),
    row(6, None, 40),
]


@pytest.mark.parametrize(
    ("minutes", "live", "rolling_out"),
    [
        (-5, None, None),
        (0.5, None, 1),
        (1, 1, None),
        (11, 1, 2),
        (13, 1, None),
        (21, 1, 3),
        (22, 3, None),
        (30.5, 3, 4),
        (32, 3, 5),
        (33, 5, None),
        (50, 5, 6),
    ],
)
def test_a_moment_has_its_live_row_and_the_row_in_rollout(minutes: float, live: int | None, rolling_out: int | None) -> None:
    found = live_at(HISTORY, at(minutes))
    assert found.unknown is None
    assert (found.row and found.row.row.sequence, found.rolling_out and found.rolling_out.row.sequence) == (live, rolling_out)


def test_the_order_in_which_rows_are_read_changes_nothing() -> None:
    answers = {repr(live_at(rows, at(32))) for rows in itertools.permutations(HISTORY)}
    assert len(answers) == 1


def test_a_row_was_live_until_the_next_one_was() -> None:
    found = live_at(HISTORY, at(12))
    assert found.row is not None
    assert (found.row.live_from, found.row.live_until) == (at(1), at(22))
    assert found.says == f"v1 (#1, chat-1) was live, from {at(1)} until {at(22)}"
    assert live_at(HISTORY, at(60)).says == f"v5 (#5, chat-5) was live, from {at(33)} and still is"


def test_the_newer_of_two_rows_that_went_live_within_a_second_counts() -> None:
    """Scaling completes at once."""
    found = live_at([row(1, "Succeeded", 0, 1), row(2, "Succeeded", 1, 1)], at(1))
    assert found.row is not None
    assert (found.row.row.sequence, found.row.live_until) == (2, None)


def test_an_older_row_that_ended_after_a_newer_one_was_live_is_not_rolled_out_any_more() -> None:
    rows = [row(1, "Succeeded", 0, 1), row(2, "Overtaken", 5, 9), row(3, "Succeeded", 6, 8)]
    rollouts = [live_at(rows, at(minutes)).rolling_out for minutes in (7, 8.5)]
    assert [each and each.row.sequence for each in rollouts] == [3, None]


def test_before_the_first_row_nothing_was_live() -> None:
    assert live_at(HISTORY, at(0)).says == f"nothing was live, the first row went live at {at(1)}"
    assert live_at([], at(0)).says == "nothing was live"
    assert live_at([given.stored(given.row_manifest("chat-0", given.never_deployed(1)))], at(0)) == LiveAt(at(0), None, None)


def test_the_live_row_before_the_retention_is_unknown() -> None:
    kept = HISTORY[2:]
    found = live_at(kept, at(12))
    assert found.row is None
    assert found.says == f"the live row before {at(22)} is unknown: rows before #3 are not kept any more"
    assert as_data(found)["known"] is False
    assert live_at(kept, at(22)).unknown is None


def test_a_row_that_waited_was_rolled_out_from_its_release_on() -> None:
    guards = [{"reason": "AwaitingApproval", "approvals": 1}]
    released = {"at": at(15), "guards": ["AwaitingApproval"], "by": ["otto"]}
    waited = row(2, "Succeeded", 10, 17, guards=guards)
    given.with_spec(released=released)(waited)
    rows = [HISTORY[0], waited]
    assert live_at(rows, at(12)).rolling_out is None
    rolling = live_at(rows, at(16)).rolling_out
    assert rolling is not None
    assert rolling.row.approved_by == "otto"
    never = row(3, "Overtaken", 20, 21, guards=guards)
    assert live_at([*rows, never], at(20.5)).rolling_out is None


def test_data_of_a_moment_have_the_whole_row() -> None:
    data = as_data(live_at(HISTORY, at(12)))
    assert (data["time"], data["known"], data["rollingOut"]["version"]) == (at(12), True, "v2")
    assert data["row"]["flowHash"] == given.flow_hash("v1")
    assert (data["row"]["image"], data["row"]["liveUntil"]) == (given.IMAGE, at(22))
