"""Reads runs, events and counts. It changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from dynamiq_recorder.journal import callbacks
from dynamiq_recorder.journal.callback import Callback
from dynamiq_recorder.journal.model import MICROSECONDS, Conversations, Open, Selection, State
from dynamiq_recorder.journal.pending import Event
from dynamiq_recorder.journal.placement import Placement
from dynamiq_recorder.journal.question import Question
from dynamiq_recorder.journal.run import INPUT, OUTPUT, RECORD, Run
from dynamiq_recorder.journal.sessions import placement_of
from dynamiq_recorder.journal.tables import ASKED, COLUMNS, question_of, run_of, unpacked, unpacked_within
from dynamiq_recorder.store.database import Cell, Connection, Database, pieces
from dynamiq_recorder.store.results import COUNTED

PAGE_BYTES = 8 * 1024 * 1024
"""Bytes of inputs and outputs from which on a page has no further ones."""
EVENTS_BYTES = 4 * 1024 * 1024
"""Bytes of events from which on an answer has no further ones."""

RECENT_MOST, WARM = 10_000, 300
"""Most conversations of some pins that are counted as recent, and seconds for which they are if the App is not known."""
QUESTIONS_SHOWN = 100
"""Most open questions that are shown with a run."""


class Shown(msgspec.Struct, frozen=True):
    """A run with its input and output, if they were requested. `is_omitted`: they are left out, since its page has too many bytes.

    `questions`, `callbacks`: its oldest open ones, and all of these, if it is read by itself.
    """

    run: Run
    input: bytes | None = None
    output: bytes | None = None
    is_omitted: bool = False
    questions: tuple[Question, ...] = ()
    callbacks: tuple[Callback, ...] = ()


class Asked(msgspec.Struct, frozen=True):
    """An open question, and the run that asks it."""

    run: Run
    question: Question


class Events(msgspec.Struct, frozen=True):
    """Committed events of a run in order, and the run. `output`: of the run, if its end is among them."""

    run: Run
    events: tuple[Event, ...]
    output: bytes | None = None


class KeptSessions(msgspec.Struct, frozen=True):
    """An App with conversations. `oldest`: the last turn of the one that is silent for longest. `moved`: lines of some that moved are left."""

    app_uid: str
    oldest: int
    moved: bool


class Record(msgspec.Struct, frozen=True):
    """A record of a run that waits for the recorder."""

    key: int
    id: str
    data: bytes


def run(database: Database, connection: Connection, app_uid: str, run_id: str, *, content: bool) -> Shown | None:
    """Returns a run; None if it is missing."""
    found = _run(database, connection, app_uid, run_id)
    if found is None:
        return None
    questions, called = _open_questions(connection, found), callbacks.of_run(connection, found.key)
    if not content:
        return Shown(found, questions=questions, callbacks=called)
    contents = {name: unpacked(data) for name, data in _contents(connection, found.key)}
    return Shown(found, contents.get(INPUT), contents.get(OUTPUT), questions=questions, callbacks=called)


def _open_questions(connection: Connection, of: Run) -> tuple[Question, ...]:
    if not of.is_open or not of.open_questions:
        return ()
    sql = (
        f"SELECT {', '.join(ASKED)}, content, NULL FROM question WHERE run = ? AND answered_at IS NULL "  # noqa: S608 - our own names
        "ORDER BY asked_at, id LIMIT ?"
    )
    return tuple(question_of(line) for line in connection.all(sql, (of.key, QUESTIONS_SHOWN)))


def _run(database: Database, connection: Connection, app_uid: str, run_id: str) -> Run | None:
    try:
        identity = database.id_in(run_id)
    except ValueError:
        return None
    lines = connection.all(f"SELECT {COLUMNS} FROM run WHERE app_uid = ? AND id = ?", (app_uid, identity))  # noqa: S608 - our own names
    return run_of(database, lines[0]) if lines else None


def _contents(connection: Connection, key: int) -> list[Cell]:
    """Returns the names and the stored data of a run's input and output."""
    return connection.all("SELECT name, data FROM content WHERE run = ? AND name IN (?, ?)", (key, INPUT, OUTPUT))


