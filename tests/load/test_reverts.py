"""Tests automatic reverts under load: of bad versions, and not of healthy ones with some errors of their own."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import pytest

from local.clusters import Cluster
from local.gateway import Gateway
from tests.load.support.versions import crashing, failing
from tests.support import factories
from tests.support.api import Manifest
from tests.support.gateway import ThroughTheGateway, asked, until_answer
from tests.support.history_stage import counted
from tests.support.load.callers import calling
from tests.support.load.operated import operated
from tests.support.load.sleepers import host_of
from tests.support.measured import Figures
from tests.support.stage import ONE_POD, Stage, said
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.long("twenty bad and healthy versions; one revert: tests/node/test_no_call_fails.py"),
    pytest.mark.full_count,
    pytest.mark.timeout(3600),
]
IN_FULL = bool(os.environ.get("SOAK"))
BAD, HEALTHY = 20, 50
SIDE_BY_SIDE = 10
"""Apps that are judged in parallel."""
SECONDS = 90 if IN_FULL else 45
CRASHES_AFTER = 60.0 if IN_FULL else 3.0  # seconds after it went live
LIMIT, LEAST = 5, 100
"""Per cent of runs that may fail, and runs before any decision."""
RATE = 10 if IN_FULL else 8  # calls a second of each App
SMALL = {"requests": {"cpu": "150m", "memory": "32Mi"}, "limits": {"memory": "192Mi"}}
FIGURES = Figures("reverts")


@dataclass(frozen=True)
class Case:
    """One version of one App, and how its runs end."""

    app: str
    version: str
    share: float
    crashes: bool = False

    def flow(self) -> str:
        return crashing(self.version) if self.crashes else failing(self.version, self.share)

    @property
    def is_bad(self) -> bool:
        return self.crashes or self.share > LIMIT / 100

    def __str__(self) -> str:
        return "crashes" if self.crashes else f"{100 * self.share:.1f} % fail"


@dataclass(frozen=True)
class Verdict:
    """The outcome of a version: the row that reverted it, and the seconds from when it was live."""

    case: Case
    revert: Manifest | None
    seconds: float

    def __str__(self) -> str:
        if self.revert is None:
            return f"{self.case}: left alone"
        return f"{self.case}: taken back after {self.seconds:.0f} s: {self.revert['spec'].get('message')}"


@pytest.fixture(scope="module")
def on(cluster: Cluster, at: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with operated(cluster, at, "reverts", tmp_path_factory.mktemp("reverts")) as prepared:
        prepared.on.release("v1")
        prepared.on.runtime("small", by_default=True, resources=SMALL)
        yield prepared.on


def reverting() -> factories.Modifier:
    return factories.with_spec(rollout={"revert": {"seconds": SECONDS, "maxFailedPercent": LIMIT, "minRuns": LEAST}})


def judged(on: Stage, cluster: Cluster, at: Gateway, cases: Sequence[Case]) -> list[Verdict]:
    """Deploys all these versions over v1, under load; returns their outcomes once the time of each is over."""
    for case in cases:
        on.app(case.app, reverting())
        on.deploy(case.app, "v1", row=f"{case.app}-good", config=ONE_POD)
    for case in cases:
        on.until(f"{case.app}-good", "Live", 300)
        until_answer(host_of(on, case.app), at, "v1", on.key(case.app))
    with contextlib.ExitStack() as callers:
        for case in cases:
            callers.enter_context(calling(cluster, host_of(on, case.app), on.key(case.app), new=RATE))
        time.sleep(LEAST / RATE)  # no condition is awaited: these are the runs of the previous version
        for case in cases:
            on.release(case.version, text=case.flow())
            on.deploy(case.app, case.version, row=f"{case.app}-tried")
        with ThreadPoolExecutor(len(cases)) as pool:
            return [*pool.map(lambda case: verdict(on, at, case), cases)]


def verdict(on: Stage, at: Gateway, case: Case) -> Verdict:
    """Waits until the version is reverted, or its time is over."""

    def live_at() -> float | None:
        row = on.row(f"{case.app}-tried")
        outcome = row["spec"].get("outcome", {})
        assert outcome.get("result", "Succeeded") == "Succeeded", said(row)
        return datetime.fromisoformat(outcome["at"]).timestamp() if outcome.get("result") == "Succeeded" else None

    since = eventually(f"{case.app} is live", live_at, 120)

    def reverts() -> list[Manifest]:
        return [row for row in on.rows(case.app) if row["metadata"]["name"].startswith(f"{case.app}-revert-")]

    def over() -> bool:
        if case.crashes and time.time() > since + CRASHES_AFTER:
            asked(ThroughTheGateway(host_of(on, case.app), at), on.key(case.app), crash=True)
        return bool(reverts()) or time.time() > since + SECONDS + 2

    eventually(f"the time of {case.app} is over", over, SECONDS + 60, 0.5)
    for revert in reverts():
        return Verdict(case, revert, datetime.fromisoformat(revert["metadata"]["creationTimestamp"]).timestamp() - since)
    return Verdict(case, None, time.time() - since)


def told(on: Stage, verdicts: Sequence[Verdict]) -> None:
    """Asserts the statuses of each surface for reverted versions."""
    for each in verdicts:
        assert each.revert is not None, each
        row = on.until(each.revert["metadata"]["name"], "Live", 120)
        assert row["spec"]["pinned"]["restores"]["row"] == f"{each.case.app}-good", row["spec"]
        assert row["spec"]["pinned"]["source"] == "Revert", row["spec"]
        assert on.row(f"{each.case.app}-tried")["spec"]["outcome"]["result"] == "Succeeded"
        assert "Reverted" in on.events(each.case.app), on.events(each.case.app)


def note(title: str, verdicts: Sequence[Verdict]) -> None:
    FIGURES.note(f"{title}, limit {LIMIT} %, at least {LEAST} runs, {SECONDS} s, {RATE} calls/s each", *(f"  {each}" for each in verdicts))


def in_turn(on: Stage, cluster: Cluster, at: Gateway, cases: Sequence[Case]) -> list[Verdict]:
    """Judges all cases, `SIDE_BY_SIDE` at a time; deletes each App before the next ones start."""
    outcomes = []
    for begin in range(0, len(cases), SIDE_BY_SIDE):
        outcomes += judged(on, cluster, at, cases[begin : begin + SIDE_BY_SIDE])
        told(on, [each for each in outcomes[begin:] if each.revert is not None])
        for each in outcomes[begin:]:
            on.delete("App", each.case.app)
    return outcomes


def test_each_bad_version_is_reverted_in_time_and_no_healthy_one(on: Stage, cluster: Cluster, at: Gateway) -> None:
    chance, bad, numbers = random.Random(0), counted(BAD) - 1, itertools.count(2)  # noqa: S311
    shares = [0.1 + 0.9 * place / (bad - 1) for place in range(bad)] if bad > 1 else [0.3]
    cases = [Case(f"bad{place}", f"v{next(numbers)}", share) for place, share in enumerate(shares)]
    cases += [Case("crashing", f"v{next(numbers)}", 0.0, crashes=True)]
    cases += [Case(f"healthy{place}", f"v{next(numbers)}", chance.uniform(0, 0.02)) for place in range(counted(HEALTHY))]
    chance.shuffle(cases)
    verdicts = in_turn(on, cluster, at, cases)
    note(f"{bad + 1} bad versions and {len(cases) - bad - 1} healthy ones, {SIDE_BY_SIDE} side by side", verdicts)
    assert [str(each) for each in verdicts if each.case.is_bad and (each.revert is None or each.seconds > SECONDS)] == []
    assert [str(each) for each in verdicts if not each.case.is_bad and each.revert is not None] == []
