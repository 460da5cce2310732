"""Measures what runs that wait for a person cost the journal at rest, beside an empty journal: processor and memory. No cluster.

The journals are processes with interpreters of their own. This process asks both what gates, the operator, a pod and Prometheus ask.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import aiohttp
import pytest

from dynamiq_recorder.journal import operations
from dynamiq_recorder.journal.model import Limits, Pause
from dynamiq_recorder.journal.store import opened
from dynamiq_recorder.journal.tables import Work
from dynamiq_runtime.background import POLL
from tests.bench.journal_calls import mebibytes, processor_seconds
from tests.support.journal import APP
from tests.support.journal_program import POD, Process
from tests.support.journal_store import a_new_run, a_question, a_save
from tests.support.recorder_stage import ADMIN, HOST, RecorderStage

WAITING, SECONDS = int(os.environ.get("BENCH_WAITING", "10000")), int(os.environ.get("BENCH_SECONDS", "60"))
CORE_MOST, MEMORY_MOST = 0.01, 50.0
"""Parts of a core, and MiB more than an empty journal."""
INPUT = json.dumps({"question": "x" * 1000}).encode()
LISTENERS = 3
"""Two gates and an operator poll the counts of open runs."""
SCRAPES = 30
"""Seconds between two scrapes."""


def fill(store: Path) -> None:
    """Adds runs of APP that have done a node, and wait for an approval."""

    def begin(work: Work) -> None:
        for _ in range(WAITING):
            new = a_new_run(input=INPUT)
            run = operations.accept(work, APP, new, Limits(of_app=WAITING, of_key=WAITING), claims=True).run
            save = a_save(new.id, run.fence, parts={"a": INPUT}, events=2, questions=(a_question(),), pause=Pause())
            assert operations.save(work, APP, [save])[0].ok

    filled = opened(f"sqlite://{store}")
    filled.commit(begin)
    filled.close()


@pytest.mark.timeout(900)
def test_runs_that_wait_cost_the_journal_nearly_nothing(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("full", "empty")]
    for folder in folders:
        folder.mkdir()
    with RecorderStage(tmp_path) as stage:
        stage.rights = lambda _: True
        full, empty = (Process(stage, folder, anew=True) for folder in folders)
        fill(full.store)
        with full.running(), empty.running():
            (used, bare), waiting = asyncio.run(_at_rest([full, empty]))
            memory = [mebibytes(each.pid) for each in (full, empty)]
    print(
        f"\n{waiting} waiting runs at rest for {SECONDS} s, load {os.getloadavg()[0]:.1f}: {used / SECONDS:.2%} of a core, an empty journal "
        f"{bare / SECONDS:.2%}; memory {memory[0]:.0f} MiB, of an empty journal {memory[1]:.0f} MiB"
    )
    assert waiting == WAITING
    assert used / SECONDS <= CORE_MOST
    assert memory[0] - memory[1] <= MEMORY_MOST


async def _at_rest(journals: list[Process]) -> tuple[list[float], int]:
    """Lets all clients poll. Returns the processor's seconds that each journal used, and the runs that the first one says wait."""
    waiting = 0

    async def listen(client: aiohttp.ClientSession, journal: Process) -> None:
        nonlocal waiting
        version = ""
        while True:
            headers = {"Authorization": f"Bearer {ADMIN}"}
            async with client.get(f"{journal.url}/v1/open?after={version}&wait={int(POLL)}", headers=headers) as answer:
                snapshot = await answer.json()
            version = snapshot["version"]
            waiting = max(waiting, sum(each["waiting"] for each in snapshot["data"]))

    async def poll(client: aiohttp.ClientSession, journal: Process) -> None:
        url, body = f"{journal.url}/v1/apps/{APP.app_uid}/claims", {"instance": "i", "free": 5, "held": 0, "wait": int(POLL)}
        while True:
            async with client.post(url, headers={"Authorization": f"Bearer {POD}"}, json=body) as answer:
                nothing = await answer.json()
            assert nothing["data"] == []
            await asyncio.sleep(nothing["next_seconds"])  # an App that never had a run is asked for less often

    async def scrape(client: aiohttp.ClientSession, journal: Process) -> None:
        while True:
            async with client.get(f"http://{HOST}:{journal.metrics_port}/metrics") as answer:
                await answer.read()
            await asyncio.sleep(SCRAPES)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as client:
        acts = [act(client, journal) for journal in journals for act in (*[listen] * LISTENERS, poll, scrape)]
        tasks = [asyncio.create_task(each) for each in acts]
        await asyncio.sleep(5)
        before = [processor_seconds(each.pid) for each in journals]
        await asyncio.sleep(SECONDS)
        used = [processor_seconds(each.pid) - since for each, since in zip(journals, before, strict=True)]
        for task in tasks:
            assert not task.done(), task.result()
            task.cancel()
    return used, waiting
