"""Open runs, conversations and callbacks in words."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.views.background_runs import callback_cells, conversation_cells, finishing_in_words

VERSION = {"version": "v2", "sequence": 12}
TRIED = {"n": 1, "host": "hooks.example.com", "tries": 2, "status": None, "error": None, "last_at": None, "next_at": None}


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"queued": 1, "running": 11, "waiting": 2, "held": 1}, "15 background runs, 2 wait, 1 is held"),
        ({"running": 1, "sessions": 3}, "1 background run, 3 conversations"),
        ({"sessions": 1}, "1 conversation"),
        ({}, "0 background runs"),
    ],
)
def test_an_earlier_version_is_shown_with_what_goes_on_there(counts: dict[str, int], said: str) -> None:
    assert finishing_in_words({**VERSION, **counts}) == f"v2 (#12): {said}"


@pytest.mark.parametrize(
    ("callback", "has_ended", "shown"),
    [
        ({"state": "pending", "tries": 0}, False, ["pending", "0", "when the run ends", "-"]),
        (
            {"state": "pending", "status": 500, "last_at": "2026-11-24T12:00:05.000000Z", "next_at": "2026-11-24T12:00:35.000000Z"},
            True,
            ["pending", "2", "2026-11-24T12:00:35Z", "2026-11-24T12:00:05Z HTTP 500"],
        ),
        (
            {"state": "failed", "error": "unreachable", "last_at": "2026-11-25T12:00:00.000000Z"},
            True,
            ["failed", "2", "-", "2026-11-25T12:00:00Z unreachable"],
        ),
    ],
)
def test_a_callback_is_shown_with_its_next_and_its_last_try(callback: dict[str, Any], has_ended: bool, shown: list[str]) -> None:
    assert callback_cells({**TRIED, **callback}, has_ended=has_ended) == ["1", "hooks.example.com", *shown]


def test_conversations_are_shown_by_the_best_name_of_their_version() -> None:
    counts = {"pins": "0123", "sessions": 12, "recent": 3, "moved": 5, "last_turn": "2026-11-24T12:00:00.000000Z"}
    rest = ["12", "3", "5", "2026-11-24T12:00:00Z"]
    assert conversation_cells({**counts, "sequence": 12}, {"0123": "v2 (#12)"}) == ["v2 (#12)", *rest]
    assert conversation_cells({**counts, "sequence": 12}, {}) == ["#12", *rest]
    assert conversation_cells({**counts, "sequence": None}, {}) == ["0123", *rest]
