"""Writes runs to the tables, and to the rollups with them. It attributes runs by stored rows, and stores no row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from dynamiq_operator.model.runs import RunSource
from dynamiq_recorder.model import Batch, Instance, Run
from dynamiq_recorder.store import rollups, shapes, shares
from dynamiq_recorder.store.columns import Gathered, add_lines
from dynamiq_recorder.store.database import Cell, Connection, Database, Question, pieces
from dynamiq_recorder.store.forgetting import forget
from dynamiq_recorder.store.loading import Stored, stored
from dynamiq_recorder.store.merging import Meeting, bare, meeting, union
from dynamiq_recorder.store.results import Written
from dynamiq_recorder.store.row_periods import Periods, Times
from dynamiq_recorder.store.tally import Tally
from dynamiq_recorder.store.texts import clean, storable
from dynamiq_recorder.store.thinning import NOTES, Thinned, Thinning

Pinned = tuple[int, str | None]
"""An App's key, and pins."""
Sent = tuple[str, Any]
"""An App's uid, and a run's id as the column has it."""
Place = tuple[int, Any]
"""An App's key, and a run's id: the key of a run."""
ANY_APP = 0
"""The App's key of runs that were deleted before the store noted their App."""
_TIMES = "app_key, pins, key, sequence, began, succeeded, ended"
_ROWS_WITH = f"SELECT {_TIMES} FROM app_rows WHERE app_key = ? AND pins = ?"  # noqa: S608 - our own names
_OF = "FROM app_rows WHERE app_key = (SELECT coalesce(became, key) FROM apps WHERE uid = ?) AND pins = ?"
_ROWS_FROM = (
    f"WITH before AS (SELECT {_TIMES} {_OF} AND succeeded + 0 = 1 AND ended <= ? ORDER BY sequence DESC LIMIT 1) "  # noqa: S608 - our own names
    f"SELECT {_TIMES} FROM before UNION ALL SELECT {_TIMES} {_OF} AND succeeded = 1 AND ended > ? "
    f"UNION ALL SELECT {_TIMES} {_OF} AND (succeeded IS NULL OR succeeded = 0 OR ended IS NULL) AND NOT EXISTS (SELECT 1 FROM before)"
)
"""Selects an App's rows with these pins that decide to which row runs belong that begin at a time or later. These are the newest that had
succeeded by then and those that succeeded later; if none had, the others, too.

Each part uses an index (`+ 0` excludes that of `ended`), so that no commit reads a history of thousands of rows.
"""


class _Incoming(msgspec.Struct, frozen=True):
    """The input of a call of `write`: each run once, in the order of App and id."""

    runs: Mapping[Sent, Run]
    instances: Sequence[Instance]


class _Note(msgspec.Struct):
    """The changes of an instance in one transaction."""

    app: int
    pod_uid: str | None = None
    last_seq: int = 0
    highest: int = 0
    stored: int = 0
    dropped: int = 0
    ended: bool = False
    seen_at: int = 0

    def line(self) -> Cell:
        largest = (self.last_seq, self.highest, self.dropped, int(self.ended), self.seen_at)
        return (self.stored, self.pod_uid, *(value for each in largest for value in (each, each)))


def write(database: Database, batches: Sequence[Batch]) -> Written:
    """Implements Store.write."""
    runs: dict[Sent, Run] = {}
    of_batches: list[dict[Sent, int]] = []
    refused: set[tuple[int, Sent]] = set()
    for place, batch in enumerate(batches):
        of_batches.append({})
        for run in batch.runs:
            identity = (run.app_uid, database.id_in(run.id))
            before, now = runs.get(identity), storable(_once(run))
            of_batches[place][identity] = 1 + len(now.spans)
            how = Meeting.INSTEAD if before is None else meeting(before, now)
            if how is Meeting.REFUSED:
                refused.add((place, identity))
                continue
            if before is not None and how is Meeting.INSTEAD:
                refused |= {(other, identity) for other in range(place) if identity in of_batches[other]}
            runs[identity] = union(before, now) if before is not None and how is Meeting.SAME else now
    incoming = _Incoming(dict(sorted(runs.items())), [instance for batch in batches for instance in batch.instances])
    if not runs and not incoming.instances:
        return Written(0, (0,) * len(batches))
    new, not_taken = database.transact(lambda connection: _write(database, connection, incoming))
    refused |= {(place, identity) for identity in not_taken for place, brought in enumerate(of_batches) if identity in brought}
    counts = [0] * len(batches)
    for place, identity in refused:
        counts[place] += of_batches[place][identity]
    return Written(new, tuple(counts))


