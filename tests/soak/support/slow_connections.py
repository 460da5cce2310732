"""Opens connections that are as slow as allowed, and measures their effect on another caller of the API."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from local.clusters import Cluster
from tests.support import factories, rest
from tests.support.api import Api, fresh_namespace
from tests.support.cluster import REPOSITORY
from tests.support.operator import install_rights
from tests.support.rest import Client
from tests.support.waiting import eventually

ROUNDS = 6
TAKES = 40
"""Calls of a part; half of the parts have the slow connections, and half have not, in turn."""
TRICKLE = 1.0
"""Seconds between two bytes."""
BEGUN = (
    b"",
    *[b"GET /v1/me HTTP/1.1\r\nHost: here\r\nX-Slow: "] * 5,
    b"POST /v1/apps HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{",
    b"POST /v1/apps HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer made-up\r\nContent-Length: 1000000\r\n\r\n{",
)
"""The first bytes of a connection: nothing, part of the headers, headers without a token, and with an invalid one."""


class SlowOnes:
    """Connections of a separate process, which send a byte now and then; closed ones are opened again once a second."""

    def __init__(self, url: str, count: int) -> None:
        self._url, self._count = url, count

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        command = [sys.executable, "-m", "tests.soak.support.slow_connections", self._url, str(self._count)]
        with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == b"open\n"
                yield
            finally:
                process.stdin.close()


def main(url: str, count: int) -> None:
    """Holds the connections until its standard input ends."""
    split = urlsplit(url)
    next_byte_at: dict[socket.socket, float] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        opened, refilled = 0, 0.0
        while True:
            now = time.monotonic()
            if now - refilled > TRICKLE:
                refilled = now
                while len(next_byte_at) < count:
                    source = (f"127.0.1.{opened % 3 + 1}", 0)
                    connection = socket.create_connection((split.hostname or "", split.port or 0), 10, source_address=source)
                    connection.setblocking(False)
                    with contextlib.suppress(OSError):
                        connection.send(BEGUN[opened % len(BEGUN)])
                    selector.register(connection, selectors.EVENT_READ)
                    next_byte_at[connection] = now + TRICKLE * (1 + opened % 7 / 7)
                    opened += 1
                    if opened == count:
                        print("open", flush=True)
            for key, _ in selector.select(0.05):
                if key.fileobj is sys.stdin:
                    return
                assert isinstance(key.fileobj, socket.socket)
                if _is_closed(key.fileobj):
                    selector.unregister(key.fileobj)
                    del next_byte_at[key.fileobj]
                    key.fileobj.close()
            for connection in [each for each, due in next_byte_at.items() if due < now]:
                next_byte_at[connection] = now + TRICKLE
                with contextlib.suppress(OSError):
                    connection.send(b"x")


def _is_closed(connection: socket.socket) -> bool:
    try:
        return not connection.recv(65536)
    except OSError:
        return True


@dataclass(frozen=True)
class Cost:
    """The p50 and p95 of a call in milliseconds, beside slow connections and without them."""

    beside: tuple[float, float]
    alone: tuple[float, float]

    @property
    def ratio(self) -> float:
        """Returns the ratio of the p95s."""
        return self.beside[1] / self.alone[1]

    def lines(self, count: int, most: float) -> list[str]:
        return [
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores: GET of an App by one caller, "
            f"{ROUNDS} parts of {TAKES} calls each beside {count} slow connections and without them, in turn.",
            f"p50 {self.beside[0]:.1f} ms beside {self.alone[0]:.1f} ms; p95 {self.beside[1]:.1f} ms beside {self.alone[1]:.1f} ms: "
            f"ratio of the p95 {self.ratio:.2f} (at most {most})",
        ]


def cost(caller: Client, path: str, slow: SlowOnes, takes: int = TAKES) -> Cost:
    """Measures; every call must be answered."""
    times: dict[bool, list[float]] = {True: [], False: []}

    def take() -> list[float]:
        times = []
        for _ in range(takes):
            began = time.perf_counter()
            caller.get(path)
            times.append((time.perf_counter() - began) * 1000)
        return times

    take()
    for number in range(2 * ROUNDS):
        if number % 2:
            with slow.at_work():
                times[True] += take()
        else:
            times[False] += take()
    return Cost(_percentiles(times[True]), _percentiles(times[False]))


def _percentiles(times: list[float]) -> tuple[float, float]:
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def measure(cluster: Cluster, folder: Path, count: int, takes: int = TAKES) -> Cost:
    """Measures the effect of `count` slow connections to a separate API on a caller who reads an App."""
    install_rights(cluster)
    api = Api.of(cluster)
    with fresh_namespace(api, "slow") as namespace, rest.serving(rest.install(cluster, folder), folder) as url:
        created = api.create(factories.app_manifest(factories.in_namespace(namespace)))
        assert created.ok, created.message
        path = f"/v1/apps/{created.body['metadata']['uid']}"
        caller = rest.client(api, url, namespace, "caller", "edit")
        eventually("the rights apply", lambda: caller("GET", path).status_code == 200)
        return cost(caller, path, SlowOnes(url, count), takes)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
