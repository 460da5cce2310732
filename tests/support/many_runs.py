"""Very many runs, as three Apps of one organisation make them in 30 days, and the questions that people ask of them, timed."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from dynamiq_operator.model.runs import CostSource, MetricsGroup, MetricsInterval, NodeStatus, RunSource, RunStatus
from dynamiq_recorder.compare import compare
from dynamiq_recorder.model import NO_TOKENS, Batch, Filter, Row, Run, Span, Tokens
from dynamiq_recorder.store.interface import Sort, Store
from tests.support.stored_runs import HOUR, NOON, SECOND

DAY = 24 * HOUR
DAYS = 30
SHARES = {"large": 0.6, "middle": 0.3, "small": 0.1}
ROWS = 20
"""Of each App, one after the other, each with pins of its own."""
WITH_SPANS = 0.1
NODES = 5
PIECE = 5_000
LIST, FILTER, METRICS, COMPARISON = 100, 200, 200, 300
"""Milliseconds that a question may take, p95."""
_ERRORS = ("No such city: Köln", "KeyError: 'answer'", "timed out after 30 s", "429: rate limit reached")
RARE_ERROR, RARE_TAG, RARE_MODEL = "the moon is full", "pilot", "o1-preview"


def uid(app: str) -> str:
    return f"00000000-0000-0000-0000-{sum(map(ord, app)):012d}"


def rows(app: str) -> list[Row]:
    width = DAYS * DAY // ROWS
    return [
        Row(
            uid=f"{app}-{sequence}",
            app_uid=uid(app),
            namespace="team",
            app=app,
            sequence=sequence,
            digest=f"sha256:{app}{sequence}",
            pins=f"{sequence:016x}",
            workflow_version=f"v{sequence}",
            began=NOON + (sequence - 1) * width - 10 * SECOND,
            succeeded=True,
            ended=NOON + (sequence - 1) * width,
        )
        for sequence in range(1, ROWS + 1)
    ]


class _Chance:
    """Draws made beforehand: to draw each number anew would take longer than to store it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311
        self.durations = [int(self.chance.lognormvariate(12, 0.7)) for _ in range(50_021)]
        self.costs = [int(self.chance.gammavariate(1.0, 2_000_000)) for _ in range(50_023)]
        self.apps = self.chance.choices(list(SHARES), list(SHARES.values()), k=50_033)
        self.statuses = self.chance.choices(
            [RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.REFUSED, RunStatus.TIMED_OUT, RunStatus.ABANDONED],
            [95.5, 2, 1, 0.5, 1],
            k=50_047,
        )
        self.models = self.chance.choices(["gpt-4o", "claude-sonnet-4", RARE_MODEL], [80, 19.99, 0.01], k=50_051)


