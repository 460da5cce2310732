"""Measures a journal with many open runs of one App, and one with many pods that wait: another App's claims, memory, processor. No cluster.

The journals are processes with interpreters of their own. Pods are long polls of this process, each with its own token.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dynamiq_operator.model.journal import JOURNAL_AUDIENCE
from dynamiq_recorder.identity.tokens import Tokens
from dynamiq_recorder.journal import operations
from dynamiq_recorder.journal.model import Limits
from dynamiq_recorder.journal.serve import PODS_FOR
from dynamiq_recorder.journal.store import opened
from dynamiq_recorder.journal.tables import Work
from dynamiq_runtime.background import POLL
from tests.bench.journal_calls import at, mebibytes, processor_seconds, shown
from tests.support.journal import APP, a_run
from tests.support.journal_program import RIVAL, Process
from tests.support.journal_store import a_new_run
from tests.support.recorder_stage import HOST, OTHER_UID, RecorderStage, pod_user

OPEN, CLAIMS = int(os.environ.get("BENCH_OPEN", "10000")), int(os.environ.get("BENCH_CLAIMS", "2000"))
INPUT = json.dumps({"question": "x" * 1000}).encode()
CLAIM_MOST, MEMORY_MOST = 1.2, 200.0
READ = 20
"""Pages of a hundred runs with their contents that are read before memory is measured, and claims of a hundred runs."""
APPS, PODS = int(os.environ.get("BENCH_APPS", "100")), 10
WAIT = int(POLL)
"""Seconds of a pod's long poll."""
SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
CORE_MOST, REVIEWS_MOST = 0.05, 2.0
RENEWED = 2880.0
"""Seconds after which the kubelet gives a pod another token: four fifths of its hour."""


