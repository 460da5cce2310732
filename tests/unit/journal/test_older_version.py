"""A store of the version before gets the new tables, and that version runs on them again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from dynamiq_recorder.journal import callbacks, operations
from dynamiq_recorder.journal.callback import Settled
from dynamiq_recorder.journal.model import NewCallback, State
from dynamiq_recorder.journal.store import JournalStore, SteadyClock, opened
from dynamiq_recorder.store.schema import migrations
from dynamiq_recorder.store.sqlite import SqliteDatabase
from tests.support.journal import APP
from tests.support.journal_store import HOOK, Clock, Kept, a_question

COLUMNS = (
    *("app_uid", "id", "namespace", "app", "pins", "workflow_hash", "key_name", "idempotency_key", "request_hash", "user_id"),
    *("session_id", "trigger_name", "tags", "headers", "accepted_at", "state", "reason", "due", "fence", "number", "lease_until"),
    *("holder", "attempts", "alone", "canceling", "cancel_by", "busy_ms", "node", "started_at", "ended_at", "error", "last_event"),
    *("size", "parts_size", "recorded"),
)
"""Columns that the first version writes."""


@contextmanager
def the_tables(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        yield raw


def test_a_store_of_the_version_before_is_upgraded_with_its_runs(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "journal.db"
    first = migrations("sqlite", "dynamiq_recorder.journal.migrations")[:1]
    JournalStore(SqliteDatabase(path), first, SteadyClock(clock, clock)).close()
    with the_tables(path) as raw:
        raw.execute("DELETE FROM meta WHERE name = 'schema_additive'")  # the version before does not know it
        _insert(raw, bytes(15) + b"1", clock.now)
    kept = Kept(opened(f"sqlite://{path}", clock, clock), clock)
    (claim,) = kept.claim()
    assert (claim.questions, kept.run(claim.run.id).open_questions) == ((), 0)
    kept.check()
    kept.store.close()


def test_the_version_before_runs_on_the_new_tables(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "journal.db"
    kept = Kept(opened(f"sqlite://{path}", clock, clock), clock)
    asking, _ = kept.paused(a_question()), kept.paused(a_question())
    kept.store.close()
    with the_tables(path) as raw:
        assert raw.execute("SELECT value FROM meta WHERE name = 'schema'").fetchall() == [(1,)], "it refuses a higher one"
        raw.execute("INSERT INTO meta (name, value) VALUES ('schema', 1) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
        (key,) = raw.execute("SELECT max(key) FROM run").fetchone()
        for table, column in (("content", "run"), ("part", "run"), ("event", "run"), ("run", "key")):
            raw.execute(f"DELETE FROM {table} WHERE {column} = ?", (key,))  # noqa: S608 - our own names
        _insert(raw, bytes(15) + b"1", clock.now)
    again = Kept(opened(f"sqlite://{path}", clock, clock), clock)
    (claim,) = again.claim()
    assert claim.questions == (), "the key of the deleted run is another run's now"
    assert again.answer(asking)
    assert again.run(asking).state is State.QUEUED
    again.do(partial(operations.cancel, app_uid=APP.app_uid, run_id=asking, by=None))
    again.check()
    again.store.close()


def test_callbacks_of_runs_that_end_under_the_version_before_are_sent_by_this_one(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "journal.db"
    kept = Kept(opened(f"sqlite://{path}", clock, clock), clock)
    ended, deleted = (kept.accepted(callbacks=(NewCallback(HOOK),)) for _ in range(2))
    keys = kept.run(ended).key, kept.run(deleted).key
    kept.store.close()
    with the_tables(path) as raw:
        raw.execute("UPDATE run SET state = 'canceled', reason = 'canceled', ended_at = ? WHERE key = ?", (clock.now, keys[0]))
        for table, column in (("content", "run"), ("event", "run"), ("run", "key")):
            raw.execute(f"DELETE FROM {table} WHERE {column} = ?", (keys[1],))  # noqa: S608 - our own names
        _insert(raw, bytes(15) + b"1", clock.now)
        raw.executescript(
            "DELETE FROM tally; DELETE FROM key_tally; "
            "INSERT INTO tally SELECT app_uid, pins, state, count(*) FROM run WHERE ended_at IS NULL GROUP BY 1, 2, 3; "
            "INSERT INTO key_tally SELECT app_uid, key_name, count(*) FROM run WHERE ended_at IS NULL GROUP BY 1, 2"
        )
    clock.pass_by(2 * 86_400)
    again = Kept(opened(f"sqlite://{path}", clock, clock), clock)
    assert again.do(partial(operations.delete_ended, app_uid=APP.app_uid, keep=60)) == (0, False), "one waits for its callback"
    again.do(callbacks.renew)
    (claimed,) = again.claim_callbacks()
    assert again.settle(claimed, ended, 200) is Settled.DELIVERED
    (accepted,) = again.claim()
    assert (accepted.run.key, again.callbacks_of(accepted.run.id)) == (keys[1], ()), "the deleted run's key is another run's now"
    again.check()
    again.store.close()


def _insert(raw: sqlite3.Connection, run_id: bytes, now: int) -> None:
    """Accepts a run as the first version does, whose counts are those of the runs that exist."""
    values = [APP.app_uid, run_id, APP.namespace, APP.app, APP.pins, None, "of-ann", None, None, None, None, None, "[]", "{}", now]
    values += ["queued", None, now, 0, 0, None, None, 0, 0, 0, None, 0, None, None, None, None, 1, 576, 0, 1]
    raw.execute(f"INSERT INTO run ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})", values)  # noqa: S608 - our own names
    (key,) = raw.execute("SELECT key FROM run WHERE id = ?", (run_id,)).fetchone()
    raw.execute("INSERT INTO content VALUES (?, 'input', ?)", (key, b"{}"))
    raw.execute("INSERT INTO event VALUES (?, 1, ?, 'run.accepted', ?)", (key, now, b"{}"))
    for table in ("tally", "key_tally", "space"):
        raw.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
    raw.execute("INSERT OR IGNORE INTO app (uid, namespace, name) VALUES (?, ?, ?)", (APP.app_uid, APP.namespace, APP.app))
    raw.execute("INSERT INTO tally SELECT app_uid, pins, state, count(*) FROM run GROUP BY 1, 2, 3")
    raw.execute("INSERT INTO key_tally SELECT app_uid, key_name, count(*) FROM run GROUP BY 1, 2")
    raw.execute("INSERT INTO space SELECT namespace, sum(size) FROM run GROUP BY 1")
