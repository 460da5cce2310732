"""The operator asks the recorder about the watched row in the background, and checks the answer before it uses it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dynamiq_operator.controller.background.comparisons import PAUSES
from dynamiq_operator.desired.base import SECRET, child
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.kube.resources import APPS, ROWS, SECRETS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.runs import ComparedFigure, ComparedRow, Figures, NodeShare, RunComparison, Verdict
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.observed.comparison import Figure, RecordedComparison
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_recorder.identity.rights import KNOWN_FOR
from tests.support import factories as given
from tests.support.controller import Process, at, stored
from tests.support.scripted import Script
from tests.unit.support.answering import Answer, never, saying, served
from tests.unit.support.certificates import serving_context

KEY = (given.NAMESPACE, given.NAME)
LIVE = given.row_manifest("a", given.live(1))
ROW = given.a_row("a", given.live(1)).meta.uid
APP = given.an_app().meta.uid
TOKEN = "of-the-operator"


def row(uid: str, sequence: int, runs: int) -> ComparedRow:
    figures = Figures(runs=runs, failed=0, refused=0, abandoned=0, p50_ms=1.0, p95_ms=2.0, cost_usd=None, unpriced_calls=0)
    return ComparedRow(deployment_id=uid, sequence=sequence, workflow_version="v1", figures=figures)


def figure(ratio: float | None, verdict: Verdict) -> ComparedFigure:
    return ComparedFigure(value=2.0, baseline=1.0, ratio=ratio, low=1.0, high=3.0, p_value=0.01, verdict=verdict)


COMPARISON = RunComparison(
    deployment=row(ROW, 12, 120),
    baseline=row("before", 11, 4000),
    verdict=Verdict.REGRESSED,
    p50_ms=None,
    p95_ms=figure(1.42, Verdict.REGRESSED),
    failure_rate=None,
    cost_usd=figure(None, Verdict.UNKNOWN),
    tokens=None,
    node=NodeShare(node_id="rank", name="Rank", of="p95_ms", share=0.8),
    sentence="p95 went up",
)
SAID: dict[str, Any] = {"data": COMPARISON.model_dump(mode="json")}
READ = RecordedComparison(
    ROW, 120, too_few=False, baseline=11, p95=Figure(1.42, regressed=True), cost=Figure(), node=("p95_ms", "Rank", 0.8)
)


class Recorder:
    """A server in place of the recorder. `asked`: path, query and token of each request."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.answer: Answer = saying(SAID)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, request.query_string, request.headers.get("Authorization", "")))
        return await self.answer()


@pytest.fixture
def script() -> Script:
    secret = child(given.an_app(), SECRET, names.access_keys(given.NAME))
    return Script().on("GET", at(SECRETS, names.access_keys(given.NAME)), stored(secret, 40))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "recorder-token"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture
async def process(client: Client, script: Script, recorder: Recorder, token: Path) -> AsyncIterator[Process]:
    async with served(recorder.handle) as port:
        url = f"http://127.0.0.1:{port}"
        made = Process(client, script, settings=Settings(recorder=url), recorder=RecorderAccess(url, token))
        async with made.activity, made.comparisons:
            yield made


def watched(made: Manifest, **trial: Any) -> None:
    """Makes the App watch row `a`, and compare it."""
    given.with_spec(rollout={"revert": {"maxP95Ratio": 1.2}})(made)
    live = {"row": "a", "sequence": 1, "workflowVersion": "v1", "runtime": "1.0.0"}
    given.with_status(live=live, trial={"row": "a", "until": "2999-11-24T13:00:00Z", **trial})(made)


def seen(process: Process, app: given.Modifier = watched) -> None:
    process.informers.on_watch_event(APPS, "ADDED", given.stored(given.app_manifest(app)))
    process.informers.on_watch_event(ROWS, "ADDED", given.stored(LIVE))


async def answered(process: Process) -> Snapshot:
    """Observes once without waiting, waits until the answer or its lack requeues the App, and returns the second observation."""
    process.queue.done(await process.queue.get())
    first = await process.observer.observe(KEY)
    assert (first.trial.comparison, first.trial.unanswered) == (None, "")
    async with asyncio.timeout(240):
        assert await process.queue.get() == KEY
    process.queue.done(KEY)
    return await process.observer.observe(KEY)


async def test_the_comparison_of_the_watched_row_is_read(process: Process, recorder: Recorder) -> None:
    seen(process)
    snapshot = await answered(process)
    assert (snapshot.trial.comparison, snapshot.trial.unanswered) == (READ, "")
    path = f"/v1/apps/{APP}/deployments/{ROW}/comparison"
    assert recorder.asked == [(path, "baseline=previous", f"Bearer {TOKEN}")]
    assert process.states.of(KEY).comparison.not_before == process.clock() + PAUSES.holds


def compared(made: Manifest) -> None:
    watched(made, compared={"at": "2026-11-24T12:00:00Z", "result": "Kept", "message": "it is no worse"})


def only_failures(made: Manifest) -> None:
    watched(made)
    given.with_spec(rollout={"revert": {}})(made)


def over(made: Manifest) -> None:
    watched(made, until="2020-11-24T12:00:00Z")


@pytest.mark.parametrize("app", [compared, only_failures, over], ids=lambda app: app.__name__)
async def test_no_comparison_is_read_if_no_decision_needs_it(process: Process, recorder: Recorder, app: given.Modifier) -> None:
    seen(process, app)
    await process.observer.observe(KEY)
    await asyncio.sleep(0.1)  # nothing happens
    assert recorder.asked == []


