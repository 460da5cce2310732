"""The stream of a background run is cut again and again, by its caller, its pod and the journal. Attached again, it has each event once.

`SOAK=1`: 1,000 cuts, else 20.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.background import KEY, Caller, HasUrl, pod
from tests.support.journal import APP, POD, JournalStage
from tests.support.runtime import DEADLINE, ECHO, Served, events_in
from tests.support.waiting import eventually

CUTS = 1_000 if os.environ.get("SOAK") else 20
STREAMING = "streaming-pod-token"
FOLLOWERS = 120
EACH, PAUSE = 3, 0.005
"""Events of a save, and the seconds until the next one."""


class Writer:
    """A pod of the App that has a run, and saves numbered texts of it until it is closed."""

    def __init__(self, journal: HasUrl, run_id: str) -> None:
        self._url, self._run_id = f"{journal.url}/v1/apps/{APP.app_uid}/saves", run_id
        self._session, self._ends, self.texts, self._number = requests.Session(), threading.Event(), 0, 0
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the run."""
        self._ends.set()
        self._thread.join()
        self._save(end={"status": "completed", "reason": "succeeded", "output": {}})

    def _write(self) -> None:
        while not self._ends.wait(PAUSE):
            texts = [str(number) for number in range(self.texts, self.texts + EACH)]
            self._save(events=[{"type": "node.output.delta", "data": {"delta": text}} for text in texts])
            self.texts += EACH

    def _save(self, **fields: Any) -> None:
        """Saves until the journal has it: a save that was committed and not answered comes again with its number."""
        self._number += 1
        body = {"instance": "i", "saves": [{"id": self._run_id, "fence": 1, "number": self._number, **fields}]}

        def is_saved() -> bool:
            with contextlib.suppress(requests.ConnectionError):
                answer = self._session.post(self._url, json=body, headers={"Authorization": f"Bearer {POD}"}, timeout=DEADLINE)
                if answer.status_code == 200:
                    assert answer.json()["data"][0]["ok"], "another one has the run"
                    return True
            return False

        eventually("it is saved", is_saved, every=0.02)


class Reader:
    """A caller who keeps the events that it got in whole, and attaches after the last one of them."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self.events: list[Any] = []

    @contextlib.contextmanager
    def attached(self, served: Served) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=DEADLINE)
        after = self.events[-1]["sequence"] if self.events else 0
        path = f"/v1/runs/{self._run_id}/stream?after_sequence={after}"
        connection.request("GET", path, headers={"Authorization": f"Bearer {KEY}"})
        try:
            answer = connection.getresponse()
            assert answer.status == 200
            yield answer
        finally:
            connection.close()

    def take(self, answer: http.client.HTTPResponse, most: int | None = None) -> bool:
        """Reads about `most` bytes, else all. Returns True if the stream ended in order, and False if it was cut."""
        text, is_whole = b"", False
        try:
            while most is None or len(text) < most:
                part = answer.read1(1000)
                if not part:
                    is_whole = True
                    break
                text += part
        except (http.client.IncompleteRead, ConnectionError):
            pass
        # The end of what was read may be a part of an event.
        self.events += [data for _, data in events_in(text.decode().rpartition("\n\n")[0])]
        return is_whole


@pytest.mark.full_count
def test_a_stream_that_is_cut_and_attached_again_has_each_event_once(tmp_path: Path) -> None:
    chance, kinds = random.Random(34), Counter[str]()  # noqa: S311
    (tmp_path / "journal").mkdir()
    with JournalStage(tmp_path / "journal") as journal, contextlib.ExitStack() as pods:
        journal.table.add_pod(STREAMING, APP)
        of_streams = journal.table.users[STREAMING]
        run_id = journal.accept(claim=True)["data"]["id"]
        writer, reader = Writer(journal, run_id), Reader(run_id)
        served = pods.enter_context(pod(tmp_path / "pod-0", ECHO, journal, token=STREAMING))
        for cut in range(CUTS):
            kind = {7: "pod", 17: "journal"}.get(cut % 20, ("caller", "server")[cut % 2])
            kinds[kind] += 1
            with reader.attached(served) as answer:
                assert not reader.take(answer, chance.randint(1, 3_000))
                if kind == "caller":
                    continue
                if kind == "pod":
                    served.process.kill()
                elif kind == "journal":
                    journal.stop()
                    journal.start()
                else:
                    del journal.table.users[STREAMING]
                assert not reader.take(answer), "a stream that is cut looks like no stream that has ended"
                journal.table.users[STREAMING] = of_streams
            if kind == "pod":
                served = pods.enter_context(pod(tmp_path / f"pod-{cut}", ECHO, journal, token=STREAMING))
        writer.close()
        with reader.attached(served) as answer:
            assert reader.take(answer)
    texts = [each["data"]["delta"] for each in reader.events if each["type"] == "node.output.delta"]
    print(f"\n{CUTS} cuts of a stream ({dict(kinds)}): {len(reader.events)} events, each once and in order")
    assert [each["sequence"] for each in reader.events] == list(range(1, len(reader.events) + 1))
    assert texts == [str(number) for number in range(writer.texts)]
    assert reader.events[-1]["type"] == "run.completed"


def test_runs_of_a_pod_go_on_while_many_callers_follow_a_run_there(tmp_path: Path) -> None:
    with (
        JournalStage(tmp_path) as journal,
        pod(tmp_path / "pod", ECHO, journal, token=POD) as served,
        contextlib.ExitStack() as streams,
    ):
        followed = journal.accept(claim=True)["data"]["id"]
        for _ in range(FOLLOWERS):
            streams.enter_context(Reader(followed).attached(served))
        caller = Caller(served)
        assert caller.ended(caller.begin({"question": "still there?"}))["status"] == "completed"
