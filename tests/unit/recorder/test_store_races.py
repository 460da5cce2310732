"""Concurrent writes on PostgreSQL: a delete is complete, and a score belongs to an existing run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from dynamiq_recorder.model import Filter, Score
from dynamiq_recorder.store.pools import lock_number
from dynamiq_recorder.store.sql_store import Store
from tests.support import postgres
from tests.support.stored_runs import APP, NOON, a_run, batch
from tests.support.waiting import IN_TIME, eventually

GOOD = Score(name="good", value=1, comment="so so", by="ann", at=NOON)


@pytest.fixture
def address(server: postgres.Server) -> str:
    return server.database()


class Other:
    """Another writer, whose transaction blocks a call until it commits."""

    def __init__(self, address: str) -> None:
        self.raw = psycopg.connect(address)

    def meets(self, call: Callable[[], Any], *statements: str) -> Any:
        """Executes these statements while the call waits, commits, and returns the result of the call."""
        answers: list[Any] = []

        def run() -> None:
            try:
                answers.append(call())
            except Exception as error:
                answers.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        eventually("it waits", lambda: self.raw.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() != (0,))
        for statement in statements:
            self.raw.execute(statement)
        self.raw.commit()
        thread.join(IN_TIME)
        self.raw.close()
        return answers[0]


def test_a_delete_ends_when_nothing_is_left_whatever_others_delete_meanwhile(address: str, store: Store) -> None:
    store.write([batch(*(a_run(number) for number in range(600)))])
    other = Other(address)
    other.raw.execute("SELECT pg_advisory_xact_lock(%s)", (lock_number("rows/team/chat"),))

    gone = other.meets(
        lambda: store.delete(Filter(app_uid=APP)), "DELETE FROM runs WHERE key IN (SELECT key FROM runs ORDER BY key LIMIT 500)"
    )

    assert gone == 100
    assert store.page(Filter(app_uid=APP)).total == 0


def test_a_score_of_a_run_that_is_being_deleted_is_of_no_run(address: str, store: Store) -> None:
    store.write([batch(a_run())])
    other = Other(address)
    other.raw.execute("SELECT key FROM runs FOR UPDATE")

    assert other.meets(lambda: store.add_score(APP, a_run().id, GOOD), "DELETE FROM runs") is False


def test_a_delete_takes_the_score_that_comes_at_the_same_time(address: str, store: Store) -> None:
    store.write([batch(a_run())])
    other = Other(address)
    other.raw.execute("SELECT key FROM runs FOR UPDATE")

    add = "INSERT INTO scores (run_key, name, by_whom, value, at) SELECT key, 'good', 'ann', 1, 1 FROM runs"
    assert other.meets(lambda: store.delete_run(APP, a_run().id), add) is True

    with psycopg.connect(address) as raw:
        assert raw.execute("SELECT count(*) FROM scores").fetchone() == (0,)
