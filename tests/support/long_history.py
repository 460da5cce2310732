"""Measures a reconcile of an idle App by the length of its history: the snapshot and the plan, with a scripted API server."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from dynamiq_operator.kube.resources import APPS, ROWS, VERSIONS
from dynamiq_operator.plan.planner import make_plan
from tests.support import factories as given
from tests.support.controller import Process, at, connected, stored
from tests.support.scripted import Script, listed

KEY = (given.NAMESPACE, given.NAME)
ROUNDS, CALLS = 7, 20


async def ratio(folder: Path, long: int, short: int, say: Callable[[str], None]) -> float:
    """Returns how much longer a pass takes with the long history than with the short one."""
    costs = {rows: await cost(folder, rows) for rows in (short, long)}
    quotient = costs[long] / costs[short]
    figures = ", ".join(f"of {rows} rows {seconds * 1e6:.0f} µs" for rows, seconds in costs.items())
    say(f"a pass for an App at rest, {figures}; ratio {quotient:.2f}")
    return quotient


async def cost(folder: Path, rows: int) -> float:
    """Returns seconds of processor time for a snapshot and a plan: the least of several rounds, since noise only ever adds."""
    closed = [stored(given.row_manifest(f"r{number}", given.superseded(number, "v1"))) for number in range(1, rows)]
    live = given.row_manifest("live", given.live(rows, "v1"))
    script = Script().on("GET", at(ROWS), listed(*closed, stored(live)))
    async with connected(script, folder) as client:
        process = Process(client, script)
        app = given.app_manifest(given.public(), given.with_deploy(workflowVersion="v1"), given.with_spec(history={"limit": 100_000}))
        process.cache.update(APPS, stored(app))
        process.cache.update(ROWS, stored(live))
        process.cache.update(VERSIONS, stored(given.version_manifest("v1")))
        make_plan(await process.observer.observe(KEY))
        best = float("inf")
        for _ in range(ROUNDS):
            began = time.process_time()
            for _ in range(CALLS):
                make_plan(await process.observer.observe(KEY))
            best = min(best, (time.process_time() - began) / CALLS)
    return best