def _with_contents(connection: Connection, runs: Sequence[Run]) -> list[Shown]:
    """Returns runs with their contents, in order, until these have PAGE_BYTES. It neither reads nor decompresses more."""
    stored = _stored_sizes(connection, [each.key for each in runs])
    shown: list[Shown] = []
    left = PAGE_BYTES
    for each in runs:
        contents = _unpacked_contents(connection, each.key, left) if stored.get(each.key, 0) <= left else None
        if contents is None:
            break
        shown.append(Shown(each, contents.get(INPUT), contents.get(OUTPUT)))
        left -= sum(map(len, contents.values()))
    return [*shown, *(Shown(each, is_omitted=True) for each in runs[len(shown) :])]


def _stored_sizes(connection: Connection, keys: Sequence[int]) -> dict[int, int]:
    """Returns the bytes of the inputs and outputs of runs as they are stored."""
    sizes: dict[int, int] = {}
    for part in pieces(keys):
        condition, values = connection.within("run", part)
        sql = f"SELECT run, sum(length(data)) FROM content WHERE {condition} AND name <> ? GROUP BY run"  # noqa: S608 - our own names
        sizes |= {key: int(size) for key, size in connection.all(sql, [*values, RECORD])}
    return sizes


def _unpacked_contents(connection: Connection, key: int, most: int) -> dict[str, bytes] | None:
    """Returns the input and output of a run; None if they have more than `most` bytes."""
    contents: dict[str, bytes] = {}
    for name, data in _contents(connection, key):
        text = unpacked_within(data, most)
        if text is None:
            return None
        contents[name], most = text, most - len(text)
    return contents


def page(database: Database, connection: Connection, selection: Selection, *, content: bool) -> tuple[list[Shown], int]:
    """Returns a page of runs by the time of their acceptance, and how many there are, up to COUNTED."""
    conditions, parameters = ["app_uid = ?"], [selection.app_uid]
    if selection.states:
        condition, states = connection.within("state", [each.value for each in selection.states])
        conditions.append(condition)
        parameters += [str(each) for each in states]
    for column, value in (("user_id", selection.user_id), ("session_id", selection.session_id)):
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    where, way = " AND ".join(conditions), "DESC" if selection.descending else "ASC"
    runs, counted = connection.ask(
        [
            (
                f"SELECT {COLUMNS} FROM run WHERE {where} ORDER BY accepted_at {way}, key {way} LIMIT ? OFFSET ?",  # noqa: S608 - our own names
                [*parameters, selection.limit, selection.offset],
            ),
            (f"SELECT count(*) FROM (SELECT 1 FROM run WHERE {where} LIMIT {COUNTED}) AS counted", parameters),  # noqa: S608
        ]
    )
    found = [run_of(database, line) for line in runs]
    return _with_contents(connection, found) if content else [Shown(each) for each in found], int(counted[0][0])


def events(database: Database, connection: Connection, app_uid: str, run_id: str, after: int, limit: int) -> Events | None:
    """Returns events of a run after a sequence; None if the run is missing."""
    found = _run(database, connection, app_uid, run_id)
    if found is None:
        return None
    chosen: list[Event] = []
    left = EVENTS_BYTES
    for sequence, at, kind, data in _stored_events(connection, found.key, after, limit) if found.last_event > after else ():
        text = None
        if data is not None and (text := unpacked_within(data, left)) is None:
            if chosen:
                break
            text = unpacked(data)
        chosen.append(Event(sequence, at, kind, text))
        left -= len(text or b"")
        if left < 0:
            break
    is_end = bool(chosen) and chosen[-1].data is None
    return Events(found, tuple(chosen), _output(connection, found.key) if is_end else None)


def _stored_events(connection: Connection, key: int, after: int, limit: int) -> list[Cell]:
    """Returns events of a run as they are stored, at most EVENTS_BYTES of them, but at least one."""
    sql = "SELECT sequence, length(data) FROM event WHERE run = ? AND sequence > ? ORDER BY sequence LIMIT ?"
    last = size = 0
    for sequence, length in connection.all(sql, (key, after, limit)):
        size += length or 0
        if last and size > EVENTS_BYTES:
            break
        last = sequence
    sql = "SELECT sequence, at, type, data FROM event WHERE run = ? AND sequence > ? AND sequence <= ? ORDER BY sequence"
    return connection.all(sql, (key, after, last))


def _output(connection: Connection, key: int) -> bytes | None:
    lines = connection.all("SELECT data FROM content WHERE run = ? AND name = ?", (key, OUTPUT))
    return unpacked(lines[0][0]) if lines else None


