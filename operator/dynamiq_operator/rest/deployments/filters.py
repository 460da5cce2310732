"""Filters the rows of a history by what the index has of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Query

from dynamiq_operator.model.manifests import Phase, format_time
from dynamiq_operator.model.names import natural
from dynamiq_operator.rest.deployments.responses import Count, HistoryFilters
from dynamiq_operator.rest.kube.entries import SEARCHED_MOST, Accepts, Entry, RowFacts, searched
from dynamiq_operator.rest.parts.times import TIME, moment

_PHASES = "|".join(Phase)
SEARCH_MAX = 100
_USER_MAX, _NAME_MAX = 1024, 253


@dataclass(frozen=True)
class Filters:
    """The conditions on a row. None: no condition. `since`, `until`: seconds of Unix time. `q` is folded, see `searched`."""

    statuses: frozenset[str] | None = None
    author: str | None = None
    version: str | None = None
    runtime: str | None = None
    since: float | None = None
    until: float | None = None
    q: str | None = None

    @property
    def accepts(self) -> Accepts | None:
        """The predicate on entries; None if there is no condition."""
        checks = list(self._checks())
        if not checks:
            return None
        return lambda entry: entry.row is not None and all(check(entry.name, entry.row) for check in checks)

    def _checks(self) -> Iterable[Callable[[str, RowFacts], bool]]:
        if (statuses := self.statuses) is not None:
            yield lambda _, row: row.phase in statuses
        if (author := self.author) is not None:
            yield lambda _, row: row.author == author
        if (version := self.version) is not None:
            yield lambda _, row: row.version == version
        if (runtime := self.runtime) is not None:
            yield lambda _, row: row.runtime == runtime
        if (since := self.since) is not None:
            yield lambda _, row: row.began >= since
        if (until := self.until) is not None:
            yield lambda _, row: row.began < until
        if q := self.q:
            number = q.removeprefix("#")
            sequence = int(number) if number.isascii() and number.isdecimal() else None
            yield lambda name, row: _matches(q, name, row) or (row.sequence == sequence and row.sequence > 0)


def _matches(q: str, name: str, row: RowFacts) -> bool:
    """Returns True if the letters occur in a text of a row that people write or read."""
    texts = (row.message, row.description, name, row.version, row.phase.casefold())
    return any(q in text for text in texts) or q in searched(row.author)


async def _filters(
    status: Annotated[
        str | None,
        Query(pattern=f"^({_PHASES})(,({_PHASES}))*$", description="One status, or several with commas between them."),
    ] = None,
    created_by: Annotated[str | None, Query(max_length=_USER_MAX, description="The username of the row's author.")] = None,
    version: Annotated[str | None, Query(max_length=_NAME_MAX, description="The workflow version, such as v3.")] = None,
    runtime: Annotated[str | None, Query(max_length=_NAME_MAX, description="The version of the runtime.")] = None,
    since: Annotated[
        str | None, Query(pattern=TIME, description="Rows whose deploy began at this time or later. A date is its begin in UTC.")
    ] = None,
    until: Annotated[str | None, Query(pattern=TIME, description="Rows whose deploy began before this time or date.")] = None,
    q: Annotated[
        str | None,
        Query(
            max_length=SEARCH_MAX,
            description="Letters, of any case, in the version, the description, the message, the author, the status or the name of the row; "
            f"or its sequence, as 8 or #8. Only the first {SEARCHED_MOST} letters of a description and of a message are searched.",
        ),
    ] = None,
) -> Filters:
    statuses = frozenset(status.split(",")) if status is not None else None
    return Filters(statuses, created_by, version, runtime, _seconds("since", since), _seconds("until", until), q.casefold() if q else None)


def _seconds(parameter: str, text: str | None) -> float | None:
    """Returns a time as seconds of Unix time. Raises as `moment` does."""
    parsed = moment(parameter, text)
    return parsed.timestamp() if parsed is not None else None


FiltersOf = Annotated[Filters, Depends(_filters)]


def choices(entries: Iterable[Entry]) -> HistoryFilters:
    """Returns the values by which the rows of a history can be filtered, with the number of rows for each.

    Statuses and authors: the most frequent first. Versions and runtimes: the newest first.
    """
    rows = [entry.row for entry in entries if entry.row is not None]
    began = [row.began for row in rows]
    return HistoryFilters(
        statuses=_most_first(row.phase for row in rows),
        authors=_most_first(row.author for row in rows),
        versions=_newest_first(row.version for row in rows),
        runtimes=_newest_first(row.runtime for row in rows),
        total=len(rows),
        first_at=_time(min(began)) if rows else None,
        last_at=_time(max(began)) if rows else None,
    )


def _most_first(values: Iterable[str]) -> list[Count]:
    return [Count(value=value, count=count) for value, count in sorted(_counted(values), key=lambda each: (-each[1], each[0]))]


def _newest_first(values: Iterable[str]) -> list[Count]:
    return [Count(value=value, count=count) for value, count in sorted(_counted(values), key=lambda each: natural(each[0]), reverse=True)]


def _counted(values: Iterable[str]) -> Iterable[tuple[str, int]]:
    """Returns each value with its number of rows. Rows without a value are left out."""
    return ((value, count) for value, count in Counter(values).items() if value)


def _time(seconds: float) -> str:
    return format_time(datetime.fromtimestamp(seconds, UTC))
