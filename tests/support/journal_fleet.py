"""Runs pods against replicas of a journal on one database, which are killed and started again meanwhile.

Each pod sends a call that broke to another replica, as often as it takes, as the pods of Apps do.
"""

from __future__ import annotations

import base64
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import requests

from dynamiq_recorder.journal.model import State
from dynamiq_recorder.journal.store import opened
from tests.support.journal import APP
from tests.support.journal_process import JournalProcess
from tests.support.journal_store import Clock, Kept, everything
from tests.support.waiting import IN_TIME

NODES = ("a", "b", "c", "d")
KINDS = [f"node.{name}" for name in NODES]
INPUT = {"text": "x" * 200}
AGAIN = 0.02
"""Seconds until a broken call is sent again."""


class Caller:
    """A pod's calls, each to the next of the replicas."""

    def __init__(self, token: str, replicas: list[JournalProcess], at: int) -> None:
        self._replicas, self._at = replicas, at
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"
        self.broken = 0

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Returns the JSON of the answer."""
        until = time.monotonic() + IN_TIME
        while True:
            self._at += 1
            url = f"{self._replicas[self._at % len(self._replicas)].url}/v1/apps/{APP.app_uid}/{path}"
            try:
                answer = self._session.post(url, json=body, timeout=30)
            except requests.RequestException:
                self.broken += 1
            else:
                if answer.ok:
                    return answer.json()
                assert answer.status_code in (429, 503), answer.text
            assert time.monotonic() < until, "no replica answers"
            time.sleep(AGAIN)


class Fleet:
    """Replicas, and pods that accept and execute runs of four nodes. `lease`: as a JournalProcess's."""

    def __init__(self, folder: Path, address: str, *, replicas: int, pods: int, lease: float | None) -> None:
        self.address, self.lease = address, lease
        places = {f"pod-{number}": msgspec.structs.replace(APP, pod=f"chat-{number}") for number in range(pods + 1)}
        began = time.time()
        folders = [folder / f"replica-{number}" for number in range(replicas)]
        for each in folders:
            each.mkdir(parents=True)
        self.replicas = [JournalProcess(each, places, lease, address=address, began=began) for each in folders]
        self.pods = [Caller(token, self.replicas, number) for number, token in enumerate(places)]
        self.accepted: list[str] = []
        self.ends = Counter[str]()
        """Ends that the journal took, by run."""
        self.fenced = self.kills = 0
        self._over, self._lock = threading.Event(), threading.Lock()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs replicas and pods while the block runs, and until the pods have executed all accepted runs."""
        for each in self.replicas:
            each.start()
        with ThreadPoolExecutor(len(self.pods)) as pool:
            working = [pool.submit(self._work, each) for each in self.pods[1:]]
            try:
                yield
            finally:
                self._over.set()
            for pod in working:
                pod.result()
        for each in self.replicas:
            each.kill()

    def accept(self, count: int = 1) -> None:
        """Accepts runs, one after the other."""
        for _ in range(count):
            run_id = str(uuid.uuid4())
            answer = self.pods[0].post("runs", {"id": run_id, "key": "of-ann", "input": INPUT, "claim": False})
            assert answer["data"]["id"] == run_id
            self.accepted.append(run_id)

    def kill(self, replica: int) -> None:
        """Kills a replica, and starts it again."""
        self.kills += 1
        self.replicas[replica].kill()
        self.replicas[replica].start()

    @property
    def left(self) -> int:
        return len(self.accepted) - len(self.ends)

    def _work(self, pod: Caller) -> None:
        while not (self._over.is_set() and self.left == 0):
            claims = pod.post("claims", {"instance": "i", "free": 2, "held": 0, "wait": random.choice((0, 1))})  # noqa: S311
            for each in claims["data"]:
                self._execute(pod, each)
            if claims["next_seconds"]:
                time.sleep(AGAIN)

    def _execute(self, pod: Caller, claim: dict[str, Any]) -> None:
        run_id, fence, number = claim["run"]["id"], claim["fence"], 0
        for name in [each for each in NODES if each not in claim["parts"]]:
            number += 1
            part = base64.b64encode(name.encode() * 500).decode()
            save = {"parts": {name: part}, "events": [{"type": f"node.{name}", "data": {"text": "y" * 300}}]}
            if not self._save(pod, run_id, fence, number, save):
                return
        if self._save(
            pod, run_id, fence, number + 1, {"end": {"status": "completed", "reason": "succeeded", "output": {"text": "z" * 200}}}
        ):
            with self._lock:
                self.ends[run_id] += 1

    def _save(self, pod: Caller, run_id: str, fence: int, number: int, save: dict[str, Any]) -> bool:
        body = {"instance": "i", "saves": [{"id": run_id, "fence": fence, "number": number, **save}]}
        ok = bool(pod.post("saves", body)["data"][0]["ok"])
        with self._lock:
            self.fenced += not ok
        return ok

    def check(self) -> str:
        """Checks that each accepted run ended once, with each of its nodes once, in events without gaps. Returns a line about it."""
        store = Kept(opened(self.address), Clock())
        total, runs = 0, set[str]()
        while page := store.store.page(everything(offset=total), content=False)[0]:
            total += len(page)
            for shown in page:
                assert shown.run.state is State.COMPLETED, shown.run
                kinds = [kind for kind in store.kinds(shown.run.id) if kind.startswith("node.")]
                assert kinds == KINDS, kinds
                assert store.kinds(shown.run.id)[-1] == "run.completed"
                runs.add(shown.run.id)
        store.check()
        store.store.close()
        assert total == len(self.accepted)
        assert runs == set(self.accepted) == set(self.ends)
        assert set(self.ends.values()) == {1}
        broken = sum(each.broken for each in self.pods)
        return f"{total} runs, {self.kills} kills of a replica, {broken} broken calls, {self.fenced} fenced saves: 0 lost, 0 ended twice, no gaps"