def made(count: int, seed: int = 1) -> Iterator[list[Batch]]:
    """All of them in order of time, in pieces."""
    chance = _Chance(seed)
    step = DAYS * DAY / count
    known = {app: rows(app) for app in SHARES}
    width = DAYS * DAY // ROWS
    for start in range(0, count, PIECE):
        piece = [
            _run(chance, number, NOON + int(number * step), int(number * step) // width, known)
            for number in range(start, min(start + PIECE, count))
        ]
        yield [Batch(runs=tuple(piece))]


def _run(chance: _Chance, number: int, at: int, place: int, known: Mapping[str, Sequence[Row]]) -> Run:
    app, status = chance.apps[number % 50_033], chance.statuses[number % 50_047]
    model, duration = chance.models[number % 50_051], chance.durations[number % 50_021]
    cost = chance.costs[number % 50_023]
    row = known[app][place]
    bits = chance.chance.getrandbits(128)
    failed = status in (RunStatus.FAILED, RunStatus.TIMED_OUT)
    rare = number % 99_991 == 7
    return Run(
        id=f"{bits:032x}",
        app_uid=row.app_uid,
        namespace="team",
        app=app,
        status=status,
        source=RunSource.RUNTIME,
        started_at=at,
        duration=duration,
        trace_id=f"{bits ^ 0x5555:032x}",
        pins=row.pins,
        workflow_version=row.workflow_version,
        workflow_hash=f"sha256:{place:064x}",
        trigger="nightly" if number % 10 == 3 else "hook" if number % 1_000 == 5 else None,
        session_id=f"session-{number // 20}-{bits % 3}",
        user_id=f"user-{bits % 20_011}",
        tags=(RARE_TAG,) if rare else ("eu",) if number % 10 == 1 else (),
        tokens=Tokens(input=900, output=bits % 400),
        cost=cost,
        models=(model,),
        model_calls=2,
        node_count=NODES,
        error=(RARE_ERROR if rare or number % 50_021 == 11 else _ERRORS[bits % 4]) if failed else None,
        spans=_spans(at, duration, cost, model, bits, failed=failed) if number % 10 == 0 else (),
    )


def _spans(at: int, duration: int, cost: int, model: str, bits: int, *, failed: bool) -> tuple[Span, ...]:
    part = duration // NODES
    return tuple(
        Span(
            span_id=f"{bits % 0xFFFF_FFFF:08x}{n:08x}",
            node_id=f"node-{n}",
            name=f"Node {n}",
            started_at=at + n * part,
            duration=part,
            type="dynamiq.nodes.llms.OpenAI" if n in (2, 3) else "dynamiq.nodes.tools.Python",
            model=model if n in (2, 3) else None,
            is_model=n in (2, 3),
            status=NodeStatus.FAILED if failed and n == NODES - 1 else NodeStatus.SUCCEEDED,
            tokens=Tokens(input=450, output=60) if n in (2, 3) else NO_TOKENS,
            cost=cost // 2 if n in (2, 3) else None,
            cost_source=CostSource.TABLE if n in (2, 3) else None,
        )
        for n in range(NODES)
    )


class Question(msgspec.Struct, frozen=True):
    """`ask` is called with a number, and asks something else with each. `limit`: milliseconds."""

    name: str
    limit: int
    ask: Callable[[int], object]


def questions(store: Store, count: int) -> list[Question]:
    app = uid("large")
    sample = random.Random(2)  # noqa: S311
    some = [run for batch in next(iter(made(count)))[:1] for run in batch.runs if run.app_uid == app]
    day = [NOON + sample.randrange(DAYS - 1) * DAY for _ in range(50)]

    def page(name: str, limit: int, wanted: Callable[[int], Filter], sort: Sort | None = None) -> Question:
        return Question(name, limit, lambda number: store.page(wanted(number), sort or Sort()))

    def deep(number: int) -> object:
        cursor = store.page(Filter(app_uid=app), limit=500).cursor
        return store.page(Filter(app_uid=app), cursor=cursor, limit=25 + number % 5)

    def compared(number: int) -> object:
        first = 2 + number % (ROWS - 1)
        row, base = store.figures(app, [f"large-{first}", f"large-{first - 1}"], nodes=True)
        return compare(row, base)

    return [
        page("list, newest first", LIST, lambda number: Filter(app_uid=uid(["large", "middle", "small"][number % 3]))),
        Question("list, by a cursor (two pages)", LIST * 2, deep),
        page("list of a day", LIST, lambda number: Filter(app_uid=app, since=day[number % 50], until=day[number % 50] + DAY)),
        page("failed", FILTER, lambda _: Filter(app_uid=app, status=(RunStatus.FAILED,))),
        page(
            "failed or timed out, of a day",
            FILTER,
            lambda number: _of_day(app, day[number % 50], status=(RunStatus.FAILED, RunStatus.TIMED_OUT)),
        ),
        page("succeeded", FILTER, lambda _: Filter(app_uid=app, status=(RunStatus.SUCCEEDED,))),
        page("row", FILTER, lambda number: Filter(app_uid=app, row_uid=f"large-{1 + number % ROWS}")),
        page("version", FILTER, lambda number: Filter(app_uid=app, workflow_version=f"v{1 + number % ROWS}")),
        page("trigger", FILTER, lambda number: Filter(app_uid=app, trigger=["nightly", "hook", "none"][number % 3])),
        page("session", FILTER, lambda number: Filter(app_uid=app, session_id=some[number].session_id)),
        page("user", FILTER, lambda number: Filter(app_uid=app, user_id=some[number].user_id)),
        page("tag", FILTER, lambda number: Filter(app_uid=app, tags=([RARE_TAG, "eu", "none"][number % 3],))),
        page("model", FILTER, lambda number: Filter(app_uid=app, model=[RARE_MODEL, "gpt-4o", "none"][number % 3])),
        page("error text", FILTER, lambda number: Filter(app_uid=app, error=["köln", "MOON", "nowhere", "t"][number % 4])),
        page("slow", FILTER, lambda number: Filter(app_uid=app, min_duration=[200_000, 1_000_000, 2_000_000, 10**8][number % 4])),
        page("dear", FILTER, lambda number: Filter(app_uid=app, min_cost=[10**6, 10**7, 2 * 10**7, 10**12][number % 4])),
        page(
            "failed, by a model, slow",
            FILTER,
            lambda number: _of_row(app, number, status=(RunStatus.FAILED,), model="gpt-4o", min_duration=10**6),
        ),
        page("trigger and tag that never meet", FILTER, lambda _: Filter(app_uid=app, trigger="nightly", tags=("eu",))),
        page("a user's failed", FILTER, lambda number: Filter(app_uid=app, user_id=some[number].user_id, status=(RunStatus.FAILED,))),
        page("slowest of a day", FILTER, lambda number: _of_day(app, day[number % 50]), Sort("duration")),
        page("slowest of all", FILTER, lambda _: Filter(app_uid=app), Sort("duration")),
        page("dearest failed of all", FILTER, lambda _: Filter(app_uid=app, status=(RunStatus.FAILED,)), Sort("cost")),
        Question("a run with its spans", LIST, lambda number: store.run(some[number * 10 % len(some)].id, content=True)),
        Question("sessions", FILTER, lambda number: store.sessions(Filter(app_uid=app), limit=25, offset=25 * (number % 4))),
        Question("a day's metrics by row", METRICS, lambda number: _metrics(store, app, day[number % 50], MetricsInterval.HOUR)),
        Question(
            "a day's metrics by row and minute", METRICS, lambda number: _metrics(store, app, day[number % 50], MetricsInterval.MINUTE)
        ),
        Question("comparison", COMPARISON, compared),
    ]


def _of_day(app: str, since: int, **more: object) -> Filter:
    return msgspec.structs.replace(Filter(app_uid=app, since=since, until=since + DAY), **more)


def _of_row(app: str, number: int, **more: object) -> Filter:
    return msgspec.structs.replace(Filter(app_uid=app, row_uid=f"{'large'}-{1 + number % ROWS}"), **more)


def _metrics(store: Store, app: str, since: int, interval: MetricsInterval) -> object:
    return store.metrics(app, since, since + DAY, interval, MetricsGroup.DEPLOYMENT)


class Answered(msgspec.Struct, frozen=True):
    question: Question
    p50: float
    p95: float
    """Milliseconds."""

    @property
    def is_in_time(self) -> bool:
        return self.p95 <= self.question.limit

    def __str__(self) -> str:
        return f"{self.question.name:36} p50 {self.p50:7.1f} ms, p95 {self.p95:7.1f} ms of {self.question.limit}{'' if self.is_in_time else '  TOO SLOW'}"


def answered(question: Question, times: int = 40) -> Answered:
    took = []
    for number in range(times):
        began = time.perf_counter()
        question.ask(number)
        took.append(1000 * (time.perf_counter() - began))
    cuts = statistics.quantiles(took, n=20)
    return Answered(question, statistics.median(took), cuts[18])
