"""Parses the filters of runs into the recorder's parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Path, Query
from pydantic import Field

from dynamiq_operator.model.runs import RunSort, RunStatus
from dynamiq_operator.rest.http.errors import invalid_request
from dynamiq_operator.rest.http.models import Id, IdInput
from dynamiq_operator.rest.http.pagination import PAGE_SIZE, PageOf, PageSizeOf
from dynamiq_operator.rest.parts.times import TIME, moment

TEXT_MOST, TAGS_MOST, TAG_MOST, NAME_MOST = 256, 20, 64, 253
DURATION_MOST, COST_MOST = 1e12, 1e6
Pairs = list[tuple[str, str]]
OF_OPEN = ("user_id", "session_id")
"""Filters of open background runs."""
OPEN_SORTS = {RunSort.NEWEST: "-accepted_at", RunSort.OLDEST: "accepted_at"}
"""Orders of open background runs, as the journal names them."""

RunId = Annotated[Id, Path(description="The run's id: X-Dynamiq-Run-Id of the App's answer.")]
Tag = Annotated[str, Field(min_length=1, max_length=TAG_MOST)]
Text = Annotated[str | None, Query(min_length=1, max_length=TEXT_MOST)]
Name = Annotated[str | None, Query(min_length=1, max_length=NAME_MOST)]
FromOf = Annotated[str | None, Query(alias="from", pattern=TIME, description="From this time on, or from this date, UTC.")]
ToOf = Annotated[str | None, Query(alias="to", pattern=TIME, description="Before this time or date.")]
ContentOf = Annotated[
    str | None,
    Query(
        alias="include",
        pattern="^content$",
        description="`content`: with inputs, outputs and texts of errors, where they were recorded and the caller may get apps/runcontents.",
    ),
]


WhoseOf = Annotated[
    str | None,
    Query(alias="app_id", min_length=1, max_length=NAME_MOST, description="The App, if several have a run of this id."),
]


@dataclass(frozen=True)
class RunFilters:
    """The filters of runs. `pairs` go to the recorder unchanged; the two ids are of objects that it knows by their names."""

    pairs: Pairs
    version_id: str | None
    trigger_id: str | None

    def of_open(self, sort: RunSort, cursor: str | None) -> Pairs:
        """Returns the filters and the order of open background runs as the journal takes them.

        Raises HttpProblem 422 for those that it does not have.
        """
        others = {"workflow_version_id": self.version_id, "trigger_id": self.trigger_id, "cursor": cursor}
        others |= {name: value for name, value in self.pairs if name not in OF_OPEN}
        wrong = [(name, "this does not go with open=true") for name, value in others.items() if value is not None]
        if sort not in OPEN_SORTS:
            wrong.append(("sort", f"with open=true this is {' or '.join(OPEN_SORTS)}"))
        if wrong:
            raise invalid_request(wrong)
        return [*self.pairs, ("open", "true"), ("sort", OPEN_SORTS[sort])]


async def _filters(
    deployment_id: Annotated[IdInput | None, Query(description="Of this row.")] = None,
    workflow_version: Annotated[Name, Query(description="Of this workflow version, such as v3.")] = None,
    workflow_version_id: Annotated[IdInput | None, Query(description="Of this workflow version, by its id.")] = None,
    status: Annotated[
        list[RunStatus], Query(max_length=len(RunStatus), description="One, or several: status=failed&status=timed_out.")
    ] = [],  # noqa: B006
    trigger: Annotated[Name, Query(description="Started by the trigger of this name.")] = None,
    trigger_id: Annotated[IdInput | None, Query(description="Started by this trigger, by its id.")] = None,
    session_id: Annotated[Text, Query(description="Of this session, as the caller of the App named it.")] = None,
    user_id: Annotated[Text, Query(description="Of this user, as the caller of the App named it.")] = None,
    tag: Annotated[list[Tag], Query(max_length=TAGS_MOST, description="With this tag; with several, with all of them.")] = [],  # noqa: B006
    model: Annotated[Text, Query(description="That called this model.")] = None,
    error: Annotated[
        Text, Query(description="With these letters, of any case, in the error's text; needs the right to get apps/runcontents.")
    ] = None,
    began_from: FromOf = None,
    began_to: ToOf = None,
    min_duration_ms: Annotated[float | None, Query(ge=0, le=DURATION_MOST, description="That took so long, or longer.")] = None,
    min_cost_usd: Annotated[float | None, Query(ge=0, le=COST_MOST, description="That cost so much, or more.")] = None,
) -> RunFilters:
    values: dict[str, object] = {
        "deployment_id": deployment_id and deployment_id.lower(),
        "workflow_version": workflow_version,
        "trigger": trigger,
        "session_id": session_id,
        "user_id": user_id,
        "model": model,
        "error": error,
        "min_duration_ms": min_duration_ms,
        "min_cost_usd": min_cost_usd,
    }
    pairs = [(name, str(value)) for name, value in values.items() if value is not None]
    pairs += [("status", each.value) for each in status] + [("tag", each) for each in tag]
    return RunFilters([*pairs, *times(began_from, began_to)], workflow_version_id, trigger_id)


def times(begin: str | None, end: str | None) -> Iterator[tuple[str, str]]:
    """Yields the two times as the recorder takes them. Raises HttpProblem 422."""
    for name, text in (("from", begin), ("to", end)):
        if (parsed := moment(name, text)) is not None:
            yield name, written(parsed)


def written(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


OpenOf = Annotated[
    Literal["true"] | None,
    Query(
        alias="open",
        description="`true`: background runs that have not ended, from the journal, in place of recorded ones. user_id, session_id, sort by "
        "started_at (when it was accepted), page and page_size (at most 100) go with it.",
    ),
]


async def _page(
    page: PageOf = 1,
    page_size: PageSizeOf = PAGE_SIZE,
) -> Pairs:
    return [("page", str(page)), ("page_size", str(page_size))]


FiltersOf = Annotated[RunFilters, Depends(_filters)]
PageOfRuns = Annotated[Pairs, Depends(_page)]
SortOf = Annotated[RunSort, Query(description="Order; by default newest first. Runs without a cost come last.")]
CursorOf = Annotated[
    str | None,
    Query(
        min_length=1, max_length=1024, description="`next_cursor` of the page before, instead of `page`; with the same filters and sort."
    ),
]