class Rival:
    """The pod of another App, with a kept connection to a journal."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=60)

    def _call(self, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {RIVAL}", "Content-Type": "application/json"}
        self._connection.request("POST", f"/v1/apps/{OTHER_UID}/{path}", json.dumps(body), headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status in (200, 201), content
        return json.loads(content)

    def claim(self) -> float:
        """Accepts, claims and ends a run. Returns the seconds of the claim."""
        run = a_run()
        self._call("runs", run)
        began = time.perf_counter()
        (claimed,) = self._call("claims", {"instance": "i", "free": 5, "held": 0, "wait": 0})["data"]
        took = time.perf_counter() - began
        end = {"status": "completed", "reason": "succeeded", "output": {}}
        save = {"id": run["id"], "fence": claimed["fence"], "number": 1, "end": end}
        assert self._call("saves", {"instance": "i", "saves": [save]})["data"][0]["ok"]
        return took


def fill(store: Path, count: int) -> None:
    """Adds open runs of APP, as if they had been accepted."""

    def accept(work: Work) -> None:
        for _ in range(count):
            operations.accept(work, APP, a_new_run(input=INPUT), Limits(of_app=count, of_key=count), claims=False)

    filled = opened(f"sqlite://{store}")
    filled.commit(accept)
    filled.close()


def use(journal: Process) -> None:
    """Reads and claims much of the App with many runs."""
    for number in range(1, READ + 1):
        page = journal.call("GET", f"runs?page_size=100&page={number}").json()
        assert page["pagination"]["total_count"] == OPEN
        claims = journal.call("POST", "claims", body={"instance": "i", "free": 100, "held": 0, "wait": 0}).json()["data"]
        assert len(claims) == 100 or OPEN < 100 * READ


@pytest.mark.timeout(1800)
def test_many_open_runs_of_one_app_delay_no_claim_of_another(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("full", "empty")]
    for folder in folders:
        folder.mkdir()
    with RecorderStage(tmp_path) as stage:
        full, empty = (Process(stage, folder, anew=True) for folder in folders)
        fill(full.store, OPEN)
        with full.running(), empty.running():
            ours, theirs = Rival(full.port), Rival(empty.port)
            for _ in range(CLAIMS // 10):
                ours.claim(), theirs.claim()
            pairs = [(ours.claim(), theirs.claim()) if n % 2 else (theirs.claim(), ours.claim())[::-1] for n in range(CLAIMS)]
            use(full)
            memory, most = mebibytes(full.pid), mebibytes(full.pid, "VmHWM")
    beside_many, beside_none = zip(*pairs, strict=True)
    ratio = at(beside_many, 0.95) / at(beside_none, 0.95)
    print(
        f"\nclaims of an App, {CLAIMS} pairs, load {os.getloadavg()[0]:.1f}: beside {OPEN} open runs of another App {shown(beside_many)}; beside "
        f"none {shown(beside_none)}; ratio of p95 {ratio:.2f}; memory of the journal {memory:.0f} MiB, at most {most:.0f} MiB"
    )
    assert ratio <= CLAIM_MOST
    assert most <= MEMORY_MOST


@pytest.mark.timeout(900)
def test_pods_at_rest_cost_little_of_a_processor(tmp_path: Path) -> None:
    with RecorderStage(tmp_path) as stage:
        journal = Process(stage, anew=True)
        uids = [f"{number:08x}-0000-4000-8000-000000000001" for number in range(1, APPS + 1)]
        for uid in uids:
            journal.add_app(uid, f"app-{uid[:8]}")
            for pod in range(PODS):
                journal.add_pod(f"token-{uid[:8]}-{pod}", f"pod-{uid[:8]}-{pod}", of=f"app-{uid[:8]}", app_uid=uid)
        with journal.running():
            for uid in uids:  # pods of an App that never had a run ask once a minute
                body = a_run(claim=True)
                assert journal.call("POST", "runs", f"token-{uid[:8]}-0", body, uid).status_code == 201
                save = {"id": body["id"], "fence": 1, "number": 1, "end": {"status": "completed", "reason": "succeeded"}}
                assert journal.call("POST", "saves", f"token-{uid[:8]}-0", {"instance": "i", "saves": [save]}, uid).status_code == 200
            used, polls = asyncio.run(_at_rest(journal, uids))
            memory = mebibytes(journal.pid)
    print(
        f"\n{APPS * PODS} pods of {APPS} Apps at rest for {SECONDS} s, load {os.getloadavg()[0]:.1f}: {polls / SECONDS:.0f} polls/s, "
        f"{used / SECONDS:.1%} of a core, {memory:.0f} MiB"
    )
    assert polls / SECONDS >= 0.9 * APPS * PODS / WAIT
    assert used / SECONDS <= CORE_MOST


async def _at_rest(journal: Process, uids: list[str]) -> tuple[float, int]:
    """Lets all pods poll. Returns the processor's seconds that the journal used, and the polls that it answered."""
    answered = 0
    loop = asyncio.get_running_loop()

    async def poll(client: aiohttp.ClientSession, uid: str, pod: int, delay: float) -> None:
        nonlocal answered
        await asyncio.sleep(delay)
        url, headers = f"{journal.url}/v1/apps/{uid}/claims", {"Authorization": f"Bearer token-{uid[:8]}-{pod}"}
        while True:
            async with client.post(url, headers=headers, json={"instance": "i", "free": 5, "held": 0, "wait": WAIT}) as answer:
                assert (await answer.json())["data"] == []
            answered += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=120)) as client:
        pods = [(uid, pod) for pod in range(PODS) for uid in uids]
        tasks = [asyncio.create_task(poll(client, *each, WAIT * number / len(pods))) for number, each in enumerate(pods)]
        await asyncio.sleep(WAIT + 5)
        before, since, began = processor_seconds(journal.pid), answered, loop.time()
        await asyncio.sleep(SECONDS)
        used, polls, took = processor_seconds(journal.pid) - before, answered - since, loop.time() - began
        for task in tasks:
            assert not task.done(), task.result()
            task.cancel()
    return used * SECONDS / took, round(polls * SECONDS / took)


class Reviews:
    """An API server that knows every token, and counts the reviews."""

    def __init__(self) -> None:
        self.count = 0

    async def request(self, *_: object, body: Any, **__: object) -> Any:
        self.count += 1
        pod = body["spec"]["token"].partition("/")[0]
        user = {name: value for name, value in pod_user("team", pod, f"uid-{pod}").items() if name != "audience"}
        return {"status": {"authenticated": True, "audiences": [JOURNAL_AUDIENCE], "user": user}}


async def test_pods_at_rest_cost_the_api_server_two_reviews_a_second() -> None:
    """The cache of the journal's own class, at a simulated time: all pods poll for two hours, and the kubelet renews their tokens."""
    now, server, pods, hours = 0.0, Reviews(), APPS * PODS, 2
    tokens = Tokens(server, lambda: now, audience=JOURNAL_AUDIENCE, pods_for=PODS_FOR)  # type: ignore[arg-type]
    each_second: list[int] = []
    for second in range(hours * 3600):
        now, before = float(second), server.count
        for pod in range(second % WAIT, pods, WAIT):
            # Pods did not start at one time, and so do not get their tokens at one time.
            since = int((now + pod * RENEWED / pods) // RENEWED)
            await tokens.user(f"chat-{pod}/{since}")
        each_second.append(server.count - before)
    rate = sum(each_second) / len(each_second)
    print(f"\nTokenReviews of {pods} pods at rest over {hours} simulated hours: {rate:.2f}/s, at most {max(each_second)} in a second")
    assert rate <= REVIEWS_MOST