def without(*path: str) -> dict[str, Any]:
    made = json.loads(json.dumps(SAID))
    part = made["data"]
    for step in path[:-1]:
        part = part[step]
    del part[path[-1]]
    return made if isinstance(made, dict) else {}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (saying(SAID, 302, Location="/elsewhere"), "the recorder answers with status 302"),
        (saying({"error": {}}, 404), "the recorder answers with status 404"),
        (saying({"error": {}}, 403), "the recorder answers with status 403"),
        (saying(b""), "what the recorder says cannot be read"),
        (saying(b"[" * 1000), "what the recorder says cannot be read"),
        (saying(b" " * 300_000), "what the recorder says cannot be read"),
        (saying(without("verdict")), "what the recorder says cannot be read"),
        (saying(without("deployment", "figures", "runs")), "what the recorder says cannot be read"),
        (saying(json.dumps(SAID).replace("1.42", "NaN").encode()), "what the recorder says cannot be read"),
        (
            saying({"data": SAID["data"] | {"deployment": row("another", 3, 9).model_dump(mode="json")}}),
            "the recorder answered for another row",
        ),
    ],
    ids=["redirect", "not found", "forbidden", "empty", "nested", "long", "no verdict", "no runs", "no number", "another row"],
)
async def test_an_invalid_comparison_decides_nothing_and_is_read_again_later(
    process: Process, recorder: Recorder, answer: Any, why: str
) -> None:
    recorder.answer = answer
    seen(process)
    snapshot = await answered(process)
    assert (snapshot.trial.comparison, snapshot.trial.unanswered, len(recorder.asked)) == (None, why, 1)
    assert process.states.of(KEY).comparison.not_before == process.clock() + PAUSES.first
    assert PAUSES.first < KNOWN_FOR, "what it may do is still remembered"


async def test_a_recorder_that_names_when_runs_count_gets_the_number_of_unended_ones(process: Process, recorder: Recorder) -> None:
    """Only a recorder that says so gets the parameter: an older one refuses it."""
    recorder.answer = saying({"data": SAID["data"] | {"matures_seconds": 30.0}})
    seen(process)
    snapshot = await answered(process)
    assert snapshot.trial.comparison is not None
    process.clock.later(PAUSES.holds)
    await process.observer.observe(KEY)
    async with asyncio.timeout(240):
        assert await process.queue.get() == KEY
    assert [query for _, query, _ in recorder.asked] == ["baseline=previous", "baseline=previous&unended=0"]
    again = (await process.observer.observe(KEY)).trial.comparison
    assert again is not None
    assert (snapshot.trial.comparison.unended, again.unended) == (None, 0)


async def test_recorder_of_a_newer_version_is_understood(process: Process, recorder: Recorder) -> None:
    data = SAID["data"] | {"more": 1, "verdict": "doubtful", "p95_ms": SAID["data"]["p95_ms"] | {"verdict": "doubtful", "more": []}}
    recorder.answer = saying({"data": data, "more": {}})
    seen(process)
    found = (await answered(process)).trial.comparison
    assert found is not None
    assert (found.p95, found.too_few) == (Figure(1.42), False)


async def test_slow_recorder_holds_up_no_reconcile_and_is_given_up(process: Process, recorder: Recorder) -> None:
    recorder.answer = never
    seen(process)
    snapshot = await answered(process)
    assert (snapshot.trial.comparison, snapshot.trial.unanswered) == (None, "the recorder takes longer than 2 s")


async def test_an_operator_without_a_token_sends_no_request(process: Process, recorder: Recorder, token: Path) -> None:
    await asyncio.to_thread(token.unlink)
    seen(process)
    assert (await answered(process)).trial.unanswered == "the operator has no token for the recorder"
    assert recorder.asked == []


async def test_a_comparison_stays_until_the_next_one(process: Process, recorder: Recorder) -> None:
    seen(process)
    assert (await answered(process)).trial.comparison == READ
    recorder.answer = saying(b"", 503)
    process.clock.later(PAUSES.holds)
    await process.observer.observe(KEY)
    async with asyncio.timeout(240):
        await process.queue.get()
    snapshot = await process.observer.observe(KEY)
    assert (snapshot.trial.comparison, snapshot.trial.unanswered) == (READ, "the recorder answers with status 503")


def test_a_figure_with_too_few_runs_stays_so_though_the_rows_have_a_result() -> None:
    few = COMPARISON.model_copy(update={"p95_ms": figure(1.42, Verdict.TOO_FEW_RUNS), "cost_usd": figure(1.5, Verdict.REGRESSED)})
    read = RecordedComparison.of(json.dumps({"data": few.model_dump(mode="json")}).encode())
    assert (read.too_few, read.p95.too_few, read.cost) == (False, True, Figure(1.5, regressed=True))


@pytest.mark.parametrize(("is_trusted", "problem"), [(True, ""), (False, "the recorder cannot be reached")])
async def test_a_recorder_of_an_authority_of_ones_own_is_trusted_where_that_is_named(
    client: Client, script: Script, recorder: Recorder, token: Path, tmp_path: Path, is_trusted: bool, problem: str
) -> None:
    context, ca = serving_context(tmp_path)
    async with served(recorder.handle, trust=context) as port:
        url = f"https://127.0.0.1:{port}"
        access = RecorderAccess(url, token, ca if is_trusted else None)
        process = Process(client, script, settings=Settings(recorder=url), recorder=access)
        async with process.activity, process.comparisons:
            seen(process)
            snapshot = await answered(process)
            assert (snapshot.trial.comparison is not None, snapshot.trial.unanswered) == (is_trusted, problem)
