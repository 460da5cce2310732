"""Relays requests of pods to the recorders, and keeps the ids of the runs that a recorder has acknowledged; sometimes loses an answer.

Requests go to the recorders in turn. An unreachable recorder is a closed connection, as without a relay.
"""

from __future__ import annotations

import gzip
import http.client
import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.support.scripted import HttpServer, Reply, Sent
from tests.support.waiting import eventually

WITHIN = 30.0  # seconds
PASSED_ON = ("Content-Type", "Content-Encoding", "Authorization")


class Relay:
    """A relay and its counts. `acknowledged`: ids of runs whose batch was answered 200, even if that answer was lost, as every `lose`th is.

    `goodbyes`: processes with a last batch. `statuses`: the number of answers by status; 0 if nothing answered. `in_hand`: requests at a
    recorder, which may store them though their sender no longer waits.
    """

    def __init__(self, lose: int) -> None:
        self.url = ""
        self.acknowledged: set[str] = set()
        self.goodbyes: set[str] = set()
        self.statuses: dict[int, int] = {}
        self.lost = self.in_hand = 0
        self._lose = lose
        self._taken = itertools.count(1)
        self._lock = threading.Lock()

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Counts a request as in hand while the block runs."""
        with self._lock:
            self.in_hand += 1
        try:
            yield
        finally:
            with self._lock:
                self.in_hand -= 1

    def until_answered(self) -> None:
        """Waits until recorders have answered all their requests: earlier reads may lack a run that is acknowledged later."""
        eventually("no request is in a recorder's hand", lambda: self.in_hand == 0)

    def note(self, status: int, body: bytes) -> bool:
        """Notes an answer to a batch; returns True if the sender may get it."""
        ids, goodbye = read(body) if status == 200 else ([], None)
        with self._lock:
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if status != 200:
                return bool(status)
            self.acknowledged.update(ids)
            self.goodbyes.update([goodbye] if goodbye else [])
            if next(self._taken) % self._lose:
                return True
            self.lost += 1
            return False


@contextmanager
def relaying(recorders: Sequence[str], *, lose: int = 50) -> Iterator[Relay]:
    """Runs a relay on a loopback port, in front of recorders at these URLs."""
    relay, turn = Relay(lose), itertools.cycle([urlsplit(url).netloc for url in recorders])

    def answer(sent: Sent) -> Reply:
        with relay.handling():
            headers = {name: value for name, value in sent.headers.items() if name.title() in PASSED_ON}
            status, retry_after, content = _forward(next(turn), sent.path, sent.raw, headers)
            is_told = relay.note(status, sent.raw)
        return Reply(status, content, {"Retry-After": retry_after} if retry_after else {}, cut=not is_told)

    with HttpServer(answer) as server:
        relay.url = server.url
        yield relay


def read(body: bytes) -> tuple[list[str], str | None]:
    """Parses a compressed request of the runtime: the ids of its runs, and the process that sends its goodbye."""
    (group,) = json.loads(gzip.decompress(body))["resourceSpans"]
    resource = _attributes(group["resource"])
    runs = [_attributes(span) for scope in group["scopeSpans"] for span in scope["spans"] if span["name"] == "run"]
    goodbye = resource["service.instance.id"]["stringValue"] if "dynamiq.instance.ended" in resource else None
    return [each["dynamiq.run.id"]["stringValue"] for each in runs], goodbye


def _attributes(of: dict[str, Any]) -> dict[str, Any]:
    return {entry["key"]: entry["value"] for entry in of["attributes"]}


def _forward(to: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection(to, timeout=WITHIN)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["Retry-After"], answer.read()
    except (OSError, http.client.HTTPException):
        return 0, None, b""
    finally:
        connection.close()
