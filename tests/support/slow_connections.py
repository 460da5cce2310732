"""Connections that take as long as they may, and what they cost somebody who calls the API meanwhile."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from tests.support.rest import Client
from tests.support.waiting import eventually

ROUNDS = 6
TAKES = 40
"""Calls of a part, half of the parts with the slow connections and half without, in turn."""
TRICKLE = 1.0
"""Seconds between two bytes."""
BEGUN = (
    b"",
    b"GET /v1/me HTTP/1.1\r\nHost: here\r\nX-Slow: ",
    b"POST /v1/apps HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{",
    b"POST /v1/apps HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer made-up\r\nContent-Length: 1000000\r\n\r\n{",
)
"""What they send at once: nothing, part of the headers, headers without a token, and with one that is none."""


class SlowOnes:
    """Connections that send a byte now and then, and are opened again when they are closed."""

    def __init__(self, url: str, count: int) -> None:
        split = urlsplit(url)
        self._address, self._count = (split.hostname or "", split.port or 0), count
        self._open: dict[socket.socket, float] = {}
        self._ends = threading.Event()
        self.opened = 0

    @property
    def are_open(self) -> int:
        return len(self._open)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        self._ends.clear()
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        try:
            eventually("the slow connections are open", lambda: self.opened >= self._count)
            yield
        finally:
            self._ends.set()
            thread.join()

    def _work(self) -> None:
        with selectors.DefaultSelector() as selector:
            while not self._ends.is_set():
                while len(self._open) < self._count and self._connect(selector):
                    pass
                for key, _ in selector.select(0.05):
                    assert isinstance(key.fileobj, socket.socket)
                    self._hear(key.fileobj, selector)
                now = time.monotonic()
                for connection in [each for each, due in self._open.items() if due < now]:
                    self._open[connection] = now + TRICKLE
                    with contextlib.suppress(OSError):
                        connection.send(b"x")
            for connection in self._open:
                connection.close()
            self._open.clear()
            self.opened = 0

    def _connect(self, selector: selectors.BaseSelector) -> bool:
        connection = socket.create_connection(self._address, 10, source_address=(f"127.0.1.{self.opened % 3 + 1}", 0))
        connection.setblocking(False)
        begun = BEGUN[self.opened % len(BEGUN)]
        with contextlib.suppress(OSError):
            connection.send(begun)
        self._open[connection] = time.monotonic() + TRICKLE * (1 + self.opened % 7 / 7)
        selector.register(connection, selectors.EVENT_READ)
        self.opened += 1
        return True

    def _hear(self, connection: socket.socket, selector: selectors.BaseSelector) -> None:
        try:
            if connection.recv(65536):
                return
        except OSError:
            pass
        selector.unregister(connection)
        del self._open[connection]
        connection.close()


@dataclass(frozen=True)
class Cost:
    """The p50 and p95 of a call in milliseconds, beside slow connections and without them."""

    beside: tuple[float, float]
    alone: tuple[float, float]
    opened: int

    @property
    def ratio(self) -> float:
        """Of the p95s."""
        return self.beside[1] / self.alone[1]

    def lines(self, count: int, most: float) -> list[str]:
        return [
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores: GET of an App by one caller, "
            f"{ROUNDS} parts of {TAKES} calls each beside {count} slow connections and without them, in turn; {self.opened} were opened.",
            f"p50 {self.beside[0]:.1f} ms beside {self.alone[0]:.1f} ms; p95 {self.beside[1]:.1f} ms beside {self.alone[1]:.1f} ms: "
            f"ratio of the p95 {self.ratio:.2f} (at most {most})",
        ]


def cost(caller: Client, path: str, slow: SlowOnes, takes: int = TAKES) -> Cost:
    """Measures; every call has to be answered."""
    times: dict[bool, list[float]] = {True: [], False: []}
    opened = 0

    def take() -> list[float]:
        found = []
        for _ in range(takes):
            began = time.perf_counter()
            caller.get(path)
            found.append((time.perf_counter() - began) * 1000)
        return found

    take()
    for number in range(2 * ROUNDS):
        if number % 2:
            with slow.at_work():
                times[True] += take()
                opened += slow.opened
        else:
            times[False] += take()
    return Cost(_percentiles(times[True]), _percentiles(times[False]), opened)


def _percentiles(times: list[float]) -> tuple[float, float]:
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def say(lines: list[str], write: Callable[[str], object]) -> None:
    for line in lines:
        print(line, flush=True)
        write(f"{line}\n")