def questions(database: Database, connection: Connection, app_uid: str, limit: int, offset: int) -> tuple[list[Asked], int]:
    """Returns a page of the open questions of an App, oldest first, and how many there are, up to COUNTED."""
    table = "FROM question q JOIN run r ON r.key = q.run WHERE q.app_uid = ? AND q.answered_at IS NULL AND r.ended_at IS NULL"
    asked, of_run = ", ".join(f"q.{name}" for name in ASKED), ", ".join(f"r.{name}" for name in COLUMNS.split(", "))
    lines, counted = connection.ask(
        [
            (
                f"SELECT {asked}, q.content, NULL, {of_run} {table} ORDER BY q.asked_at, q.run, q.id LIMIT ? OFFSET ?",
                (app_uid, limit, offset),
            ),
            (f"SELECT count(*) FROM (SELECT 1 {table} LIMIT {COUNTED}) AS counted", (app_uid,)),  # noqa: S608 - our own names
        ]
    )
    width = len(ASKED) + 2
    return [Asked(run_of(database, line[width:]), question_of(line[:width])) for line in lines], int(counted[0][0])


def epoch(connection: Connection) -> int:
    return next((int(value) for (value,) in connection.all("SELECT value FROM meta WHERE name = 'epoch'")), 0)


def has_runs(connection: Connection, app_uid: str) -> bool:
    return bool(connection.all("SELECT 1 FROM run WHERE app_uid = ? LIMIT 1", (app_uid,)))


def open_runs(connection: Connection) -> tuple[Open, ...]:
    """Returns the counts of open runs, in order of their place."""
    counts = connection.all(
        "SELECT a.namespace, a.name, t.app_uid, t.pins, t.state, t.runs FROM tally t JOIN app a ON a.uid = t.app_uid WHERE t.runs > 0 "
        "ORDER BY a.namespace, a.name, t.app_uid, t.pins, t.state"
    )
    of = "FROM run WHERE app_uid = ? AND pins = ? AND state = ? AND ended_at IS NULL"
    places = [(uid, pins, state) for _, _, uid, pins, state, _ in counts]
    begun = connection.ask([(f"SELECT min(accepted_at) {of}", place) for place in places])
    asked = f"SELECT coalesce(sum(open_questions), 0), min(waits_since) {of} AND waits_since IS NOT NULL"
    asking = connection.ask([(asked, place) for place in places])
    return tuple(
        Open(namespace, app, uid, pins, State(state), int(runs), int(lines[0][0] or 0), int(open_[0][0]), open_[0][1])
        for (namespace, app, uid, pins, state, runs), lines, open_ in zip(counts, begun, asking, strict=True)
    )


def apps(connection: Connection) -> tuple[tuple[str, str, str, bool], ...]:
    """Returns the uid, namespace and name of each App that has had runs, and True if it is known to be deleted."""
    lines = connection.all("SELECT uid, namespace, name, missing_since FROM app")
    return tuple((uid, namespace, name, missing is not None) for uid, namespace, name, missing in lines)


def unrecorded(connection: Connection) -> tuple[tuple[str, str, int], ...]:
    """Returns the App's uid and the pins of runs that wait for the recorder, and how many they are; the oldest first."""
    sql = "SELECT app_uid, pins, count(*) FROM run WHERE recorded = 0 GROUP BY app_uid, pins ORDER BY min(ended_at)"
    return tuple((uid, pins, int(count)) for uid, pins, count in connection.all(sql))


def records(database: Database, connection: Connection, app_uid: str, pins: str, most: int, size: int) -> list[Record]:
    """Returns the oldest records of an App's pins, at most `most`, and at most `size` bytes, but at least one."""
    sql = (
        "SELECT r.key, r.id, length(c.data) FROM run r JOIN content c ON c.run = r.key AND c.name = ? "
        "WHERE r.app_uid = ? AND r.pins = ? AND r.recorded = 0 ORDER BY r.ended_at LIMIT ?"
    )
    chosen: list[Record] = []
    taken = 0
    for key, run_id, length in connection.all(sql, (RECORD, app_uid, pins, most)):
        taken += length
        if chosen and taken > size:
            break
        (line,) = connection.all("SELECT data FROM content WHERE run = ? AND name = ?", (key, RECORD))
        chosen.append(Record(key, database.id_out(run_id), bytes(line[0])))
    return chosen