def _once(run: Run) -> Run:
    """Returns the run with each of its spans once: a later one wins."""
    spans = {span.span_id: span for span in run.spans}
    return run if len(spans) == len(run.spans) else msgspec.structs.replace(run, spans=tuple(spans.values()))


def _write(database: Database, connection: Connection, incoming: _Incoming) -> tuple[int, set[Sent]]:
    """Writes runs. Returns how many were new, and which were refused."""
    known = _known(connection, incoming)
    thinning = Thinning(connection, known.thinned)
    runs: Mapping[Place, Run] = {(known.apps[uid], run_id): run for (uid, run_id), run in incoming.runs.items()}
    matches = _match_stored(database, connection, runs, known, thinning) if known.stored else _Matches()
    new = runs
    if known.stored or known.deleted:
        new = {place: run for place, run in new.items() if place not in known.stored and place not in known.deleted}
        new |= {(have.app, database.id_in(run.id)): run for have, run in matches.instead}
    instances = _instances(connection, incoming.instances, new.values(), known.apps, known.instances)
    tally, lines, counted = Tally(), Gathered(), shapes.Gathered()
    for ((app, run_id), run), key in zip(new.items(), known.keys, strict=False):
        row = row_of(run, app, known.rows)
        kept = bare(run) if known.thinned.reaches(run) and thinning.takes(run, app) else run
        add_lines(lines, kept, key, app, row, instances.get(run.instance or ""), run_id)
        tally.add(run, app, row)
        shapes.gather(counted, run, app, row)
    if matches.again or matches.instead:
        _change(database, connection, matches, tally, lines)
    connection.insert(lines.tables())
    if connection.weighed:
        shares.add(connection, shares.of_lines(lines))
    rollups.apply(connection, tally)
    shapes.apply(connection, counted)
    refused = matches.refused | known.deleted
    return len(new), {sent for sent in incoming.runs if (known.apps[sent[0]], sent[1]) in refused} if refused else set()


class _Known(msgspec.Struct, frozen=True):
    """The stored state before a write.

    It has keys of Apps, rows by time, keys of stored runs and of processes, deleted runs, what is thinned, and keys for new runs.
    """

    apps: Mapping[str, int]
    rows: Mapping[Pinned, Periods]
    stored: Mapping[Place, int]
    instances: Mapping[str, int]
    deleted: set[Place]
    thinned: Thinned
    keys: Sequence[int]


