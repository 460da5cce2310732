"""Defines what the calls of a store take, return and raise."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dynamiq_recorder.model import MICROSECONDS, ArchivedRow, Run

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


class CallerFields(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of a caller, which has an Access Key, a trigger, or neither. `left_out`: runs of which not all names are counted.

    `fields`: of the requested fields, how many runs had which type.
    """

    key: str
    trigger: str
    runs: int
    left_out: int
    fields: Mapping[str, Mapping[str, int]]


class CountedShapes(msgspec.Struct, frozen=True, kw_only=True):
    """The shapes of an App's inputs by caller, most runs first. `recorded`: all runs of its pods, by the rollups."""

    recorded: int
    callers: tuple[CallerFields, ...]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Runs without their spans, with the error's text, and other content only if requested. `cursor`: of what follows, None at the end.

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
