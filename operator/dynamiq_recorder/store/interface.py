"""What a store does. Its calls block and are safe from several threads; each is one transaction."""

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
"""A list counts what its filter takes up to here."""


class Unavailable(Exception):  # noqa: N818 - named as the errors of kube/
    """The store cannot be asked now: its volume is full, its database is away. The message is for an operator's log. Try again."""


class WrongStore(Exception):  # noqa: N818
    """The store is of a newer version, is used by another recorder, or cannot be opened. The message says what to do."""


class Written(msgspec.Struct, frozen=True):
    """What became of batches. `new`: runs that were not there. `refused`: of each batch, the spans (a run is one, too) of runs not taken."""

    new: int
    refused: tuple[int, ...] = ()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Runs without their spans, with the error's text and no other content. `cursor`: of what follows, None at the end.

    `total`: counted up to COUNTED. Of a filter whose every part many runs match, but few or none all of it, a page ends after a tenth of a
    second with what is found (fewer than asked for, even none, and a cursor with which to look on), and `total` is how many were counted by then.
    """

    runs: tuple[Run, ...]
    total: int
    cursor: str | None


class Archived(msgspec.Struct, frozen=True):
    """The outcome of archiving rows. `taken`: by the uids of those that are there now, or were, when they were stored; `refused`: by uid, why not."""

    taken: Mapping[str, int]
    refused: Mapping[str, str]


class ArchivedPage(msgspec.Struct, frozen=True):
    """Archived rows of an App in order of sequence. `total`: of all. `cursor`: of what follows, None at the end."""

    rows: tuple[ArchivedRow, ...]
    total: int
    cursor: str | None


class ArchivedKey(msgspec.Struct, frozen=True):
    """The fields by which an archived row is known again, and when it was stored."""

    uid: str
    sequence: int
    name: str
    outcome_digest: str
    archived_at: int


class ArchivedKeys(msgspec.Struct, frozen=True):
    """Newest first. `total`: of all archived rows of the App."""

    keys: tuple[ArchivedKey, ...]
    total: int


class Sort(msgspec.Struct, frozen=True):
    """`by`: started_at, duration or cost; those without a cost come last."""

    by: str = "started_at"
    descending: bool = True


NEWEST_FIRST = Sort()


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds for which runs, their spans and content, and rollups are kept. Spans of failed runs, and of the slowest `slowest` of an App's
    runs of an hour, are kept as long as the run; of the others so many as `ratio` says are kept for `spans`, and none after it.
    """

    runs: int = 30 * 86400
    spans: int = 7 * 86400
    rollups: int = 400 * 86400
    slowest: float = 0.01
    ratio: float = 1.0

    def runs_from(self, now: int) -> int:
        """Microseconds: what began before is deleted, and is not taken. A whole hour, so that of an hour all runs are there, or none."""
        return max(1, (now // MICROSECONDS - self.runs) // 3600 * 3600 * MICROSECONDS)


class Store(Protocol):
    """A store of runs. Every call raises Unavailable."""

    def write(self, batches: Sequence[Batch]) -> Written:
        """Stores what is new of them, with rollups and instances. Integers are of 62 bits and not negative.

        Runs are given to rows by what `put_rows` says, whatever row they come with.

        An id is of one App: other Apps may have runs of the same id, and none of them changes or hinders another.

        A run whose id its App has is the same run again where it is of the same source, and one of source runtime of the same instance:
        its spans are merged by span_id (a later one wins), and its figures and the rollups are brought to what the union says. What comes
        twice, in one call or two, counts once. Otherwise one of source runtime takes the place of one of another source, and is new; all
        others are refused, so that nobody who knows an id changes what a pod said. A run that was deleted is refused, too.

        What `retain` takes of runs of an hour it takes of those that come later for it.
        """
        ...

    def put_rows(self, rows: Sequence[Row]) -> int:
        """Notes rows, and moves the runs that they decide: those of their App with their pins. Returns how many runs moved.

        A run of pins P that started at t is of the newest row (by sequence) of its App with pins P that succeeded and ended at t or before;
        else of the newest with P that was progressing at t, so began before and had not ended; else of the newest with P that began
        before, and before all of them of the first: no pod is older. Without a row with P it is of none. Runs of source sdk are of none.
        A row with a digest that another App of the same name and namespace has is that App, restored: its runs and rows become this one's,
        and what comes later under the old uid, too.
        """
        ...

    def rows(self, app_uid: str) -> tuple[Row, ...]:
        """Of an App, newest first."""
        ...

    def page(self, wanted: Filter, sort: Sort = NEWEST_FIRST, *, limit: int = 25, offset: int = 0, cursor: str | None = None) -> Page:
        """Runs of a filter. `cursor` goes before `offset`. Raises ValueError for a cursor that no page gave."""
        ...

    def every(self, wanted: Filter, *, content: bool) -> Iterator[Run]:
        """All runs of a filter with their spans, oldest first, without holding all of them: for an export."""
        ...

    def apps_with(self, run_id: str) -> tuple[str, ...]:
        """Lists the uids of the Apps that have a run of this id, that of the run that was stored first at the front."""
        ...

    def run(self, app_uid: str, run_id: str, *, content: bool) -> Run | None:
        """One run with its spans, and with content where it is asked for."""
        ...

    def scores(self, app_uid: str, run_id: str) -> tuple[Score, ...]: ...

    def add_score(self, app_uid: str, run_id: str, score: Score) -> bool:
        """Sets the score of this name by this person. False where there is no such run."""
        ...

    def sessions(self, wanted: Filter, *, limit: int, offset: int) -> tuple[tuple[Session, ...], int]:
        """Sessions by their last run, newest first, and how many there are (up to COUNTED)."""
        ...

    def metrics(self, app_uid: str, since: int, until: int, interval: MetricsInterval, group_by: MetricsGroup | None) -> tuple[Point, ...]:
        """From rollups. Points of all groups in order of time; the key of a deployment is its uid, of a run without a row ""."""
        ...

    def figures(self, app_uid: str, row_uids: Sequence[str], *, nodes: bool = False, before: int | None = None) -> tuple[RowFigures, ...]:
        """Of rows of an App that are known here, in the order asked; of no runs: zeros. `nodes`: with their nodes, and sketches of tokens.
        `before`: of runs that began before that time; the nodes are those of all of a row's runs.
        """
        ...

    def wholeness(self, app_uid: str, alive: Sequence[str] = ()) -> Wholeness:
        """`alive`: uids of pods that run. A process that said no goodbye, is silent for two minutes and is of none of them is cut off."""
        ...

    def instance_pod(self, instance: str) -> str | None:
        """The pod that an instance belongs to: the one that used it first."""
        ...

    def delete(self, wanted: Filter) -> int:
        """Deletes runs with spans, content and scores, for good, and takes them out of the rollups. Returns how many."""
        ...

    def delete_run(self, app_uid: str, run_id: str) -> bool: ...

    def archive(self, rows: Sequence[ArchivedRow], flows: Mapping[str, str]) -> Archived:
        """Writes rows, each once, with those of the flows, by their hashes, that they name. Who calls has verified all digests.

        A row with the uid of one that is there is that one, or is refused. One with the same place, name and digests as another row of
        its App was brought back by a restore: it is there already.
        """
        ...

    def archived_flows(self, app_uid: str, hashes: Sequence[str]) -> frozenset[str]:
        """Those of the hashes whose flow is archived."""
        ...

    def archived(self, app_uid: str, *, limit: int, offset: int = 0, cursor: str | None = None, newest_first: bool = True) -> ArchivedPage:
        """Archived rows of an App by sequence. `cursor` goes before `offset`. Raises ValueError for a cursor that no page gave."""
        ...

    def archived_row(self, app_uid: str, wanted: str) -> ArchivedRow | None:
        """The row of a uid, or else the newest of a name."""
        ...

    def archived_keys(self, app_uid: str, first: int) -> ArchivedKeys:
        """Of rows from a sequence on: those that may be in the cluster, too. At most 5,000."""
        ...

    def archived_around(self, app_uid: str, time: int) -> tuple[ArchivedRow, ...]:
        """The rows that tell what was live at a time, in microseconds: what went live last by then, what did next, what ended next, and the first of all."""
        ...

    def archived_flow(self, app_uid: str, wanted: str) -> str | None:
        """The flow of a hash."""
        ...

    def forget_archives(self, is_there: Callable[[str], bool], now: int, keep: int) -> int:
        """Notes since when Apps, by their uids, are missed, and deletes what is archived of those missed for `keep` seconds. Returns how many rows."""
        ...

    def retain(self, now: int, keep: Retention) -> int:
        """Deletes what is too old, in pieces that hold nobody up; gives disk back. Returns how many rows of tables went."""
        ...

    def taken(self) -> Mapping[tuple[str, str], int]:
        """Returns by Apps' namespaces and uids about how many bytes they take; empty where that is not known."""
        ...

    def trim(self, app_uid: str) -> int:
        """Takes spans and content of some of an App's oldest runs that have any, else the runs, else the oldest figures, and gives disk back. Returns of how many."""
        ...

    def rebuild_rollups(self) -> None:
        """Makes the rollups anew from the runs that are there; those of times from which no run is kept stay."""
        ...

    def bytes(self) -> int:
        """What it takes on its disk."""
        ...

    def fullness(self) -> float | None:
        """How full its disk is, from 0 to 1; None where it cannot tell."""
        ...

    def check(self) -> None:
        """Whether it can be written. Raises Unavailable."""
        ...

    def close(self) -> None: ...
