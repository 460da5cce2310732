"""Runs into the tables, and into the rollups with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from dynamiq_operator.model.runs import RunSource
from dynamiq_recorder.model import Batch, Instance, Run
from dynamiq_recorder.store import rollups
from dynamiq_recorder.store.columns import Lines, add_lines
from dynamiq_recorder.store.database import Cell, Connection, Database, pieces
from dynamiq_recorder.store.loading import Stored, stored
from dynamiq_recorder.store.merging import union
from dynamiq_recorder.store.periods import Periods, Times
from dynamiq_recorder.store.tally import Tally
from dynamiq_recorder.store.texts import clean, storable

_BESIDE_OF_A_MERGE = ("spans", "contents", "extras", "labels", "errors")


class _Given(msgspec.Struct, frozen=True):
    """What a call of `write` brought: each run once, by its id as the column has it, in that order."""

    runs: Mapping[Any, Run]
    instances: Sequence[Instance]


class _Note(msgspec.Struct):
    """Of an instance, in one transaction."""

    app: int
    pod_uid: str | None = None
    last_seq: int = 0
    highest: int = 0
    stored: int = 0
    dropped: int = 0
    ended: bool = False
    seen_at: int = 0

    def line(self, name: str) -> Cell:
        return (name, self.app, self.pod_uid, self.last_seq, self.highest, self.stored, self.dropped, int(self.ended), self.seen_at)


def write(database: Database, batches: Sequence[Batch]) -> int:
    """See Store.write."""
    runs: dict[Any, Run] = {}
    for batch in batches:
        for run in batch.runs:
            identity = database.id_in(run.id)
            before, now = runs.get(identity), storable(_once(run))
            runs[identity] = now if before is None else union(before, now)
    given = _Given(dict(sorted(runs.items())), [instance for batch in batches for instance in batch.instances])
    if not runs and not given.instances:
        return 0
    return database.transact(lambda connection: _write(database, connection, given))


def _once(run: Run) -> Run:
    """The run with each of its spans once: a later one wins."""
    spans = {span.span_id: span for span in run.spans}
    return run if len(spans) == len(run.spans) else msgspec.structs.replace(run, spans=tuple(spans.values()))


def _write(database: Database, connection: Connection, given: _Given) -> int:
    connection.hold_rows(sorted({(run.namespace, run.app) for run in given.runs.values()}), alone=False)
    apps = app_keys(connection, {(run.app_uid, run.namespace, run.app) for run in given.runs.values()}, given.instances)
    rows = periods(connection, {(apps[run.app_uid], run.pins) for run in given.runs.values()})
    there = _there(database, connection, list(given.runs))
    new = {identity: run for identity, run in given.runs.items() if identity not in there} if there else given.runs
    instances = _instances(connection, given.instances, new.values(), apps)
    tally, lines = Tally(), Lines()
    for (identity, run), key in zip(new.items(), connection.run_keys(len(new)), strict=True):
        app = apps[run.app_uid]
        row = row_of(run, app, rows)
        add_lines(lines, run, key, app, row, instances.get(run.instance or ""), identity)
        tally.add(run, app, row)
    if there:
        _merge(database, connection, {key: given.runs[identity] for identity, key in there.items()}, apps, tally, lines)
    for table, columns, made in lines.tables():
        if made:
            connection.insert(table, columns, made)
    rollups.apply(connection, tally)
    return len(new)


def row_of(run: Run, app: int, rows: Mapping[tuple[int, str | None], Periods]) -> int | None:
    """The key of the row that a run is of."""
    return rows[app, run.pins].at(run.started_at) if run.pins is not None and run.source is not RunSource.SDK else None


def app_keys(connection: Connection, named: Iterable[tuple[str, str, str]], instances: Sequence[Instance] = ()) -> dict[str, int]:
    """By the uids of Apps, the keys that they have now; an App that was restored has the key of what it became."""
    wanted = {uid: (namespace, name) for uid, namespace, name in named}
    for instance in instances:
        wanted.setdefault(instance.app_uid, ("", ""))
    found = _known_apps(connection, list(wanted))
    missing = sorted(set(wanted) - set(found))
    for uid in missing:
        connection.do("INSERT INTO apps (uid, namespace, name) VALUES (?, ?, ?) ON CONFLICT (uid) DO NOTHING", (uid, *wanted[uid]))
    if missing:
        found |= _known_apps(connection, missing)
    return found


def _known_apps(connection: Connection, uids: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in pieces(uids):
        condition, values = connection.within("uid", part)
        found.update(connection.all(f"SELECT uid, coalesce(became, key) FROM apps WHERE {condition}", values))  # noqa: S608 - our own names
    return found


def periods(connection: Connection, wanted: Iterable[tuple[int, str | None]]) -> dict[tuple[int, str | None], Periods]:
    """Of each App's key and pins, which row runs are of."""
    asked = {one for one in wanted if one[1] is not None}
    rows: dict[tuple[int, str | None], list[Times]] = {one: [] for one in asked}
    for part in pieces(sorted({app for app, _ in asked})):
        condition, values = connection.within("app_key", part)
        lines = connection.all(f"SELECT app_key, pins, key, sequence, began, succeeded, ended FROM app_rows WHERE {condition}", values)  # noqa: S608 - our own names
        for app, pins, key, sequence, began, succeeded, ended in lines:
            if (app, pins) in rows:
                rows[app, pins].append(Times(key, sequence, began, None if succeeded is None else bool(succeeded), ended))
    return {one: Periods(times) for one, times in rows.items()}