def conversations(connection: Connection, warm: Mapping[str, int], now: int, app_uid: str | None = None) -> tuple[Conversations, ...]:
    """Returns the counts of conversations and waiting turns by pins, in order of their place. `warm`: warmSeconds by App. `app_uid`: None for all.

    Pins whose conversations have all moved are among those of one App.
    """
    of_app, whose = ("", []) if app_uid is None else (" AND t.app_uid = ?", [app_uid])
    some = "t.sessions > 0" if app_uid is None else "(t.sessions > 0 OR t.moved > 0)"
    place, its_app = "a.namespace, a.name, t.app_uid, t.pins", "JOIN app a ON a.uid = t.app_uid"
    tallied, turns = connection.ask(
        [
            (f"SELECT {place}, t.sessions, t.moved FROM session_tally t {its_app} WHERE {some}{of_app}", whose),  # noqa: S608 - our own names
            (f"SELECT {place} FROM turn t {its_app} WHERE t.waits_until > ?{of_app}", [now, *whose]),  # noqa: S608
        ]
    )
    of_pins = "FROM session WHERE app_uid = ? AND pins = ?"
    seen = f"SELECT count(*) FROM (SELECT 1 {of_pins} AND last_seen > ? LIMIT {RECENT_MOST}) AS counted"  # noqa: S608
    recent = connection.ask([(seen, (uid, pins, now - warm.get(uid, WARM) * MICROSECONDS)) for _, _, uid, pins, *_ in tallied])
    last = connection.ask([(f"SELECT max(last_seen) {of_pins}", (uid, pins)) for _, _, uid, pins, *_ in tallied])
    waits = {tuple(line) for line in turns}
    counted = {
        (namespace, app, uid, pins): Conversations(
            namespace, app, uid, pins, int(sessions), int(lately[0][0]), turn[0][0], (namespace, app, uid, pins) in waits, int(moved)
        )
        for (namespace, app, uid, pins, sessions, moved), lately, turn in zip(tallied, recent, last, strict=True)
    }
    for namespace, app, uid, pins in waits - counted.keys():
        counted[namespace, app, uid, pins] = Conversations(namespace, app, uid, pins, turns_wait=True)
    return tuple(counted[place] for place in sorted(counted))


def placements(connection: Connection) -> dict[str, str]:
    """Returns the digests of placements by App."""
    return dict(connection.all("SELECT app_uid, digest FROM placement"))


def turn(connection: Connection, app_uid: str, pins: str) -> int:
    """Returns until when a turn waits for a pod of some pins; 0 if none does."""
    lines = connection.all("SELECT waits_until FROM turn WHERE app_uid = ? AND pins = ?", (app_uid, pins))
    return int(lines[0][0]) if lines else 0


def kept_sessions(connection: Connection) -> tuple[KeptSessions, ...]:
    """Returns the Apps that have conversations."""
    places = connection.all("SELECT app_uid, pins FROM session_tally WHERE sessions > 0")
    lines = connection.ask([("SELECT min(last_seen) FROM session WHERE app_uid = ? AND pins = ?", place) for place in places])
    placements = {uid: placement_of(connection, uid) for uid in {uid for uid, _ in places}}
    oldest, moved = dict[str, int](), set[str]()
    for (uid, pins), ((at,),) in zip(places, lines, strict=True):
        if at is None:
            continue
        oldest[uid] = min(oldest.get(uid, at), at)
        if uid not in moved and _has_moved(connection, uid, pins, placements[uid]):
            moved.add(uid)
    return tuple(KeptSessions(uid, at, uid in moved) for uid, at in oldest.items())


def _has_moved(connection: Connection, app_uid: str, pins: str, placement: Placement) -> bool:
    if pins in placement.closed:
        return True
    taken = placement.taken
    if taken is None or pins == taken.pins:
        return False
    sql = "SELECT 1 FROM session WHERE app_uid = ? AND pins = ? AND began_at < ? LIMIT 1"
    return bool(connection.all(sql, (app_uid, pins, taken.before)))


def has_past_turns(connection: Connection, now: int) -> bool:
    return bool(connection.all("SELECT 1 FROM turn WHERE waits_until < ? LIMIT 1", (now,)))
