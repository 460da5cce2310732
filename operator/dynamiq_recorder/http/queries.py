"""Parses request parameters into filters of the store. It reads no store."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dynamiq_operator.model.runs import CONTENTS_MOST, POINTS_MOST, WIDEST, MetricsGroup, MetricsInterval, RunStatus
from dynamiq_operator.serving.problems import HttpProblem, invalid_field
from dynamiq_recorder.model import MICROSECONDS, NANO_USD, Filter
from dynamiq_recorder.reads.times import parsed
from dynamiq_recorder.store.reading import unit_of
from dynamiq_recorder.store.results import COUNTED, Sort

WIDTHS = {MetricsInterval.MINUTE: 60, MetricsInterval.HOUR: 3600, MetricsInterval.DAY: 86400}
DAY = 86400 * MICROSECONDS
_SORTS = {"started_at": "started_at", "duration_ms": "duration", "cost_usd": "cost"}


def _time(text: str) -> str:
    try:
        parsed(text)
    except (ValueError, OverflowError):
        raise ValueError("write a time as in RFC 3339, such as 2026-11-27T10:00:00Z") from None
    return text


Time = Annotated[str, Field(max_length=64), AfterValidator(_time)]
Word = Annotated[str, Field(min_length=1, max_length=256)]
Uid = Annotated[str, Field(min_length=1, max_length=64)]


class _Query(BaseModel):
    """Parameters of a request; others than the named ones are refused."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class RunFilter(_Query):
    """Parameters that select runs."""

    deployment_id: Uid | None = None
    workflow_version: Word | None = None
    status: Annotated[list[RunStatus], Field(max_length=6)] = []
    trigger: Word | None = None
    session_id: Word | None = None
    user_id: Word | None = None
    tag: Annotated[list[Word], Field(max_length=20)] = []
    model: Word | None = None
    error: Word | None = None
    since: Annotated[Time | None, Field(alias="from")] = None
    until: Annotated[Time | None, Field(alias="to")] = None
    min_duration_ms: Annotated[float | None, Field(ge=0, le=1e12, allow_inf_nan=False)] = None
    min_cost_usd: Annotated[float | None, Field(ge=0, le=1e6, allow_inf_nan=False)] = None

    def filter(self, app_uid: str) -> Filter:
        return Filter(
            app_uid=app_uid,
            row_uid=self.deployment_id,
            workflow_version=self.workflow_version,
            status=tuple(dict.fromkeys(self.status)),
            trigger=self.trigger,
            session_id=self.session_id,
            user_id=self.user_id,
            tags=tuple(dict.fromkeys(self.tag)),
            model=self.model,
            error=self.error,
            since=parsed(self.since) if self.since else None,
            until=parsed(self.until) if self.until else None,
            min_duration=round(self.min_duration_ms * 1000) if self.min_duration_ms is not None else None,
            min_cost=round(self.min_cost_usd * NANO_USD) if self.min_cost_usd is not None else None,
        )


