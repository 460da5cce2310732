"""Defines what a store does. Its calls block and are safe from several threads; each is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from dynamiq_operator.model.runs import MetricsGroup, MetricsInterval
from dynamiq_recorder.model import (
    MICROSECONDS,
    ArchivedRow,
    Batch,
    Filter,
    Point,
    Row,
    RowFigures,
    Run,
    Score,
    Session,
    Wholeness,
)

COUNTED = 10_000
"""Lists count the matches of their filter up to this number."""


class Unavailable(Exception):  # noqa: N818 - named as the errors of kube/
    """A store that cannot be used now: its volume is full, or its database is unreachable. The message is for the operator's log. The
    caller may try again.
    """


class WrongStore(Exception):  # noqa: N818
    """A store of a newer version, one that another recorder uses, or one that cannot be opened. The message names the remedy."""


class Written(msgspec.Struct, frozen=True):
    """The outcome of writing batches.

    `new`: runs that were not stored before. `refused`: by batch, the spans of refused runs; the run itself counts as one.
    """

    new: int
    refused: tuple[int, ...] = ()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Runs without their spans, with the error's text and no other content. `cursor`: of what follows, None at the end.

    `total`: counted up to COUNTED. If many runs match each part of a filter but few match all of it, a page ends after a tenth of a second.
    It then has the runs found by then, even none, a cursor for the rest, and the `total` counted by then.
    """

    runs: tuple[Run, ...]
    total: int
    cursor: str | None


class Archived(msgspec.Struct, frozen=True):
    """The outcome of archiving rows. `taken`: by uid, when each row was stored that is archived now. `refused`: by uid, why not."""

    taken: Mapping[str, int]
    refused: Mapping[str, str]


class ArchivedPage(msgspec.Struct, frozen=True):
    """Archived rows of an App in order of sequence. `total`: of all. `cursor`: of what follows, None at the end."""

    rows: tuple[ArchivedRow, ...]
    total: int
    cursor: str | None


class ArchivedKey(msgspec.Struct, frozen=True):
    """The fields that identify an archived row, and when it was stored."""

    uid: str
    sequence: int
    name: str
    outcome_digest: str
    archived_at: int


class ArchivedKeys(msgspec.Struct, frozen=True):
    """Identities of archived rows, newest first. `total`: of all archived rows of the App."""

    keys: tuple[ArchivedKey, ...]
    total: int


class Sort(msgspec.Struct, frozen=True):
    """An order of runs. `by`: started_at, duration or cost. Runs without a cost come last."""

    by: str = "started_at"
    descending: bool = True


