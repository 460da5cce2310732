"""Stores runs in a database of tables, the same for every database. Its calls block and are safe from several threads.

Each is one transaction, but for those that work in pieces, as they say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from dynamiq_operator.model.runs import MetricsGroup, MetricsInterval
from dynamiq_recorder.model import MICROSECONDS, ArchivedRow, Batch, Filter, Point, Row, RowFigures, Run, Score, Session, Wholeness
from dynamiq_recorder.store import archive, deleting, paging, reading, reattribution, rebuilding, retention, schema, shapes, shares, writing
from dynamiq_recorder.store.database import NOTE, Connection, Database, Lines
from dynamiq_recorder.store.filters import APP_OF
from dynamiq_recorder.store.loading import stored
from dynamiq_recorder.store.results import NEWEST_FIRST, Archived, ArchivedKeys, ArchivedPage, CountedShapes, Page, Retention, Sort, Written
from dynamiq_recorder.store.texts import clean


def _now() -> int:
    return int(time.time() * MICROSECONDS)


class Store:
    """A store of runs. Every call may raise Unavailable."""

    def __init__(self, database: Database, migrations: list[schema.Migration], clock: Callable[[], int] = _now) -> None:
        """Migrates the tables to the newest of `migrations`. Raises WrongStore if they are newer."""
        self._database = database
        self._clock = clock
        try:
            self.version = schema.upgrade(database, migrations)
            database.deleted()  # a process that deleted something may have ended before it did this
        except BaseException:
            database.close()
            raise

    def write(self, batches: Sequence[Batch]) -> Written:
        """Stores new runs, with rollups and instances. Integers are of 62 bits and not negative.

        The rows of `put_rows` decide the row of a run, whatever row it comes with.

        An id belongs to one App: other Apps may have runs of the same id, and none of them changes or hinders another.

        A run whose id its App has is the same run if it has the same source and, for source runtime, the same instance. Their spans are
        merged by span_id (a later one wins), and figures and rollups follow the union. A run that comes twice counts once. Otherwise a run
        of source runtime replaces one of another source, and is new. All others are refused: knowing an id changes no pod's run. A deleted
        run is refused, too.

        Runs that arrive late for an hour lose what `retain` has deleted from the runs of that hour.
        """
        return writing.write(self._database, batches)

    def load(self, pieces: Iterator[Sequence[Batch]]) -> int:
        """Writes all batches to a store without other users, and creates its indexes at the end: for a soak."""
        with self._database.loading():
            return sum(self.write(piece).new for piece in pieces)

    def put_rows(self, rows: Sequence[Row]) -> int:
        """Stores rows, and moves the runs that they decide: those of their App with their pins. Returns how many runs moved.

        A run of pins P that started at t belongs to a row of its App with pins P. The first rule that finds one decides:

        - the newest row (by sequence) that succeeded and ended at t or before
        - the newest that was progressing at t: it began before and had not ended
        - the newest that began before t
        - the first row, if t is before all of them: no pod is older.

        Without a row with P it belongs to none. Runs of source sdk belong to none.

        A row with the digest of a row of another App with its name and namespace shows that this App is that one, restored. Runs and rows
        of the other become this one's, and so does what arrives later under the old uid.
        """
        return reattribution.put_rows(self._database, rows)

    def rows(self, app_uid: str) -> tuple[Row, ...]:
        """Returns the rows of an App, newest first."""
        with self._database.reading() as connection:
            return reading.rows(connection, app_uid)

    def page(
        self,
        selection: Filter,
        sort: Sort = NEWEST_FIRST,
        *,
        limit: int = 25,
        offset: int = 0,
        cursor: str | None = None,
        content: bool = False,
    ) -> Page:
        """Returns a page of the runs of a filter, with their inputs and outputs if `content`. With `cursor`, `offset` is ignored.

        Raises ValueError for a cursor that no page gave.
        """
        with self._database.reading() as connection:
            return paging.page(self._database, connection, selection, sort, limit=limit, offset=offset, cursor=cursor, content=content)

    def every(self, selection: Filter, *, content: bool) -> Iterator[Run]:
        """Yields all runs of a filter with their spans, oldest first, without holding all of them: for an export."""
        return paging.every(self._database, selection, content=content)

    def apps_with(self, run_id: str) -> tuple[str, ...]:
        """Lists the uids of the Apps that have a run of this id, in the order in which the runs were stored."""
        try:
            identity = self._database.id_in(run_id)
        except ValueError:
            return ()
        with self._database.reading() as connection:
            lines = connection.all("SELECT a.uid FROM runs r JOIN apps a ON a.key = r.app_key WHERE r.id = ? ORDER BY r.key", (identity,))
        return tuple(uid for (uid,) in lines)

    def run(self, app_uid: str, run_id: str, *, content: bool, spans: bool = True) -> Run | None:
        """Returns a run with its spans, and with content if requested; None if it is missing. Without `spans`, content is its own."""
        with self._database.reading() as connection:
            key = self._key(connection, app_uid, run_id)
            runs = stored(self._database, connection, [key], content=content, spans=spans) if key is not None else []
            return runs[0].run if runs else None

    def _key(self, connection: Connection, app_uid: str, run_id: str) -> int | None:
        try:
            identity = self._database.id_in(run_id)
        except ValueError:
            return None
        sql = f"SELECT key FROM runs WHERE id = ? AND app_key = {APP_OF}"  # noqa: S608 - our own names
        lines = connection.all(sql, (identity, clean(app_uid)))
        return int(lines[0][0]) if lines else None

    def scores(self, app_uid: str, run_id: str) -> tuple[Score, ...]:
        with self._database.reading() as connection:
            lines = connection.all(
                "SELECT name, value, comment, by_whom, at FROM scores WHERE run_key = ? ORDER BY at, name, by_whom",
                (self._key(connection, app_uid, run_id),),
            )
        return tuple(Score(name=name, value=value, comment=comment, by=by, at=at) for name, value, comment, by, at in lines)

    def add_score(self, app_uid: str, run_id: str, score: Score) -> bool:
        """Sets the score of this name by this person. Returns False if the run is missing."""
        columns = ("run_key", "name", "by_whom", "value", "comment", "at", "row_key")
        try:
            identity = self._database.id_in(run_id)
        except ValueError:
            return False
        comment = clean(score.comment) if score.comment is not None else None

        def work(connection: Connection) -> bool:
            sql = f"SELECT key, row_key FROM runs WHERE id = ? AND app_key = {APP_OF}{connection.locking}"  # noqa: S608 - our own names
            parameters = (identity, clean(app_uid))
            # A transaction that changed the run meanwhile has replaced its line, which only a second query finds.
            lines = connection.all(sql, parameters) or connection.all(sql, parameters)
            if not lines:
                return False
            ((key, row),) = lines
            line = (key, clean(score.name), clean(score.by), score.value, comment, score.at, row)
            connection.put([(Lines("scores", columns, [line]), columns[:3])])
            return True

        return self._database.transact(work)

    def sessions(self, selection: Filter, *, limit: int, offset: int, content: bool = False) -> tuple[tuple[Session, ...], int]:
        """Returns sessions in order of their last run, newest first, and how many there are (up to COUNTED).

        `content`: with the input of the first run of each.
        """
        with self._database.reading() as connection:
            return reading.sessions(connection, selection, limit=limit, offset=offset, content=content)

    def metrics(self, app_uid: str, since: int, until: int, interval: MetricsInterval, group_by: MetricsGroup | None) -> tuple[Point, ...]:
        """Returns points of all groups from rollups, in order of time. The key of a deployment is its uid, empty for runs without a row."""
        with self._database.reading() as connection:
            return reading.metrics(connection, app_uid, since, until, interval, group_by)

    def usage(self, app_uid: str, since: int, until: int, width: int) -> tuple[Point, ...]:
        """Returns points of all runs from rollups, in order of time. `width`: of a point in seconds, whole minutes.

        The first begins with the minute of `since`, or with its hour if `width` is whole hours.
        """
        with self._database.reading() as connection:
            return reading.usage(connection, app_uid, since, until, width)

    def shapes(self, app_uid: str, since: int, fields: Sequence[str] | None) -> CountedShapes:
        """Returns the shapes of an App's inputs from a day on, in seconds. `fields`: those to count; None for no callers at all."""
        with self._database.reading() as connection:
            return shapes.read(connection, app_uid, since, fields)

    def figures(self, app_uid: str, row_uids: Sequence[str], *, nodes: bool = False, before: int | None = None) -> tuple[RowFigures, ...]:
        """Returns figures of known rows of an App, in the requested order; zeros for a row without runs.

        `nodes`: with their nodes, and sketches of tokens. `before`: of runs that began before that time; nodes cover all runs of a row.
        """
        with self._database.reading() as connection:
            return reading.figures(self._database, connection, app_uid, row_uids, nodes=nodes, before=before)

    def wholeness(self, app_uid: str, alive: Sequence[str] = ()) -> Wholeness:
        """Returns the completeness of an App's runs. `alive`: uids of pods that run.

        A process is cut off if it reported no end, is silent for two minutes, and belongs to none of these pods.
        """
        with self._database.reading() as connection:
            return reading.wholeness(connection, app_uid, self._clock(), alive)

    def instance_pod(self, instance: str) -> str | None:
        """Returns the pod that an instance belongs to: the first that used it; None if unknown."""
        with self._database.reading() as connection:
            lines = connection.all("SELECT pod_uid FROM instances WHERE instance_id = ?", (clean(instance),))
        return lines[0][0] if lines else None

    def delete(self, selection: Filter) -> int:
        """Deletes runs with spans, content and scores, for good, and subtracts them from the rollups. Returns how many."""
        return deleting.delete(self._database, selection, self._clock())

    def delete_run(self, app_uid: str, run_id: str) -> bool:
        return deleting.delete_run(self._database, app_uid, run_id, self._clock())

    def archive(self, rows: Sequence[ArchivedRow], flows: Mapping[str, str]) -> Archived:
        """Writes rows, each once, with those of `flows`, by hash, that they name. The caller has verified all digests.

        A row with the uid of an archived one is that one, or is refused. A row with the place, name and digests of another row of its App
        was restored: it is archived already.
        """
        return archive.put(self._database, rows, flows, self._clock())

    def archived_flows(self, app_uid: str, hashes: Sequence[str]) -> frozenset[str]:
        """Returns those of the hashes whose flow is archived."""
        with self._database.reading() as connection:
            return archive.known_flows(connection, app_uid, hashes)

    def archived(self, app_uid: str, *, limit: int, offset: int = 0, cursor: str | None = None, newest_first: bool = True) -> ArchivedPage:
        """Returns archived rows of an App by sequence. With `cursor`, `offset` is ignored.

        Raises ValueError for a cursor that no page gave.
        """
        with self._database.reading() as connection:
            return archive.page(connection, app_uid, limit=limit, offset=offset, cursor=cursor, newest_first=newest_first)

    def archived_row(self, app_uid: str, uid_or_name: str) -> ArchivedRow | None:
        """Returns the row of a uid, else the newest of a name; None if there is none."""
        with self._database.reading() as connection:
            return archive.row(connection, app_uid, uid_or_name)

    def archived_keys(self, app_uid: str, first: int) -> ArchivedKeys:
        """Returns the identities of rows from a sequence on, at most 5,000, including rows that may still be in the cluster."""
        with self._database.reading() as connection:
            return archive.keys(connection, app_uid, first)

    def archived_around(self, app_uid: str, time: int) -> tuple[ArchivedRow, ...]:
        """Returns the rows that show what was live at a time, in microseconds.

        These are the last that went live by then, the next that did, those that ended next, and the first of all.
        """
        with self._database.reading() as connection:
            return archive.around(connection, app_uid, time)

    def archived_flow(self, app_uid: str, flow_hash: str) -> str | None:
        """Returns the flow of a hash; None if it is not archived."""
        with self._database.reading() as connection:
            return archive.flow(connection, app_uid, flow_hash)

    def forget_archives(self, is_there: Callable[[str], bool], now: int, keep: int) -> int:
        """Notes since when Apps are missing, and deletes the archives of those missing for `keep` seconds. Returns how many rows.

        `is_there`: returns True for the uid of an App that exists.
        """
        return archive.forget(self._database, is_there, now, keep)

    def retain(self, now: int, keep: Retention) -> int:
        """Deletes old data in pieces, so that other writes wait briefly. Gives disk space back. Returns how many lines of tables were
        deleted.
        """
        return retention.retain(self._database, now, keep)

    def taken(self) -> Mapping[tuple[str, str], int]:
        """Returns about how many bytes Apps take, by namespace and uid; empty if that is unknown."""
        with self._database.reading() as connection:
            return shares.taken(connection)

    def trim(self, app_uid: str) -> int:
        """Deletes spans and content of some of an App's oldest runs that have any, else the runs, else the oldest figures.

        Gives disk space back. Returns how many runs, or lines of figures.
        """
        return retention.trim(self._database, app_uid)

    def rebuild_rollups(self) -> None:
        """Rebuilds the rollups from the stored runs. Those of times from which no run is kept stay."""
        self._database.transact(lambda connection: rebuilding.rebuild(self._database, connection))

    def bytes(self) -> int:
        """Returns the bytes that the store takes on its disk."""
        return self._database.bytes()

    def fullness(self) -> float | None:
        """Returns how full its disk is, from 0 to 1; None if unknown."""
        return self._database.fullness()

    def check(self) -> None:
        """Checks that the store can be written.

        Raises Unavailable.
        """
        self._database.transact(lambda connection: connection.do(NOTE, ("checked_at", int(time.time()))))

    def close(self) -> None:
        self._database.close()
