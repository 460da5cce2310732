"""Simulates a recorder: runs of one App made up by number, and its answers about them, only as `model.runs` has their shapes.

The same number gives the same run, so that a test knows the content of a page. It filters, pages and sums as the recorder does; the
intervals of its comparisons are made up. It checks no token.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from dynamiq_operator.model import runs as model
from dynamiq_operator.model.runs import (
    ComparedFigure,
    ComparedRow,
    DeletedRuns,
    MetricsGroup,
    MetricsInterval,
    MetricsSeries,
    NodeShare,
    RecorderState,
    RowVerdict,
    RunComparison,
    RunDetail,
    RunMetrics,
    RunPage,
    RunPagination,
    RunScore,
    RunSummary,
    RunTrace,
    Verdict,
)
from tests.support.recorder_runs import Row, compared, figures, keys, mean, moment, nodes, numbered, points, rate, text
from tests.support.scripted import HttpServer, Reply, Sent

COUNTED = 10_000
Query = Sequence[tuple[str, str]]
Answer = tuple[int, Any]


@dataclass
class Recorded:
    """The runs of one App: number 0 is the newest, each is `apart` older than the previous one."""

    app_id: str
    rows: Sequence[Row]
    count: int = 500
    apart: timedelta = timedelta(minutes=3)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    content: str = "included"
    """The state of a run's content, if a request includes it."""
    instances: int = 2
    asked: list[tuple[str, str, Query]] = field(default_factory=list)
    """Method, path and query of each request."""
    looks: int | None = None
    """The maximum of runs that a page reads: it may be short, with its cursor after them."""
    newer: int = 0
    """Runs that ended since the start; see `add`."""
    gone: set[str] = field(default_factory=set)
    scores: dict[str, list[RunScore]] = field(default_factory=dict)

    def add(self, runs: int = 1) -> None:
        """Lets so many runs end now."""
        self.newer += runs
        self.__dict__.pop("runs", None)

    @cached_property
    def runs(self) -> list[RunSummary]:
        """Returns all runs, newest first."""
        times = {number: self.now - self.apart * number for number in range(-self.newer, self.count)}
        return [numbered(self.app_id, self._row(at), number, at) for number, at in times.items()]

    def _row(self, at: datetime) -> Row:
        return next((each for each in reversed(self.rows) if each.since <= at), self.rows[0])

    def detail(self, summary: RunSummary, included_on_request: bool) -> RunDetail:
        """Returns a run with all details."""
        state = self.content if included_on_request or self.content == "not_recorded" else "left_out"
        included = state == "included"
        return RunDetail(
            **summary.model_dump(),
            pins="0123456789abcdef",
            workflow_hash="f" * 64,
            trace_id=uuid.UUID(summary.id).hex,
            instance=str(uuid.uuid5(uuid.NAMESPACE_URL, self.app_id)),
            seq=max(self.count, 1),
            nodes=tuple(nodes(summary, included)),
            nodes_kept=True,
            scores=tuple(self.scores.get(summary.id, ())),
            content=state,
            input={"question": "When does my invoice come?"} if included else None,
            output={"answer": "On the first of each month, by mail."} if included else None,
            metadata=None,
        )

    def answer(self, method: str, path: str, query: Query = (), body: Any = None) -> Answer:
        """Returns status and body of a request; 404 for an unknown one."""
        self.asked.append((method, path, query))
        known: Mapping[str, Callable[..., Answer]] = {"runs": self._list, "metrics": self._metrics, "verdicts": self._verdicts}
        match path.strip("/").split("/")[1:]:
            case ["apps", self.app_id, name] if method == "GET" and name in known:
                return known[name](query)
            case ["apps", self.app_id, "recorder"]:
                state = RecorderState(instances=self.instances, missing=0, cut_off=0, unattributed=0, first_at=None, last_at=text(self.now))
                return 200, _data(state)
            case ["apps", self.app_id, "deployments", row, "comparison"]:
                return self._comparison(row, dict(query).get("baseline", "previous"))
            case ["apps", self.app_id, "runs"] if method == "DELETE":
                return 200, _data(DeletedRuns(deleted=0))
            case ["runs", run, *rest]:
                return self._one(method, run, rest, dict(query), body)
        return _unknown()

    def _one(self, method: str, run: str, rest: list[str], query: Mapping[str, str], body: Any) -> Answer:
        summary = next((each for each in self.runs if each.id == run and run not in self.gone), None)
        if summary is None:
            return _unknown()
        match method, rest:
            case "GET", []:
                return 200, _data(self.detail(summary, query.get("include") == "content"))
            case "GET", ["trace"]:
                return 200, _data(RunTrace(runs=({"id": summary.id, "name": "support"},)))
            case "DELETE", []:
                self.gone.add(run)
                return 204, None
            case "POST", ["scores"]:
                score = RunScore(name=body["name"], value=body["value"], comment=body.get("comment"), by="anna", at=text(self.now))
                self.scores.setdefault(run, []).append(score)
                return 201, _data(score)
        return _unknown()

    def _taken(self, query: Query) -> list[RunSummary]:
        tests = [test for name, value in query if (test := _test(name, value)) is not None]
        statuses = {value for name, value in query if name == "status"}
        return [
            run
            for run in self.runs
            if run.id not in self.gone and (not statuses or run.status in statuses) and all(test(run) for test in tests)
        ]

    def _list(self, query: Query) -> Answer:
        parameters = dict(query)
        runs, sort = self._taken(query), parameters.get("sort", "-started_at")
        if sort != "-started_at":
            runs.sort(key=lambda run: getattr(run, sort.lstrip("-")) or 0, reverse=sort.startswith("-"))
        size, page = int(parameters.get("page_size", "25")), int(parameters.get("page", "1"))
        begin = (
            next((at + 1 for at, run in enumerate(runs) if run.id == parameters["cursor"]), 0)
            if "cursor" in parameters
            else (page - 1) * size
        )
        shown = runs[begin : begin + size]
        following = shown[-1].id if begin + size < len(runs) else None
        if self.looks is not None:
            shown, following = self._looked(runs, parameters.get("cursor"), self.looks)
        total = min(len(runs), COUNTED) if following is None or self.looks is None else len(shown)
        pagination = RunPagination(
            page=page,
            page_size=size,
            page_count=-(-total // size),
            total_count=total,
            next_cursor=following,
            counted_to=COUNTED,
        )
        return 200, RunPage(data=tuple(shown), pagination=pagination).model_dump(mode="json")

    def _looked(self, runs: list[RunSummary], cursor: str | None, most: int) -> tuple[list[RunSummary], str | None]:
        """Returns those of the next `most` runs that a page has, and the cursor of its end."""
        ids = [run.id for run in self.runs]
        begin = ids.index(cursor) + 1 if cursor is not None else 0
        read = set(ids[begin : begin + most])
        return [run for run in runs if run.id in read], ids[begin + most - 1] if begin + most < len(ids) else None

    def _metrics(self, query: Query) -> Answer:
        parameters = dict(query)
        since = moment(parameters["from"]) if "from" in parameters else self.now - timedelta(days=1)
        interval = MetricsInterval(parameters.get("interval", "hour"))
        group = MetricsGroup(parameters["group_by"]) if "group_by" in parameters else None
        runs = [run for run in self._taken(()) if moment(run.started_at) >= since]
        groups: dict[str, list[RunSummary]] = {}
        for run in runs:
            for key in keys(run, group):
                groups.setdefault(key, []).append(run)
        series = tuple(
            MetricsSeries(
                key=key,
                sequence=of[0].sequence if group is MetricsGroup.DEPLOYMENT else None,
                workflow_version=of[0].workflow_version if group is MetricsGroup.DEPLOYMENT else None,
                name=key if group is MetricsGroup.NODE else None,
                total=figures(of),
                points=tuple(points(of, interval)),
            )
            for key, of in groups.items()
        )
        metrics = RunMetrics(
            since=text(since), until=text(self.now + timedelta(seconds=1)), interval=interval, group_by=group, series=series
        )
        return 200, _data(metrics)

    def of_row(self, row: str) -> list[RunSummary]:
        """Returns the runs of a row."""
        return [run for run in self.runs if run.deployment_id == row]

    def _verdicts(self, query: Query) -> Answer:
        verdicts = []
        for row in (value for name, value in query if name == "deployment_id"):
            compared = self.compared(row, "previous")
            if compared is not None:
                verdict, sentence = compared.verdict, compared.sentence
                known = compared.deployment
                verdicts.append(
                    RowVerdict(deployment_id=row, sequence=known.sequence, figures=known.figures, verdict=verdict, sentence=sentence)
                )
        return 200, {"data": [each.model_dump(mode="json") for each in verdicts]}

    def _comparison(self, row: str, baseline: str) -> Answer:
        result = self.compared(row, baseline)
        return (200, _data(result)) if result is not None else _unknown()

    def compared(self, row: str, baseline: str) -> RunComparison | None:
        """Compares a row with another one, or with the previous one; None for an unknown row."""
        places = {each.id: place for place, each in enumerate(self.rows)}
        if row not in places:
            return None
        own = self._compared_row(self.rows[places[row]])
        place = places.get(baseline, places[row] - 1)
        if place < 0:
            sentence = f"Row #{own.sequence} has no row before it."
            none: dict[str, Any] = dict.fromkeys(("baseline", "p50_ms", "p95_ms", "failure_rate", "cost_usd", "tokens", "node"))
            return RunComparison(deployment=own, verdict=Verdict.UNKNOWN, sentence=sentence, **none)
        other = self._compared_row(self.rows[place])
        few = min(own.figures.runs, other.figures.runs) < model.FEWEST_RUNS
        p95 = compared(own.figures.p95_ms, other.figures.p95_ms, few)
        worse = p95.verdict is Verdict.REGRESSED
        change = f"p95 × {p95.ratio:.2f}" if p95.ratio else "p95 is not known"
        return RunComparison(
            deployment=own,
            baseline=other,
            verdict=p95.verdict,
            p50_ms=compared(own.figures.p50_ms, other.figures.p50_ms, few),
            p95_ms=p95,
            failure_rate=ComparedFigure(
                value=rate(own.figures),
                baseline=rate(other.figures),
                ratio=None,
                low=-0.01,
                high=0.02,
                p_value=0.4,
                verdict=Verdict.TOO_FEW_RUNS if few else Verdict.UNCHANGED,
            ),
            cost_usd=compared(own.mean_cost_usd, other.mean_cost_usd, few),
            tokens=compared(own.mean_tokens, other.mean_tokens, few),
            node=NodeShare(node_id="summarize", name="summarize", of="p95_ms", share=0.82) if worse else None,
            sentence=f"Row #{own.sequence} against #{other.sequence}: {change}" + ("; node summarize did it." if worse else "."),
        )

    def _compared_row(self, row: Row) -> ComparedRow:
        runs = self.of_row(row.id)
        priced = [run.cost_usd for run in runs if run.cost_usd is not None]
        return ComparedRow(
            deployment_id=row.id,
            sequence=row.sequence,
            workflow_version=row.version,
            figures=figures(runs),
            mean_tokens=mean([(run.input_tokens or 0) + (run.output_tokens or 0) for run in runs]),
            mean_cost_usd=mean(priced),
            score_means={},
        )


def _test(name: str, value: str) -> Callable[[RunSummary], bool] | None:
    match name:
        case "deployment_id" | "workflow_version" | "trigger" | "session_id" | "user_id":
            return lambda run: getattr(run, name) == value
        case "tag":
            return lambda run: value in run.tags
        case "model":
            return lambda run: value in run.models
        case "error":
            return lambda run: value.lower() in (run.error or "").lower()
        case "from":
            return lambda run: moment(run.started_at) >= moment(value)
        case "to":
            return lambda run: moment(run.started_at) < moment(value)
        case "min_duration_ms":
            return lambda run: run.duration_ms >= float(value)
    return None


def _data(content: Any) -> dict[str, Any]:
    return {"data": content.model_dump(mode="json")}


def _unknown() -> Answer:
    return 404, {"error": {"code": "not_found", "message": "There is no such run, or the caller may not see it.", "details": {}}}


def example(method: str, path: str) -> Any:
    """Returns a recorder's answer to a path of the API's document, like the document's other examples; None if it has none."""
    start = datetime(2026, 11, 24, 12, tzinfo=UTC)
    ids = [str(uuid.uuid5(uuid.NAMESPACE_OID, name)) for name in ("app", "older", "row")]
    rows = [Row(ids[1], 1, "v1", start - timedelta(days=9)), Row(ids[2], 2, "v2", start - timedelta(hours=3), slower=1.5)]
    recorded = Recorded(ids[0], rows, count=150, now=start)
    ids_by_name = {"app_id": ids[0], "deployment_id": ids[2], "run_id": recorded.runs[21].id}
    filled = path.format_map(ids_by_name) if all(name in ids_by_name for name in re.findall(r"{(\w+)}", path)) else path
    body = {"name": "helpful", "value": 1} if method == "POST" else None
    page = [("page_size", "3")] if path.endswith("/runs") else [("deployment_id", ids[2]), ("include", "content")]
    status, content = recorded.answer(method, filled, page, body)
    return content if status < 300 else None


@contextmanager
def serving(recorded: Recorded) -> Iterator[str]:
    """Runs a server with these answers while the block runs; yields its address, for `--recorder`."""

    def answer(sent: Sent) -> Reply:
        status, content = recorded.answer(sent.method, sent.path, sent.pairs, sent.body)
        return Reply(status, b"" if content is None else content)

    with HttpServer(answer) as server:
        yield server.url
