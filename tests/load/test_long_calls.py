"""Tests runs and streams of a minute, across a decision to sleep, a wake, a switch and a revert: each is complete."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException

import pytest

from local.clusters import Cluster
from local.gateway import Gateway
from tests.support import factories
from tests.support.flows import a_flow
from tests.support.gateway import ThroughTheGateway
from tests.support.load.operated import operated
from tests.support.load.sleepers import host_of, is_asleep, patient, serverless, until_asleep
from tests.support.stage import Stage
from tests.support.waiting import eventually

pytestmark = pytest.mark.long("runs of a minute each; sleep, wake, switch and revert with short ones: tests/node/test_no_call_fails.py")

LASTS = 60.0
"""Seconds: longer than two deploys in parallel, and than the watch of a version before its revert."""
BAD = "v4"
CALLER_WAITS = 300.0


@pytest.fixture(scope="module")
def on(cluster: Cluster, at: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with operated(cluster, at, "long", tmp_path_factory.mktemp("long")) as prepared:
        for version in ("v1", "v2", "v3"):
            prepared.on.release(version, text=slow(version))
        prepared.on.release(BAD, text=slow(BAD, fails=True))
        prepared.on.runtime("patient", by_default=True, drainSeconds=int(LASTS) + 30)
        yield prepared.on


def slow(version: str, *, fails: bool = False) -> str:
    """Returns a flow that answers after the seconds of its input; `fails`: without seconds in the input it fails."""
    lines = ["import time", "def run(inputs):", "    seconds = inputs.get('seconds', 0)"]
    lines += ["    if not seconds:", "        raise ValueError('a bad version')"] if fails else []
    return a_flow("\n".join([*lines, "    time.sleep(seconds)", f"    return {version!r}", ""]), answer="answer")


@dataclass(frozen=True)
class Long:
    """One App, and its long calls under way."""

    on: Stage
    at: Gateway
    app: str
    pool: ThreadPoolExecutor

    def begin(self) -> list[Future[tuple[int, str, float]]]:
        """Starts a run and a stream."""
        return [self.pool.submit(self._call, LASTS, stream) for stream in (False, True)]

    def _call(self, seconds: float, stream: bool) -> tuple[int, str, float]:
        connection, began = ThroughTheGateway(host_of(self.on, self.app), self.at, CALLER_WAITS), time.monotonic()
        body = json.dumps({"input": {"seconds": seconds}, "stream": stream})
        try:
            connection.request("POST", "/", body, {"Content-Type": "application/json", "Authorization": f"Bearer {self.on.key(self.app)}"})
            answered = connection.getresponse()
            return answered.status, answered.read().decode(), time.monotonic() - began
        except (OSError, HTTPException) as error:
            return 0, repr(error), time.monotonic() - began
        finally:
            connection.close()

    def quick(self) -> int:
        """Returns the status of a short call."""
        return self._call(0, False)[0]


def whole(long: list[Future[tuple[int, str, float]]], version: str) -> None:
    """Asserts that each call lasted, and is complete: the answer, and of a stream the last event."""
    for each in long:
        status, text, took = each.result(CALLER_WAITS)
        assert status == 200, (version, status, text, took)
        assert f'"answer":"{version}"' in text.replace(" ", ""), (version, text, took)
        assert took >= LASTS


def in_flight(long: list[Future[tuple[int, str, float]]]) -> bool:
    return not any(each.done() for each in long)


def across_a_decision_to_sleep(each: Long) -> None:
    """Asserts that a run prevents sleep: the App sleeps only after its end."""
    each.on.app(each.app, patient())
    each.on.live(each.app, "v1", config=serverless())
    eventually("it answers", lambda: each.quick() == 200)
    long = each.begin()
    eventually("it sleeps or the calls end", lambda: is_asleep(each.on, each.app) or not in_flight(long), CALLER_WAITS, 0.5)
    assert not is_asleep(each.on, each.app), "it fell asleep over a run"
    whole(long, "v1")
    until_asleep(each.on, each.app)


def across_a_wake(each: Long) -> None:
    """Asserts that calls that wake the App, through the gate, outlive the slice that led there."""
    each.on.app(each.app, patient())
    each.on.live(each.app, "v1", config=serverless())
    until_asleep(each.on, each.app)
    whole(each.begin(), "v1")


def across_switches(each: Long) -> None:
    """Asserts that calls are complete although their version is replaced, and then deleted."""
    each.on.app(each.app, patient(), factories.with_spec(rollout={"strategy": "Switch"}))
    each.on.live(each.app, "v1")
    eventually("it answers", lambda: each.quick() == 200)
    long = each.begin()
    time.sleep(1)  # nothing is waited for: they are under way
    for version in ("v2", "v3"):
        each.on.live(each.app, version)
    assert in_flight(long)
    whole(long, "v1")


def across_a_revert(each: Long) -> None:
    """Asserts that calls are complete although their version is reverted."""
    each.on.app(each.app, patient(), factories.with_spec(rollout={"revert": {"seconds": 300, "maxFailedPercent": 20, "minRuns": 20}}))
    first = each.on.live(each.app, "v1")
    each.on.live(each.app, BAD)
    eventually("the bad version answers", lambda: each.quick() == 500)
    long = each.begin()

    def taken_back() -> bool:
        each.quick()
        return any(row["spec"].get("pinned", {}).get("restores", {}).get("row") == first for row in each.on.rows(each.app))

    eventually("it is taken back", taken_back, LASTS)
    assert in_flight(long)
    whole(long, BAD)


@pytest.mark.full_count
@pytest.mark.timeout(1200)
def test_long_runs_and_streams_are_whole_across_sleep_wake_switch_and_revert(on: Stage, at: Gateway) -> None:
    scenes = (across_a_decision_to_sleep, across_a_wake, across_switches, across_a_revert)
    with ThreadPoolExecutor(3 * len(scenes)) as pool:
        done = [pool.submit(scene, Long(on, at, scene.__name__.replace("_", "-")[:30], pool)) for scene in scenes]
        failures = [f"{scene.__name__}: {each.exception()!r}" for scene, each in zip(scenes, done, strict=True) if each.exception()]
    assert failures == []