def _known(connection: Connection, incoming: _Incoming) -> _Known:
    """Reads the stored state with one wait: on the way to a database, waits take most of the time."""
    runs = incoming.runs.values()
    names = {(run.app_uid, run.namespace, run.app) for run in runs}
    uids = sorted({uid for uid, _, _ in names} | {instance.app_uid for instance in incoming.instances})
    held = connection.rows_held(sorted({(namespace, name) for _, namespace, name in names}), alone=connection.again) if names else []
    within, values = connection.within("uid", uids)
    begins: dict[tuple[str, str], int] = {}
    for run in runs:
        if run.pins is not None and run.source is not RunSource.SDK:
            pinned = (run.app_uid, run.pins)
            begins[pinned] = min(begins.get(pinned, run.first_at), run.first_at)
    questions: list[Question] = [
        *held,
        (f"SELECT uid, coalesce(became, key) FROM apps WHERE {within}", values),  # noqa: S608 - our own names
        connection.new_keys(len(incoming.runs)),
        NOTES,
    ]
    by_time = [(_ROWS_FROM, (uid, pins, since, uid, pins, since, uid, pins)) for (uid, pins), since in sorted(begins.items())]
    questions += by_time
    processes = sorted({run.instance for run in runs if run.instance is not None} | {clean(instance.id) for instance in incoming.instances})
    parts = list(pieces(processes))
    for part in parts:
        condition, ids = connection.within("instance_id", part)
        questions.append((f"SELECT instance_id, key FROM instances WHERE {condition}", ids))  # noqa: S608 - our own names
    of_apps = f"app_key IN (SELECT coalesce(became, key) FROM apps WHERE {within})"  # noqa: S608 - our own names
    for piece in pieces([run_id for _, run_id in incoming.runs]):
        condition, ids = connection.within("id", piece)
        stored_ones = f"SELECT app_key, id, key FROM runs WHERE {condition} AND {of_apps} ORDER BY id, app_key{connection.locking}"  # noqa: S608
        questions.append((stored_ones, [*ids, *values]))
        questions.append((f"SELECT app_key, id FROM deleted WHERE {condition}", ids))  # noqa: S608 - our own names
    apps, keys, notes, *more = connection.ask(questions)[len(held) :]
    rows, answers = [line for lines in more[: len(by_time)] for line in lines], more[len(by_time) :]
    keys_by_uid: dict[str, int] = {uid: key for uid, key in apps}  # noqa: C416 - typed
    if len(keys_by_uid) < len(uids):
        keys_by_uid = app_keys(connection, names, incoming.instances)
    pairs = {(keys_by_uid[run.app_uid], run.pins) for run in runs}
    places = {(keys_by_uid[uid], run_id) for uid, run_id in incoming.runs}
    deleted = {(app, run_id) for lines in answers[len(parts) + 1 :: 2] for app, run_id in lines}
    return _Known(
        keys_by_uid,
        _periods(pairs, rows),
        {(app, run_id): key for lines in answers[len(parts) :: 2] for app, run_id, key in lines if (app, run_id) in places},
        {name: key for lines in answers[: len(parts)] for name, key in lines},
        {place for place in places if place in deleted or (ANY_APP, place[1]) in deleted} if deleted else set(),
        Thinned.of(dict(notes)),
        connection.keys_of(keys, len(incoming.runs)),
    )


def row_of(run: Run, app: int, rows: Mapping[Pinned, Periods]) -> int | None:
    """Returns the key of the row that a run belongs to; None if it belongs to none. A background run belongs to that of its acceptance."""
    return rows[app, run.pins].at(run.first_at) if run.pins is not None and run.source is not RunSource.SDK else None


def app_keys(connection: Connection, named: Iterable[tuple[str, str, str]], instances: Sequence[Instance] = ()) -> dict[str, int]:
    """Returns the current keys of Apps, by uid, and stores Apps that are missing. A restored App has the key of what it became."""
    names = {uid: (namespace, name) for uid, namespace, name in named}
    for instance in instances:
        names.setdefault(instance.app_uid, ("", ""))
    keys = _known_apps(connection, list(names))
    missing = sorted(set(names) - set(keys))
    for uid in missing:
        connection.do("INSERT INTO apps (uid, namespace, name) VALUES (?, ?, ?) ON CONFLICT (uid) DO NOTHING", (uid, *names[uid]))
    if missing:
        keys |= _known_apps(connection, missing)
    return keys


def _known_apps(connection: Connection, uids: Sequence[str]) -> dict[str, int]:
    keys: dict[str, int] = {}
    for part in pieces(uids):
        condition, values = connection.within("uid", part)
        keys.update(connection.all(f"SELECT uid, coalesce(became, key) FROM apps WHERE {condition}", values))  # noqa: S608 - our own names
    return keys


def periods(connection: Connection, pinned: Iterable[Pinned]) -> dict[Pinned, Periods]:
    """Returns for each App's key and pins which row runs belong to."""
    pairs = set(pinned)
    questions = [(_ROWS_WITH, (app, pins)) for app, pins in pairs if pins is not None]
    return _periods(pairs, [line for lines in (connection.ask(questions) if questions else ()) for line in lines])


def _periods(pairs: Iterable[Pinned], lines: Iterable[Cell]) -> dict[Pinned, Periods]:
    rows: dict[Pinned, list[Times]] = {pair: [] for pair in pairs if pair[1] is not None}
    for app, pins, key, sequence, began, succeeded, ended in lines:
        if (app, pins) in rows:
            rows[app, pins].append(Times(key, sequence, began, None if succeeded is None else bool(succeeded), ended))
    return {pair: Periods(times) for pair, times in rows.items()}


