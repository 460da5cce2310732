"""Implements a store on a database of tables, each call in one transaction, the same for every database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from dynamiq_operator.model.runs import MetricsGroup, MetricsInterval
from dynamiq_recorder.model import MICROSECONDS, ArchivedRow, Batch, Filter, Point, Row, RowFigures, Run, Score, Session, Wholeness
from dynamiq_recorder.store import archive, deleting, paging, reading, reattribution, rebuilding, retention, schema, shares, writing
from dynamiq_recorder.store.database import Connection, Database, Lines
from dynamiq_recorder.store.filters import APP_OF
from dynamiq_recorder.store.interface import NEWEST_FIRST, Archived, ArchivedKeys, ArchivedPage, Page, Retention, Sort, Written
from dynamiq_recorder.store.loading import stored
from dynamiq_recorder.store.texts import clean


def _now() -> int:
    return int(time.time() * MICROSECONDS)


class SqlStore:
    """A store on a database; see interface.Store. It raises WrongStore if the tables are of a newer version."""

    def __init__(self, database: Database, migrations: list[schema.Migration], clock: Callable[[], int] = _now) -> None:
        self._database = database
        self._clock = clock
        try:
            self.version = schema.upgrade(database, migrations)
            database.deleted()  # a process that deleted something may have ended before it did this
        except BaseException:
            database.close()
            raise

    def write(self, batches: Sequence[Batch]) -> Written:
        return writing.write(self._database, batches)

    def load(self, pieces: Iterator[Sequence[Batch]]) -> int:
        """Writes all batches to a store without other users, and creates its indexes at the end: for a soak."""
        with self._database.loading():
            return sum(self.write(piece).new for piece in pieces)

    def put_rows(self, rows: Sequence[Row]) -> int:
        return reattribution.put_rows(self._database, rows)

    def rows(self, app_uid: str) -> tuple[Row, ...]:
        with self._database.reading() as connection:
            return reading.rows(connection, app_uid)

    def page(self, selection: Filter, sort: Sort = NEWEST_FIRST, *, limit: int = 25, offset: int = 0, cursor: str | None = None) -> Page:
        with self._database.reading() as connection:
            return paging.page(self._database, connection, selection, sort, limit=limit, offset=offset, cursor=cursor)

    def every(self, selection: Filter, *, content: bool) -> Iterator[Run]:
        return paging.every(self._database, selection, content=content)

    def apps_with(self, run_id: str) -> tuple[str, ...]:
        try:
            identity = self._database.id_in(run_id)
        except ValueError:
            return ()
        with self._database.reading() as connection:
            lines = connection.all("SELECT a.uid FROM runs r JOIN apps a ON a.key = r.app_key WHERE r.id = ? ORDER BY r.key", (identity,))
        return tuple(uid for (uid,) in lines)

    def run(self, app_uid: str, run_id: str, *, content: bool) -> Run | None:
        with self._database.reading() as connection:
            key = self._key(connection, app_uid, run_id)
            runs = stored(self._database, connection, [key], content=content) if key is not None else []
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

    def sessions(self, selection: Filter, *, limit: int, offset: int) -> tuple[tuple[Session, ...], int]:
        with self._database.reading() as connection:
            return reading.sessions(connection, selection, limit=limit, offset=offset)

    def metrics(self, app_uid: str, since: int, until: int, interval: MetricsInterval, group_by: MetricsGroup | None) -> tuple[Point, ...]:
        with self._database.reading() as connection:
            return reading.metrics(connection, app_uid, since, until, interval, group_by)

    def figures(self, app_uid: str, row_uids: Sequence[str], *, nodes: bool = False, before: int | None = None) -> tuple[RowFigures, ...]:
        with self._database.reading() as connection:
            return reading.figures(self._database, connection, app_uid, row_uids, nodes=nodes, before=before)

    def wholeness(self, app_uid: str, alive: Sequence[str] = ()) -> Wholeness:
        with self._database.reading() as connection:
            return reading.wholeness(connection, app_uid, self._clock(), alive)

    def instance_pod(self, instance: str) -> str | None:
        with self._database.reading() as connection:
            lines = connection.all("SELECT pod_uid FROM instances WHERE instance_id = ?", (clean(instance),))
        return lines[0][0] if lines else None

    def delete(self, selection: Filter) -> int:
        return deleting.delete(self._database, selection, self._clock())

    def delete_run(self, app_uid: str, run_id: str) -> bool:
        return deleting.delete_run(self._database, app_uid, run_id, self._clock())

    def archive(self, rows: Sequence[ArchivedRow], flows: Mapping[str, str]) -> Archived:
        return archive.put(self._database, rows, flows, self._clock())

    def archived_flows(self, app_uid: str, hashes: Sequence[str]) -> frozenset[str]:
        with self._database.reading() as connection:
            return archive.known_flows(connection, app_uid, hashes)

    def archived(self, app_uid: str, *, limit: int, offset: int = 0, cursor: str | None = None, newest_first: bool = True) -> ArchivedPage:
        with self._database.reading() as connection:
            return archive.page(connection, app_uid, limit=limit, offset=offset, cursor=cursor, newest_first=newest_first)

    def archived_row(self, app_uid: str, uid_or_name: str) -> ArchivedRow | None:
        with self._database.reading() as connection:
            return archive.row(connection, app_uid, uid_or_name)

    def archived_keys(self, app_uid: str, first: int) -> ArchivedKeys:
        with self._database.reading() as connection:
            return archive.keys(connection, app_uid, first)

    def archived_around(self, app_uid: str, time: int) -> tuple[ArchivedRow, ...]:
        with self._database.reading() as connection:
            return archive.around(connection, app_uid, time)

    def archived_flow(self, app_uid: str, flow_hash: str) -> str | None:
        with self._database.reading() as connection:
            return archive.flow(connection, app_uid, flow_hash)

    def forget_archives(self, is_there: Callable[[str], bool], now: int, keep: int) -> int:
        return archive.forget(self._database, is_there, now, keep)

    def retain(self, now: int, keep: Retention) -> int:
        return retention.retain(self._database, now, keep)

    def taken(self) -> Mapping[tuple[str, str], int]:
        with self._database.reading() as connection:
            return shares.taken(connection)

    def trim(self, app_uid: str) -> int:
        return retention.trim(self._database, app_uid)

    def rebuild_rollups(self) -> None:
        self._database.transact(lambda connection: rebuilding.rebuild(self._database, connection))

    def bytes(self) -> int:
        return self._database.bytes()

    def fullness(self) -> float | None:
        return self._database.fullness()

    def check(self) -> None:
        self._database.check()

    def close(self) -> None:
        self._database.close()
