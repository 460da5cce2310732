"""Calls one hostname at a steady pace and writes a line for each call: a separate program, in the network of a cluster's node.

It uses the standard library and one epoll loop. 400 calls a second thus take a few hundredths of a core, on the measured machine. Two paces
run at once: calls that open a connection each, and calls on kept connections. It repeats no call. It ends when its standard input does.

A line is `kind sent answered status text`: times in Unix seconds, status 0 if nothing answered, with the reason as text.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import heapq
import json
import os
import resource
import select
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

NEW, KEPT = "new", "kept"
BEHIND = 0.5  # seconds of missed calls that are sent at once; older ones are skipped and counted
FINISH = 30.0  # seconds for calls under way at the end, beyond which they are cut off
SHOWN = 200  # characters
READ = 65536
TAKEN_WITHIN = 60.0  # seconds


class NoAnswerError(Exception):
    """The reason for a call without an answer."""


@dataclass
class Connection:
    """A connection and its call."""

    socket: socket.socket
    kind: str
    uses: int = 0
    sent: float = 0.0
    unsent: bytes = b""
    received: bytes = b""


class Pace:
    """The schedule of calls."""

    def __init__(self, rate: float, began: float) -> None:
        self._every, self.due, self.left_out = (1 / rate if rate else 0.0), (began if rate else float("inf")), 0

    def take(self, now: float) -> Iterator[None]:
        """Yields once for each call that is due."""
        if now - self.due > BEHIND:
            missed = int((now - self.due) / self._every)
            self.left_out += missed
            self.due += missed * self._every
        while self.due <= now:
            self.due += self._every
            yield


class Caller:
    """All calls of one run."""

    def __init__(self, options: argparse.Namespace, out: TextIO) -> None:
        self._options, self._out = options, out
        self._at = (options.address, options.port)
        self._poll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._idle: list[Connection] = []
        self._late: list[tuple[float, int, float]] = []
        self._request = _request(options)
        self._sent = 0
        began = time.time()
        self._paces = {NEW: Pace(options.new, began), KEPT: Pace(options.kept, began)}

    def run(self) -> None:
        """Runs until the standard input ends, or until the requested number of calls is sent; then finishes calls under way."""
        sys_in = sys.stdin.fileno()
        self._poll.register(sys_in, select.EPOLLIN | select.EPOLLHUP)
        stopping = float("inf")
        while True:
            now = time.time()
            if stopping == float("inf"):
                self._send_what_is_due(now)
                if self._options.count and self._sent >= self._options.count:
                    stopping = now + self._options.timeout
            elif now > stopping or not self._late_or_busy():
                break
            self._give_up(now)
            for descriptor, _ in self._poll.poll(self._wait(now)):
                if descriptor == sys_in:
                    self._poll.unregister(sys_in)
                    stopping = min(stopping, time.time() + FINISH)
                elif (connection := self._connections.get(descriptor)) is not None:
                    self._go_on(connection)
        for connection in [each for each in self._connections.values() if each.sent]:
            self._fail(connection, "CutOff: under way when the caller ended")

    def summary(self) -> str:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return json.dumps(
            {
                "sent": self._sent,
                "left_out": sum(pace.left_out for pace in self._paces.values()),
                "cpu_seconds": used.ru_utime + used.ru_stime,
            }
        )

    def _late_or_busy(self) -> bool:
        return any(connection.sent for connection in self._connections.values())

    def _wait(self, now: float) -> float:
        due = min(pace.due for pace in self._paces.values())
        return max(min(due - now, 0.1), 0)

    def _send_what_is_due(self, now: float) -> None:
        for kind, pace in self._paces.items():
            for _ in pace.take(now):
                if self._options.count and self._sent >= self._options.count:
                    return
                self._sent += 1
                self._call(self._idle.pop() if kind == KEPT and self._idle else self._opened(kind))

    def _opened(self, kind: str) -> Connection:
        opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(opened, kind)

    def _call(self, connection: Connection) -> None:
        connection.sent, connection.unsent, connection.received = time.time(), self._request, b""
        descriptor = connection.socket.fileno()
        heapq.heappush(self._late, (connection.sent + self._options.timeout, descriptor, connection.sent))
        if connection.uses == 0:
            self._connections[descriptor] = connection
            self._poll.register(descriptor, select.EPOLLOUT)
            code = connection.socket.connect_ex(self._at)
            if code not in (0, errno.EINPROGRESS):
                self._fail(connection, _named(code))
        else:
            self._go_on(connection)
        connection.uses += 1

    def _go_on(self, connection: Connection) -> None:
        try:
            if not connection.sent:  # the other side closes an idle connection
                self._close(connection)
            elif connection.unsent:
                self._write(connection)
            else:
                self._read(connection)
        except OSError as error:
            self._fail(connection, _named(error.errno or 0))
        except NoAnswerError as error:
            self._fail(connection, str(error))

    def _write(self, connection: Connection) -> None:
        code = connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        try:
            connection.unsent = connection.unsent[connection.socket.send(connection.unsent) :]
        except BlockingIOError:
            return
        if not connection.unsent:
            self._poll.modify(connection.socket.fileno(), select.EPOLLIN)

    def _read(self, connection: Connection) -> None:
        try:
            chunk = connection.socket.recv(READ)
        except BlockingIOError:
            return
        connection.received += chunk
        answer = _answer(connection.received, ended=not chunk)
        if answer is None:
            if not chunk:
                raise NoAnswerError(f"Closed: after {len(connection.received)} bytes, use {connection.uses} of the connection")
            return
        status, text, keeps = answer
        self._say(connection, status, text)
        if keeps and chunk and connection.kind == KEPT and len(self._idle) < self._options.connections:
            self._idle.append(connection)
            self._poll.modify(connection.socket.fileno(), select.EPOLLIN)
        else:
            self._close(connection)

    def _give_up(self, now: float) -> None:
        while self._late and self._late[0][0] <= now:
            _, descriptor, sent = heapq.heappop(self._late)
            connection = self._connections.get(descriptor)
            if connection is not None and connection.sent == sent:
                self._fail(connection, f"TimedOut: {len(connection.received)} bytes after {self._options.timeout:g} s")

    def _fail(self, connection: Connection, why: str) -> None:
        self._say(connection, 0, why)
        self._close(connection)

    def _say(self, connection: Connection, status: int, text: str) -> None:
        self._out.write(f"{connection.kind} {connection.sent:.6f} {time.time():.6f} {status} {text[:SHOWN]}\n")
        connection.sent = 0.0

    def _close(self, connection: Connection) -> None:
        self._connections.pop(connection.socket.fileno(), None)
        if connection in self._idle:
            self._idle.remove(connection)
        connection.socket.close()


def _request(options: argparse.Namespace) -> bytes:
    body = json.dumps({"input": json.loads(options.input)}).encode()
    lines = [
        f"POST {options.path} HTTP/1.1",
        f"Host: {options.host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if key := os.environ.get("KEY"):
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _answer(received: bytes, *, ended: bool) -> tuple[int, str, bool] | None:
    """Returns status, text, and True if the connection can be used again; None while the answer is incomplete."""
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    whole: bytes | None
    if "content-length" in headers:
        length = int(headers["content-length"])
        whole = body[:length] if len(body) >= length else None
    elif headers.get("transfer-encoding", "").lower() == "chunked":
        whole = _unchunked(body)
    else:
        whole = body if ended else None
    if whole is None:
        return None
    status = int(first.split(" ", 2)[1])
    return status, whole.decode(errors="replace").replace("\n", " "), headers.get("connection", "").lower() != "close"


def _unchunked(body: bytes) -> bytes | None:
    whole = b""
    while True:
        size, separator, rest = body.partition(b"\r\n")
        if not separator:
            return None
        length = int(size, 16)
        if len(rest) < length + 2:
            return None
        if not length:
            return whole
        whole, body = whole + rest[:length], rest[length + 2 :]


def _until_connections_are_taken(address: str, port: int) -> None:
    """Waits until a connection is accepted: a new Service's address refuses them for a moment. Raises OSError."""
    until = time.monotonic() + TAKEN_WITHIN
    while True:
        try:
            socket.create_connection((address, port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _named(code: int) -> str:
    return f"{errno.errorcode.get(code, str(code))}: {os.strerror(code)}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("host")
    parser.add_argument("out", type=Path)
    parser.add_argument("--new", type=float, default=0.0, help="calls a second with a connection each")
    parser.add_argument("--kept", type=float, default=0.0, help="calls a second on connections that are kept")
    parser.add_argument("--connections", type=int, default=10, help="idle connections that are kept")
    parser.add_argument("--count", type=int, default=0, help="end after so many calls")
    parser.add_argument("--timeout", type=float, default=15.0)
    parser.add_argument("--path", default="/")
    parser.add_argument("--input", default="{}")
    options = parser.parse_args()
    _until_connections_are_taken(options.address, options.port)
    with options.out.open("w", buffering=1 << 16) as out:
        caller = Caller(options, out)
        print("ready", flush=True)
        caller.run()
    with contextlib.suppress(BrokenPipeError):  # the reader has ended
        print(caller.summary(), flush=True)


if __name__ == "__main__":
    main()