def _instances(
    connection: Connection, reports: Sequence[Instance], new: Iterable[Run], apps: Mapping[str, int], known: Mapping[str, int]
) -> Mapping[str, int]:
    """Notes what processes reported, and how many of their runs are stored now. Returns their keys by their ids."""
    notes: dict[str, _Note] = {}
    for run in new:
        if run.instance is not None:
            note = notes.setdefault(run.instance, _Note(apps[run.app_uid]))
            note.stored += 1
            note.highest = max(note.highest, run.seq or 0)
            note.seen_at = max(note.seen_at, run.started_at + run.duration)
    for instance in reports:
        note = notes.setdefault(clean(instance.id), _Note(apps[instance.app_uid]))
        note.pod_uid = note.pod_uid or instance.pod_uid
        note.last_seq, note.dropped = max(note.last_seq, instance.last_seq), max(note.dropped, instance.dropped)
        note.ended, note.seen_at = note.ended or instance.ended, max(note.seen_at, instance.at)
    missing = sorted(set(notes) - set(known))
    if missing:  # with nothing counted, which comes with the rest
        lines = connection.ask([(_NEW_INSTANCE, (name, notes[name].app)) for name in missing])
        known = {**known, **{name: key for ((name, key),) in lines}}
    connection.tell(_NOTE_INSTANCE, [(*notes[name].line(), known[name]) for name in sorted(notes)])
    return known


_NEW_INSTANCE = (
    "INSERT INTO instances (instance_id, app_key, last_seq, highest, stored, dropped, ended, seen_at) VALUES (?, ?, 0, 0, 0, 0, 0, 0) "
    "ON CONFLICT (instance_id) DO UPDATE SET stored = instances.stored RETURNING instance_id, key"
)
_LARGEST = ("last_seq", "highest", "dropped", "ended", "seen_at")
_NOTE_INSTANCE = (
    "UPDATE instances SET stored = stored + ?, pod_uid = coalesce(pod_uid, ?), "  # noqa: S608 - our own names
    + ", ".join(f"{column} = CASE WHEN {column} < ? THEN ? ELSE {column} END" for column in _LARGEST)
    + " WHERE key = ?"
)


class _Matches(msgspec.Struct):
    """The relations of sent runs to stored ones.

    `again`: stored runs that were sent again, with their new state. `instead`: stored runs that a pod's run replaces. `refused`: runs that
    are refused.
    """

    again: list[tuple[Stored, Run]] = []
    instead: list[tuple[Stored, Run]] = []
    refused: set[Place] = set()


def _match_stored(database: Database, connection: Connection, runs: Mapping[Place, Run], known: _Known, thinning: Thinning) -> _Matches:
    matches = _Matches()
    places = {key: place for place, key in known.stored.items()}
    for have in stored(database, connection, sorted(places), content=True):
        run = runs[places[have.key]]
        how = meeting(have.run, run)
        if how is Meeting.REFUSED:
            matches.refused.add(places[have.key])
        elif how is Meeting.INSTEAD:
            matches.instead.append((have, run))
        elif (both := union(have.run, bare(run) if thinning.took(have.run) else run)) != have.run:
            matches.again.append((have, both))
    return matches


def _change(database: Database, connection: Connection, matches: _Matches, tally: Tally, lines: Gathered) -> None:
    """Updates stored runs to their new state, and deletes those that a pod's run replaces."""
    rows = periods(connection, {(have.app, both.pins) for have, both in matches.again})
    forget(connection, [have.key for have, _ in matches.again], ("spans", "contents", "extras", "labels", "errors", "accepted", "runs"))
    forget(connection, [have.key for have, _ in matches.instead])
    for have, _ in (*matches.again, *matches.instead):
        tally.add(have.run, have.app, have.row, -1)
    for have, both in matches.again:
        row = row_of(both, have.app, rows)
        tally.add(both, have.app, row)
        add_lines(lines, both, have.key, have.app, row, have.instance, database.id_in(both.id))
