"""Floods a recorder with runs at a steady rate, from a process of its own, with prepared and compressed bodies."""

from __future__ import annotations

import gzip
import http.client
import multiprocessing
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.bench.journal_calls import processor_seconds
from tests.bench.test_recorder import EACH, a_body
from tests.support.recorder_stage import HOST, POD_TOKEN

HEADERS = {"Authorization": f"Bearer {POD_TOKEN}", "Content-Type": "application/json", "Content-Encoding": "gzip"}


@dataclass
class Flood:
    """The size of a flood: bodies that the recorder took in so many seconds, and the processor's seconds of recorder and sender."""

    bodies: int = 0
    seconds: float = 0.0
    burned: float = 0.0

    @property
    def runs_per_second(self) -> float:
        return self.bodies * EACH / self.seconds


def prepared(count: int) -> list[bytes]:
    """Returns bodies of EACH runs of one pod."""
    instance = str(uuid.uuid4())
    return [gzip.compress(a_body(instance, 1 + EACH * number), 1) for number in range(count)]


@contextmanager
def flooding(recorder: int, port: int, bodies: list[bytes], rate: float) -> Iterator[Flood]:
    """Sends `rate` bodies a second while the block runs. `recorder`: the id of its process."""
    context = multiprocessing.get_context("fork")
    until, into, flood = context.Event(), context.Queue(), Flood()
    sender = context.Process(target=_send, args=(port, bodies, rate, until, into), daemon=True)
    before, began = processor_seconds(recorder), time.monotonic()
    sender.start()
    try:
        yield flood
    finally:
        until.set()
        flood.bodies, sent = into.get(timeout=60)
        flood.seconds, flood.burned = time.monotonic() - began, processor_seconds(recorder) - before + sent
        sender.join()


def _send(port: int, bodies: list[bytes], rate: float, until: Any, into: Any) -> None:
    connection, accepted, due = http.client.HTTPConnection(HOST, port, timeout=60), 0, time.monotonic()
    began = time.process_time()
    for body in bodies:
        if until.wait(max(due - time.monotonic(), 0)):
            break
        due += 1 / rate
        connection.request("POST", "/v1/traces", body, HEADERS)
        answer = connection.getresponse()
        answer.read()
        accepted += answer.status == 200
    into.put((accepted, time.process_time() - began))
