"""Loads and writes runs in one transaction, and keeps the counts in step. It decides nothing about them."""

from __future__ import annotations

import contextlib
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dynamiq_operator.serving.limits import RUNS_MAX
from dynamiq_recorder.journal.callback import GIVES_UP, CallbackState
from dynamiq_recorder.journal.model import LEASE, MICROSECONDS, Asks, Place, State
from dynamiq_recorder.journal.pending import Pending
from dynamiq_recorder.journal.question import Question
from dynamiq_recorder.journal.run import OPEN, RECORD, Run
from dynamiq_recorder.store.database import Cell, Connection, Database, Lines, pieces

FIXED = (
    *("app_uid", "id", "namespace", "app", "key_name", "idempotency_key", "request_hash", "user_id"),
    *("session_id", "trigger_name", "tags", "headers", "accepted_at"),
)
CHANGING = (
    *("pins", "workflow_hash"),  # a restart changes them
    *("state", "reason", "due", "fence", "number", "lease_until", "holder", "attempts", "alone", "canceling", "cancel_by", "busy_ms"),
    *("node", "started_at", "ended_at", "error", "last_event", "size", "parts_size", "recorded"),
    *("paused_at", "resume_at", "waits_since", "hold_reason", "open_questions", "new_answers"),
)
ASKED = ("id", "node", "kind", "name", "size", "asked_at", "answer_by", "answered_at", "used", "given")
"""Columns of a question beside its content and its answer."""

COLUMNS = ", ".join(("key", *FIXED, *CHANGING))
_FLAGS = ("alone", "canceling", "recorded")
_SET = ", ".join(f"{name} = ?" for name in CHANGING)
_PLACES = ", ".join("?" * (len(FIXED) + len(CHANGING)))
_UPDATE = f"UPDATE run SET {_SET} WHERE key = ?"  # noqa: S608 - our own names
_INSERT = f"INSERT INTO run ({', '.join((*FIXED, *CHANGING))}) VALUES ({_PLACES}) RETURNING key"  # noqa: S608 - our own names
COMPRESSED = b"x"
"""The first byte of compressed data."""
NOT_SENT = "its record is not readable, or larger than the recorder takes"
LARGE = 1024
"""Bytes from which on content is compressed."""

NOTE = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"

Key = tuple[str, ...]
"""A kind of news and whose they are: work of an App and pins, events of a run, an App's placement or callbacks, or counts."""


def work_key(app_uid: str, pins: str) -> Key:
    return ("work", app_uid, pins)


def run_key(app_uid: str, run_id: str) -> Key:
    return ("run", app_uid, run_id)


def placement_key(app_uid: str) -> Key:
    return ("placement", app_uid)


def callbacks_key(app_uid: str) -> Key:
    return ("callbacks", app_uid)


def unheard_key(app_uid: str) -> Key:
    """Returns the key of callbacks that are due, and of which the answer to no save tells a pod."""
    return ("unheard", app_uid)


OPEN_KEY: Key = ("open",)


def run_of(database: Database, line: Cell) -> Run:
    """Returns the run of a line of COLUMNS."""
    fields: dict[str, Any] = dict(zip(("key", *FIXED, *CHANGING), line, strict=True))
    fields["id"], fields["state"] = database.id_out(fields["id"]), State(fields["state"])
    fields |= {name: bool(fields[name]) for name in _FLAGS}
    return Run(**fields, was=fields["state"], was_pins=fields["pins"], had=fields["size"])


def question_of(line: Cell) -> Question:
    """Returns the question of a line of ASKED, content and answer."""
    *known, content, answer = line
    fields: dict[str, Any] = dict(zip(ASKED, known, strict=True))
    fields |= {"kind": Asks(fields["kind"]), "used": bool(fields["used"])}
    return Question(**fields, content=unpacked(content or b""), answer=unpacked(answer) if answer is not None else None)


def packed(data: bytes) -> bytes:
    """Compresses content if it is large. No JSON begins as compressed data does."""
    return zlib.compress(data, 1) if len(data) >= LARGE else data


