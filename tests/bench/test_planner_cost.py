"""Measures a plan against parsing its objects: the ratio does not depend on a machine's speed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import App, Manifest, Row, Runtime
from dynamiq_operator.plan.planner import make_plan
from tests.support import long_history
from tests.support.world import World, a_world, serving

LONG_ENOUGH = 0.5  # seconds for one figure
ARRIVING = 10
RATIO_MOST = 20.0
"""With more than this times the parse of its objects, the planner would be most of the operator's work."""
GROWTH_MOST = 20.0
"""The limit for ten times the rows: a plan that takes longer than a lease lasts would never be carried out."""
PASS_RATIO_MOST = 1.5


def _microseconds(call: Callable[[], object]) -> float:
    """Returns the least time of one call, over several rounds: noise only ever adds."""
    call()
    began = time.perf_counter()
    call()
    rounds = max(int(LONG_ENOUGH / 5 / max(time.perf_counter() - began, 1e-6)), 1)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(rounds):
            call()
        best = min(best, (time.perf_counter() - began) / rounds)
    return best * 1e6


def _parse(world: World) -> Callable[[], object]:
    """Returns a parser of the App's JSON texts, into typed objects for the kinds that the operator keeps so."""
    kinds: dict[tuple[str, str], Callable[[Manifest], object]] = {
        (API_VERSION, "App"): App.of,
        (API_VERSION, "Deployment"): Row.of,
        (API_VERSION, "Runtime"): Runtime.of,
    }
    texts = [(kinds.get((version, kind), dict), json.dumps(raw)) for (version, kind, _), raw in world.objects.items()]
    return lambda: [of(json.loads(text)) for of, text in texts]


def _rolling() -> World:
    world = serving("v1")
    world.deploy("b", "v2")
    world.settle()
    world.stall({"running": {}}, old=1)
    return world


def _arriving() -> World:
    world = serving("v1")
    for number in range(ARRIVING):
        world.deploy(f"r{number}", "v2")
    return world


@pytest.mark.parametrize(
    ("title", "make"), [("at rest", serving), ("no rows", a_world), ("rolling out", _rolling), ("ten rows arrive", _arriving)]
)
def test_cost_of_a_plan(title: str, make: Callable[[], World]) -> None:
    world = make()
    snapshot = world.snapshot()
    plan, parse = _microseconds(lambda: make_plan(snapshot)), _microseconds(_parse(world))
    print(f"\nmake_plan, {title:16s} {plan:8.0f} µs; its objects parsed {parse:8.0f} µs; ratio {plan / parse:6.2f}", end="")
    assert plan / parse < RATIO_MOST


def test_cost_grows_with_the_rows_that_arrive_and_not_with_their_square() -> None:
    few, many = (_seconds_for(count) for count in (50, 500))
    print(f"\nmake_plan, 50 rows arrive {few:.2f} s, 500 rows {many:.2f} s; ratio {many / few:.1f}")
    assert many / few < GROWTH_MOST


def _seconds_for(count: int) -> float:
    world = serving("v1")
    for number in range(count):
        world.deploy(f"r{number}", "v2")
    snapshot = world.snapshot()
    began = time.process_time()
    make_plan(snapshot)
    return time.process_time() - began


async def test_a_pass_costs_the_same_however_long_the_history_is(tmp_path: Path) -> None:
    """`make soak` takes 10,000 rows."""
    assert await long_history.ratio(tmp_path, 1_000, 10, print) < PASS_RATIO_MOST