NEWEST_FIRST = Sort()


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds for which runs, their spans and content, and rollups are kept.

    Failed runs keep their spans as long as themselves, and so does the slowest part `slowest` of an App's runs of an hour. The part `ratio`
    of the other runs keeps them for `spans`; the rest keeps none.
    """

    runs: int = 30 * 86400
    spans: int = 7 * 86400
    rollups: int = 400 * 86400
    slowest: float = 0.01
    ratio: float = 1.0

    def runs_from(self, now: int) -> int:
        """Returns the microseconds before which runs are deleted and refused. It is a whole hour, so that all runs of an hour are stored,
        or none.
        """
        return max(1, (now // MICROSECONDS - self.runs) // 3600 * 3600 * MICROSECONDS)


class Store(Protocol):
    """A store of runs. Every call may raise Unavailable."""

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
        ...

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
        ...

    def rows(self, app_uid: str) -> tuple[Row, ...]:
        """Returns the rows of an App, newest first."""
        ...

    def page(self, selection: Filter, sort: Sort = NEWEST_FIRST, *, limit: int = 25, offset: int = 0, cursor: str | None = None) -> Page:
        """Returns a page of the runs of a filter. With `cursor`, `offset` is ignored.

        Raises ValueError for a cursor that no page gave.
        """
        ...

    def every(self, selection: Filter, *, content: bool) -> Iterator[Run]:
        """Yields all runs of a filter with their spans, oldest first, without holding all of them: for an export."""
        ...

    def apps_with(self, run_id: str) -> tuple[str, ...]:
        """Lists the uids of the Apps that have a run of this id, in the order in which the runs were stored."""
        ...

    def run(self, app_uid: str, run_id: str, *, content: bool) -> Run | None:
        """Returns a run with its spans, and with content if requested; None if it is missing."""
        ...

    def scores(self, app_uid: str, run_id: str) -> tuple[Score, ...]: ...

    def add_score(self, app_uid: str, run_id: str, score: Score) -> bool:
        """Sets the score of this name by this person. Returns False if the run is missing."""
        ...

    def sessions(self, selection: Filter, *, limit: int, offset: int) -> tuple[tuple[Session, ...], int]:
        """Returns sessions in order of their last run, newest first, and how many there are (up to COUNTED)."""
        ...

    def metrics(self, app_uid: str, since: int, until: int, interval: MetricsInterval, group_by: MetricsGroup | None) -> tuple[Point, ...]:
        """Returns points of all groups from rollups, in order of time. The key of a deployment is its uid, empty for runs without a row."""
        ...

    def figures(self, app_uid: str, row_uids: Sequence[str], *, nodes: bool = False, before: int | None = None) -> tuple[RowFigures, ...]:
        """Returns figures of known rows of an App, in the requested order; zeros for a row without runs.

        `nodes`: with their nodes, and sketches of tokens. `before`: of runs that began before that time; nodes cover all runs of a row.
        """
        ...

    def wholeness(self, app_uid: str, alive: Sequence[str] = ()) -> Wholeness:
        """Returns the completeness of an App's runs. `alive`: uids of pods that run.

        A process is cut off if it reported no end, is silent for two minutes, and belongs to none of these pods.
        """
        ...

    def instance_pod(self, instance: str) -> str | None:
        """Returns the pod that an instance belongs to: the first that used it; None if unknown."""
        ...

    def delete(self, selection: Filter) -> int:
        """Deletes runs with spans, content and scores, for good, and subtracts them from the rollups. Returns how many."""
        ...

    def delete_run(self, app_uid: str, run_id: str) -> bool: ...

    def archive(self, rows: Sequence[ArchivedRow], flows: Mapping[str, str]) -> Archived:
        """Writes rows, each once, with those of `flows`, by hash, that they name. The caller has verified all digests.

        A row with the uid of an archived one is that one, or is refused. A row with the place, name and digests of another row of its App
        was restored: it is archived already.
        """
        ...

    def archived_flows(self, app_uid: str, hashes: Sequence[str]) -> frozenset[str]:
        """Returns those of the hashes whose flow is archived."""
        ...

    def archived(self, app_uid: str, *, limit: int, offset: int = 0, cursor: str | None = None, newest_first: bool = True) -> ArchivedPage:
        """Returns archived rows of an App by sequence. With `cursor`, `offset` is ignored.

        Raises ValueError for a cursor that no page gave.
        """
        ...

    def archived_row(self, app_uid: str, uid_or_name: str) -> ArchivedRow | None:
        """Returns the row of a uid, else the newest of a name; None if there is none."""
        ...

    def archived_keys(self, app_uid: str, first: int) -> ArchivedKeys:
        """Returns the identities of rows from a sequence on, at most 5,000, including rows that may still be in the cluster."""
        ...

    def archived_around(self, app_uid: str, time: int) -> tuple[ArchivedRow, ...]:
        """Returns the rows that show what was live at a time, in microseconds.

        These are the last that went live by then, the next that did, those that ended next, and the first of all.
        """
        ...

    def archived_flow(self, app_uid: str, flow_hash: str) -> str | None:
        """Returns the flow of a hash; None if it is not archived."""
        ...

    def forget_archives(self, is_there: Callable[[str], bool], now: int, keep: int) -> int:
        """Notes since when Apps are missing, and deletes the archives of those missing for `keep` seconds. Returns how many rows.

        `is_there`: returns True for the uid of an App that exists.
        """
        ...

    def retain(self, now: int, keep: Retention) -> int:
        """Deletes old data in pieces, so that other writes wait briefly. Gives disk space back. Returns how many lines of tables were
        deleted.
        """
        ...

    def taken(self) -> Mapping[tuple[str, str], int]:
        """Returns about how many bytes Apps take, by namespace and uid; empty if that is unknown."""
        ...

    def trim(self, app_uid: str) -> int:
        """Deletes spans and content of some of an App's oldest runs that have any, else the runs, else the oldest figures.

        Gives disk space back. Returns how many runs, or lines of figures.
        """
        ...

    def rebuild_rollups(self) -> None:
        """Rebuilds the rollups from the stored runs. Those of times from which no run is kept stay."""
        ...

    def bytes(self) -> int:
        """Returns the bytes that the store takes on its disk."""
        ...

    def fullness(self) -> float | None:
        """Returns how full its disk is, from 0 to 1; None if unknown."""
        ...

    def check(self) -> None:
        """Checks that the store can be written.

        Raises Unavailable.
        """
        ...

    def close(self) -> None: ...
