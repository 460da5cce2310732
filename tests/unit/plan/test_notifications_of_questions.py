"""Notifications that background runs ask a person: once when the first question comes, and not for each further one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dynamiq_operator.plan.background.notifications import Notification
from dynamiq_operator.plan.background.questions import AGAIN, Noted, questions_of
from dynamiq_operator.plan.observed.open_runs import OpenCount
from tests.support.world import World
from tests.unit.support.finishing import journal_leaves, open_runs, serving_with_journal


class Asked:
    """A world whose App asks, with what was noted of it."""

    def __init__(self, world: World) -> None:
        self.world, self.noted = world, dict[str, Noted]()

    def notified(self, questions: int, seconds_ago: float = 0) -> list[Notification]:
        """Returns what is sent if so many questions are open, the oldest asked so long ago."""
        asked = self.world.now - timedelta(seconds=seconds_ago)
        count = OpenCount(waiting=max(questions, 1), questions=questions, asked=asked if questions else None)
        open_runs(self.world, **{next(iter(self.world.rows)): count})
        return self.again()

    def again(self) -> list[Notification]:
        found, self.noted = questions_of(self.world.snapshot(), self.noted)
        return list(found)


@pytest.fixture
def asked() -> Asked:
    return Asked(serving_with_journal())


def test_the_first_question_of_a_version_is_sent_once(asked: Asked) -> None:
    assert asked.notified(0) == []
    (sent,) = asked.notified(1)
    row = next(iter(asked.world.rows.values()))
    assert (sent.type, sent.app, sent.row, sent.version) == ("ai.dynamiq.run.waiting", "chat", row.name, "v1")
    assert (sent.data["questions"], sent.data["oldest"]) == (1, sent.oldest)
    assert "a question of a background run on v1 (#1) waits for a person" in sent.message
    assert "`kubectl dynamiq questions chat -n demo`" in sent.message
    asked.world.later(2 * AGAIN.total_seconds())
    assert asked.again() == []
    assert asked.notified(3, 2 * AGAIN.total_seconds()) == [], "further ones, while the oldest is the same"


def test_a_version_that_had_none_left_is_sent_again_at_once(asked: Asked) -> None:
    (first,) = asked.notified(1)
    asked.world.later(10)
    assert asked.notified(0) == []
    (second,) = asked.notified(2)
    assert first.id != second.id
    assert second.message.startswith("2 questions of background runs on v1 (#1) wait for a person, the oldest since ")


def test_a_later_oldest_question_is_sent_at_most_every_five_minutes(asked: Asked) -> None:
    assert len(asked.notified(2)) == 1
    asked.world.later(10)
    assert asked.notified(1) == []
    asked.world.later(AGAIN.total_seconds())
    assert len(asked.notified(1, 5)) == 1


def test_questions_from_before_the_operator_knew_are_not_sent_again(asked: Asked) -> None:
    assert asked.notified(1, 86400) == []
    asked.world.later(10)
    assert len(asked.notified(1)) == 1
    journal_leaves(asked.world)
    before = dict(asked.noted)
    assert asked.again() == []
    assert asked.noted == before, "a journal that is away answers no question"


def test_an_app_without_pins_that_anybody_knows_is_left_out(asked: Asked) -> None:
    snapshot = asked.world.snapshot()
    unknown = {"ffffffff": OpenCount(waiting=1, questions=1, asked=snapshot.now)}
    found, _ = questions_of(replace(snapshot, open_runs=replace(snapshot.open_runs, counts=unknown)), {})
    assert found == ()