def unpacked(data: bytes) -> bytes:
    return zlib.decompress(data) if data[:1] == COMPRESSED else bytes(data)


def unpacked_within(data: bytes, most: int) -> bytes | None:
    """Returns content of at most `most` bytes; None if it has more, of which it decompresses no more."""
    if data[:1] != COMPRESSED:
        return bytes(data) if len(data) <= most else None
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(data, most + 1)
    return text if unpacker.eof and len(text) <= most else None


def is_sendable(record: bytes) -> bool:
    """Returns False for a record that is no compressed text, or more than the recorder takes."""
    try:
        return record[:1] == COMPRESSED and unpacked_within(record, RUNS_MAX) is not None
    except zlib.error:
        return False


def _asked(of: Question) -> list[object]:
    values = [getattr(of, name) for name in ASKED]
    return [int(value) if isinstance(value, bool) else value for value in values]


def _packed_or_none(data: bytes | None) -> bytes | None:
    return packed(data) if data is not None else None


class Work:
    """One transaction. `now`: its time. `of_leases`: the time by which leases are measured.

    `news`: who is to be notified once it is committed. `called`: how many callbacks became due, by the key of their run.
    """

    def __init__(self, database: Database, connection: Connection, now: int, of_leases: int) -> None:
        self.database, self.connection, self.now, self.of_leases = database, connection, now, of_leases
        self.news: set[Key] = set()
        self._counts: dict[tuple[str, tuple[str, ...], str], Counter[tuple[str, ...]]] = {}
        self.called = Counter[int]()

    @property
    def lease(self) -> int:
        """The end of a lease that begins now."""
        return self.of_leases + LEASE * MICROSECONDS

    def load(self, condition: str, parameters: Sequence[object] = (), *, skips: bool = False) -> list[Run]:
        """Returns runs that are about to be changed. `condition`: SQL after WHERE. `skips`: without those that another replica is changing."""
        locks = self.connection.skipping if skips else self.connection.locking
        sql = f"SELECT {COLUMNS} FROM run WHERE {condition}{locks}"  # noqa: S608 - our own names
        return [run_of(self.database, line) for line in self.connection.all(sql, parameters)]

    def by_ids(self, app_uid: str, run_ids: Iterable[str]) -> dict[str, Run]:
        """Returns the runs of an App that exist, by id."""
        identities = self._identities(run_ids)
        runs: dict[str, Run] = {}
        for part in pieces(identities):
            condition, values = self.connection.within("id", part)
            # In one order, so that two transactions with the same runs do not wait for each other.
            runs |= {run.id: run for run in self.load(f"app_uid = ? AND {condition} ORDER BY key", [app_uid, *values])}
        return runs

    def _identities(self, run_ids: Iterable[str]) -> list[object]:
        identities = []
        for each in run_ids:
            with contextlib.suppress(ValueError):
                identities.append(self.database.id_in(each))
        return identities

    def keys(self, app_uid: str, run_ids: Iterable[str]) -> dict[str, int]:
        """Returns the keys of the runs of an App that exist, by id. Others may change these runs meanwhile."""
        keys: dict[str, int] = {}
        for part in pieces(self._identities(run_ids)):
            condition, values = self.connection.within("id", part)
            lines = self.connection.all(f"SELECT id, key FROM run WHERE app_uid = ? AND {condition}", [app_uid, *values])  # noqa: S608
            keys |= {self.database.id_out(identity): key for identity, key in lines}
        return keys

    def sizes(self, runs: Sequence[Run]) -> dict[int, dict[str, int]]:
        """Returns the sizes of the parts of runs, by key and node."""
        sizes: dict[int, dict[str, int]] = {run.key: {} for run in runs}
        for part in pieces(list(sizes)):
            condition, values = self.connection.within("run", part)
            for key, node, size in self.connection.all(f"SELECT run, node, size FROM part WHERE {condition}", values):  # noqa: S608
                sizes[key][node] = size
        return sizes

    def questions(self, runs: Sequence[Run], *, unused: bool = False) -> dict[int, dict[str, Question]]:
        """Returns questions of runs in the order in which they were asked, by key and id. Answers are those that no node has used.

        `unused`: only questions that are open or have such an answer, and with their contents.
        """
        content, which = ("content", " AND used = 0") if unused else ("NULL", "")
        found: dict[int, dict[str, Question]] = {run.key: {} for run in runs}
        for part in pieces(list(found)):
            condition, values = self.connection.within("run", part)
            sql = (
                f"SELECT run, {', '.join(ASKED)}, {content}, CASE WHEN used = 0 THEN answer END FROM question "  # noqa: S608 - our own names
                f"WHERE {condition}{which} ORDER BY asked_at, id"
            )
            for key, *line in self.connection.all(sql, values):
                question = question_of(tuple(line))
                found[key][question.id] = question
        return found

    def add_app(self, place: Place) -> None:
        """Adds the App of a pod if it is new: upkeep finds out when it is deleted."""
        line = (place.app_uid, place.namespace, place.app)
        self.connection.tell("INSERT INTO app (uid, namespace, name) VALUES (?, ?, ?) ON CONFLICT (uid) DO NOTHING", [line])

    def write(self, runs: Sequence[Run]) -> None:
        """Writes changed and new runs, all that they have pending, and the counts."""
        for run in runs:
            values = [getattr(run, name) for name in CHANGING]
            values = [int(value) if isinstance(value, bool) else value for value in values]
            if run.key:
                self.connection.tell(_UPDATE, [[*values, run.key]])
            else:
                fixed = [self.database.id_in(run.id) if name == "id" else getattr(run, name) for name in FIXED]
                run.key = int(self.connection.all(_INSERT, [*fixed, *values])[0][0])
        self._write_pending(runs)
        self._count(runs)
        for run in runs:
            run.was, run.was_pins, run.had, run.pending = run.state, run.pins, run.size, Pending()

    def _write_pending(self, runs: Sequence[Run]) -> None:
        tell, pending = self.connection.tell, [(run.key, run.pending) for run in runs]
        cleared = [(key,) for key, each in pending if each.clears_parts]
        dropped = [(key, node) for key, each in pending if not each.clears_parts for node in each.drops]
        if cleared:
            tell("DELETE FROM part WHERE run = ?", cleared)
        if dropped:
            tell("DELETE FROM part WHERE run = ? AND node = ?", dropped)
        parts = [(key, node, len(state), state) for key, each in pending for node, state in each.puts.items()]
        # A record is compressed already, and is sent on as it is.
        contents = [(key, name, data if name == RECORD else packed(data)) for key, each in pending for name, data in each.contents.items()]
        events = [(key, event.sequence, event.at, event.type, event.data) for key, each in pending for event in each.events]
        events = [(*line[:4], packed(line[4]) if line[4] is not None else None) for line in events]
        if parts or contents:
            part, content = Lines("part", ("run", "node", "size", "state"), parts), Lines("content", ("run", "name", "data"), contents)
            self.connection.put([(each, each.columns[:2]) for each in (part, content) if each.lines])
        if events:
            self.connection.insert([Lines("event", ("run", "sequence", "at", "type", "data"), events)])
        if asking := [run for run in runs if run.pending.questions or run.pending.clears_questions]:
            self._write_questions(asking)
        self._write_callbacks(runs)

    def _write_callbacks(self, runs: Sequence[Run]) -> None:
        columns = ("run", "n", "app_uid", "url", "token", "metadata", "state", "tries")
        new = [
            (run.key, n, run.app_uid, each.url, each.token, each.metadata, CallbackState.PENDING.value, 0)
            for run in runs
            for n, each in enumerate(run.pending.callbacks)
        ]
        if new:
            self.connection.insert([Lines("callback", columns, new)])
        ended = {run.key: run for run in runs if run.pending.calls_back}
        for part in pieces(sorted(ended)):
            condition, values = self.connection.within("run", part)
            sql = f"UPDATE callback SET due = ?, gives_up_at = ? WHERE {condition} AND state = ? RETURNING run"  # noqa: S608 - our own names
            for (key,) in self.connection.all(sql, [self.now, self.now + GIVES_UP, *values, CallbackState.PENDING.value]):
                self.called[key] += 1
                self.news.add(callbacks_key(ended[key].app_uid))
                if ended[key].pending.unheard:
                    self.news.add(unheard_key(ended[key].app_uid))

    def _write_questions(self, runs: Sequence[Run]) -> None:
        self.news.add(OPEN_KEY)  # open questions are counted, too
        tell, changed = self.connection.tell, [(run, name, each) for run in runs for name, each in run.pending.questions.items()]
        tell("DELETE FROM question WHERE run = ?", [(run.key,) for run in runs if run.pending.clears_questions])
        tell("DELETE FROM question WHERE run = ? AND id = ?", [(run.key, name) for run, name, each in changed if each is None])
        new = [(run, each) for run, _, each in changed if each is not None and each.is_new]
        columns = ("run", *ASKED, "app_uid", "content")
        lines = [(run.key, *_asked(each), run.app_uid, packed(each.content)) for run, each in new]
        self.connection.put([(Lines("question", columns, lines), ("run", "id"))])
        known = [(run.key, each) for run, _, each in changed if each is not None and not each.is_new]
        tell(
            "UPDATE question SET size = ?, answer_by = ?, answered_at = ?, used = ?, given = ?, answer = ? WHERE run = ? AND id = ?",
            [
                (each.size, each.answer_by, each.answered_at, int(each.used), each.given, _packed_or_none(each.answer), key, each.id)
                for key, each in known
            ],
        )

    def _count(self, runs: Sequence[Run]) -> None:
        tally, keys, space = Counter[tuple[str, ...]](), Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        for run in runs:
            if run.pending.events:
                self.news.add(run_key(run.app_uid, run.id))
            if run.state is State.QUEUED and run.was is not State.QUEUED:
                self.news.add(work_key(run.app_uid, run.pins))
            space[run.namespace,] += run.size - run.had
            if run.state is not run.was:
                self.news.add(OPEN_KEY)
                for pins, state, sign in ((run.was_pins, run.was, -1), (run.pins, run.state, 1)):
                    if state in OPEN:
                        tally[run.app_uid, pins, state] += sign
                        keys[run.app_uid, run.key_name] += sign
        self.add_to("tally", ("app_uid", "pins", "state"), "runs", tally)
        self.add_to("key_tally", ("app_uid", "key_name"), "runs", keys)
        self.add_to("space", ("namespace",), "size", space)

    def add_to(self, table: str, key: Sequence[str], column: str, changes: Mapping[tuple[str, ...], int]) -> None:
        """Adds to counts, at the end of the transaction: others wait for the end of one that has changed a count."""
        self._counts.setdefault((table, tuple(key), column), Counter()).update(changes)

    def added(self, table: str, *of: str) -> int:
        """Returns what this transaction has added to the counts of a table whose keys begin so."""
        counts = [counter.items() for (name, _, _), counter in self._counts.items() if name == table]
        return sum(change for items in counts for key, change in items if key[: len(of)] == of)

    def finish(self) -> None:
        """Writes the counts, in one order of tables and keys, so that two transactions never wait for each other."""
        for (table, key, column), changes in sorted(self._counts.items()):
            names, places = ", ".join(key), ", ".join("?" * (len(key) + 1))
            more = (
                f"INSERT INTO {table} ({names}, {column}) VALUES ({places}) "  # noqa: S608 - our own names
                f"ON CONFLICT ({names}) DO UPDATE SET {column} = {table}.{column} + excluded.{column}"
            )
            # A line that this transaction deleted stays away.
            less = f"UPDATE {table} SET {column} = {column} + ? WHERE {' AND '.join(f'{name} = ?' for name in key)}"  # noqa: S608
            for each, change in sorted(changes.items()):
                if change > 0:
                    self.connection.tell(more, [(*each, change)])
                elif change < 0:
                    self.connection.tell(less, [(change, *each)])
        self._counts.clear()