class Paged(_Query):
    page: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1
    page_size: Annotated[int, Field(ge=1, le=500)] = 25

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size

    def pagination(self, total: int) -> dict[str, Any]:
        pages = -(-total // self.page_size)
        return {"page": self.page, "page_size": self.page_size, "page_count": pages, "total_count": total, "counted_to": COUNTED}


class RunsQuery(RunFilter, Paged):
    """Parameters of one page of runs."""

    sort: Literal["started_at", "-started_at", "duration_ms", "-duration_ms", "cost_usd", "-cost_usd"] = "-started_at"
    cursor: Annotated[str | None, Field(max_length=1024)] = None

    @property
    def order(self) -> Sort:
        return Sort(_SORTS[self.sort.removeprefix("-")], descending=self.sort.startswith("-"))


class ExportQuery(RunFilter):
    include: Literal["content"] | None = None


class ContentsQuery(Paged):
    """Parameters of one page of runs with their contents."""

    page_size: Annotated[int, Field(ge=1, le=CONTENTS_MOST)] = 25
    sort: Literal["started_at", "-started_at"] = "-started_at"
    cursor: Annotated[str | None, Field(max_length=1024)] = None

    @property
    def order(self) -> Sort:
        return Sort(descending=self.sort.startswith("-"))

    def filter(self, app_uid: str) -> Filter:
        raise NotImplementedError


class TracesQuery(ContentsQuery):
    status: Annotated[list[RunStatus], Field(max_length=6)] = []
    since: Annotated[Time | None, Field(alias="from")] = None
    until: Annotated[Time | None, Field(alias="to")] = None

    def filter(self, app_uid: str) -> Filter:
        since, until = (parsed(each) if each else None for each in (self.since, self.until))
        return Filter(app_uid=app_uid, status=tuple(dict.fromkeys(self.status)), since=since, until=until)


class MessagesQuery(ContentsQuery):
    session_id: Word
    sort: Literal["started_at", "-started_at"] = "started_at"

    def filter(self, app_uid: str) -> Filter:
        return Filter(app_uid=app_uid, session_id=self.session_id)


class UsageQuery(_Query):
    """Parameters of metrics in buckets of `seconds`."""

    since: Annotated[Time, Field(alias="from")]
    until: Annotated[Time, Field(alias="to")]
    seconds: Annotated[int, Field(ge=60, le=WIDEST, multiple_of=60)]

    @property
    def is_of_hours(self) -> bool:
        return unit_of(self.seconds) == WIDTHS[MetricsInterval.HOUR]

    def window(self) -> tuple[int, int]:
        """Returns where the first bucket begins, at a whole minute or hour, and where the last one ends, in microseconds."""
        unit = unit_of(self.seconds) * MICROSECONDS
        since, until = parsed(self.since) // unit * unit, parsed(self.until)
        if since >= until:
            raise invalid_field("from", "this must be before `to`")
        if (until - since) / (self.seconds * MICROSECONDS) > POINTS_MOST:
            raise invalid_field("seconds", f"choose longer buckets: there are more than {POINTS_MOST} between `from` and `to`")
        return since, until


class SessionsQuery(Paged):
    since: Annotated[Time | None, Field(alias="from")] = None
    until: Annotated[Time | None, Field(alias="to")] = None
    user_id: Word | None = None

    def filter(self, app_uid: str) -> Filter:
        since, until = (parsed(each) if each else None for each in (self.since, self.until))
        return Filter(app_uid=app_uid, user_id=self.user_id, since=since, until=until)


class DeleteQuery(_Query):
    """Parameters of a deletion, of which exactly one is set."""

    before: Time | None = None
    session_id: Word | None = None
    user_id: Word | None = None

    def filter(self, app_uid: str) -> Filter:
        """Returns the filter of the runs to delete.

        Raises HttpProblem 422 unless exactly one parameter is set.
        """
        if sum(each is not None for each in (self.before, self.session_id, self.user_id)) != 1:
            raise HttpProblem(422, "give exactly one of before, session_id and user_id")
        until = parsed(self.before) if self.before else None
        return Filter(app_uid=app_uid, until=until, session_id=self.session_id, user_id=self.user_id)


class MetricsQuery(_Query):
    since: Annotated[Time | None, Field(alias="from")] = None
    until: Annotated[Time | None, Field(alias="to")] = None
    interval: MetricsInterval | None = None
    group_by: MetricsGroup | None = None

    def window(self) -> tuple[int, int, MetricsInterval]:
        """Returns start and end in microseconds, and the width of a point. Defaults: the last 24 hours, and a width that gives some hundred
        points.
        """
        until = parsed(self.until) if self.until else time.time_ns() // 1000
        since = parsed(self.since) if self.since else until - DAY
        if since >= until:
            raise invalid_field("from", "this must be before `to`")
        interval = self.interval
        if interval is None:
            long = until - since
            interval = MetricsInterval.MINUTE if long <= DAY // 8 else MetricsInterval.HOUR if long <= 14 * DAY else MetricsInterval.DAY
        if (until - since) / (WIDTHS[interval] * MICROSECONDS) > POINTS_MOST:
            raise invalid_field(
                "interval", f"choose a longer interval: this one gives more than {POINTS_MOST} points between `from` and `to`"
            )
        return since, until, interval


class ArchiveQuery(_Query):
    """Parameters of a page of archived rows. `offset` counts from the end with which `order` begins; with `cursor` it is ignored."""

    limit: Annotated[int, Field(ge=1, le=500)] = 100
    offset: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    cursor: Annotated[str | None, Field(max_length=64)] = None
    order: Literal["newest", "oldest"] = "newest"


class ArchiveKeysQuery(_Query):
    """Parameters of the identities of archived rows. `first`: a sequence."""

    first: Annotated[int, Field(ge=0, le=2**62, alias="from")]


class ArchiveAtQuery(_Query):
    time: Time


class ComparisonQuery(_Query):
    """Parameters of a comparison.

    `unended`: runs of the row that are old enough to count and have not ended, as its pods report; None if unknown.
    """

    baseline: Uid = "previous"
    unended: Annotated[int | None, Field(ge=0, le=1_000_000)] = None


class ShapesQuery(_Query):
    """Parameters of shapes of inputs: the last `days` days in UTC, up to today. `field`: of several versions that are judged at once."""

    days: Annotated[int, Field(ge=1, le=90)] = 7
    field: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=512)] = []

    def since(self, now: int) -> int:
        """Returns where the first day begins, in seconds. `now`: microseconds."""
        return (now // DAY - self.days + 1) * DAY // MICROSECONDS


class VerdictsQuery(_Query):
    deployment_id: Annotated[list[Uid], Field(min_length=1, max_length=100)]


class NoQuery(_Query):
    """No parameters."""


class OneRunQuery(_Query):
    """Parameters of one run. `app_id`: selects one of several Apps that have a run of this id."""

    app_id: Uid | None = None


class RunQuery(OneRunQuery):
    include: Literal["content"] | None = None