def _there(database: Database, connection: Connection, ids: Sequence[Any]) -> dict[Any, int]:
    """Keys of the runs that are stored already."""
    found: dict[object, int] = {}
    for part in pieces(ids):
        condition, values = connection.within("id", part)
        found.update(connection.all(f"SELECT id, key FROM runs WHERE {condition} ORDER BY id{database.locking}", values))  # noqa: S608 - our own names
    return found


def _instances(connection: Connection, given: Sequence[Instance], new: Iterable[Run], apps: Mapping[str, int]) -> dict[str, int]:
    """Notes what processes said, and what of theirs is stored now. Returns their keys by their ids."""
    notes: dict[str, _Note] = {}
    for run in new:
        if run.instance is not None:
            note = notes.setdefault(run.instance, _Note(apps[run.app_uid]))
            note.stored += 1
            note.highest = max(note.highest, run.seq or 0)
            note.seen_at = max(note.seen_at, run.started_at + run.duration)
    for instance in given:
        note = notes.setdefault(clean(instance.id), _Note(apps[instance.app_uid]))
        note.pod_uid = note.pod_uid or instance.pod_uid
        note.last_seq, note.dropped = max(note.last_seq, instance.last_seq), max(note.dropped, instance.dropped)
        note.ended, note.seen_at = note.ended or instance.ended, max(note.seen_at, instance.at)
    connection.many(_NOTE_INSTANCE, [notes[name].line(name) for name in sorted(notes)])
    keys: dict[str, int] = {}
    for part in pieces(sorted(notes)):
        condition, values = connection.within("instance_id", part)
        keys.update(connection.all(f"SELECT instance_id, key FROM instances WHERE {condition}", values))  # noqa: S608 - our own names
    return keys


def _larger(column: str) -> str:
    return f"{column} = CASE WHEN excluded.{column} > instances.{column} THEN excluded.{column} ELSE instances.{column} END"


_NOTE_INSTANCE = (
    "INSERT INTO instances (instance_id, app_key, pod_uid, last_seq, highest, stored, dropped, ended, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608 - our own names
    "ON CONFLICT (instance_id) DO UPDATE SET stored = instances.stored + excluded.stored, pod_uid = coalesce(instances.pod_uid, excluded.pod_uid), "
    + ", ".join(_larger(column) for column in ("last_seq", "highest", "dropped", "ended", "seen_at"))
)


def _merge(
    database: Database, connection: Connection, again: Mapping[int, Run], apps: Mapping[str, int], tally: Tally, lines: Lines
) -> None:
    """Brings runs that are stored to the union of what was sent. A run that is another App's stays as that App sent it."""
    changed: list[tuple[Stored, Run]] = []
    for have in stored(database, connection, sorted(again), content=True):
        if have.app == apps[again[have.key].app_uid] and (both := union(have.run, again[have.key])) != have.run:
            changed.append((have, both))
    rows = periods(connection, {(have.app, both.pins) for have, both in changed})
    for table in _BESIDE_OF_A_MERGE:
        forget(connection, table, "run_key", [have.key for have, _ in changed])
    forget(connection, "runs", "key", [have.key for have, _ in changed])
    for have, both in changed:
        row = row_of(both, have.app, rows)
        tally.add(have.run, have.app, have.row, -1)
        tally.add(both, have.app, row)
        add_lines(lines, both, have.key, have.app, row, have.instance, database.id_in(both.id))


def forget(connection: Connection, table: str, column: str, keys: Sequence[int]) -> int:
    """Deletes lines whose column is one of these keys."""
    gone = 0
    for part in pieces(keys):
        condition, values = connection.within(column, part)
        gone += connection.do(f"DELETE FROM {table} WHERE {condition}", values)  # noqa: S608 - our own names
    return gone
