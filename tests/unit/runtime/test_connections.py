"""Callers without an Access Key get connections and heads of a pod, but nothing that other callers need."""

from __future__ import annotations

import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dynamiq_runtime.connections import BESIDE_MAX, HEAD_MAX, MOST
from tests.support.runtime import DEADLINE, ECHO, Served, serving

PROBE = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
HEADER = b"X-%d: " + b"a" * 8000 + b"\r\n"


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Yields a stack that closes its connections at the end. More files than usual may be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192 if hard == resource.RLIM_INFINITY else min(8192, hard), hard))
    with ExitStack() as stack:
        yield stack
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connected(opened: ExitStack, served: Served, source: str = "127.0.0.1") -> socket.socket:
    made = opened.enter_context(socket.create_connection(("127.0.0.1", served.port), DEADLINE, (source, 0)))
    made.settimeout(DEADLINE)
    return made


def answers(connection: socket.socket) -> bool:
    """Returns True if a probe on the connection is answered; False if the connection was closed."""
    try:
        connection.sendall(PROBE)
        return connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    except ConnectionError:
        return False


def was_ended(connection: socket.socket, sent: bytes) -> bool:
    """Returns True if the other end closes the connection without an answer after these bytes."""
    try:
        connection.sendall(sent)
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_idle_connections_take_no_other_callers_connection(tmp_path: Path, opened: ExitStack) -> None:
    with serving(tmp_path, ECHO) as served:
        of_gateway = connected(opened, served, "127.0.0.2")
        assert answers(of_gateway)
        idle = [connected(opened, served) for _ in range(MOST + 50)]
        assert answers(idle[-1])
        assert not any(answers(each) for each in idle[:50]), "as many of the same address ended, the oldest"
        assert served.run({"n": 1}).status == 200
        assert answers(of_gateway)


def test_a_pod_with_the_usual_limit_of_files_takes_more_connections_than_that(tmp_path: Path, opened: ExitStack) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nulimit -S -n 256\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with serving(tmp_path, ECHO, python=str(python)) as served:
        for _ in range(300):
            connected(opened, served)
        assert served.request("GET", "/readyz").status == 200


@pytest.mark.parametrize(
    ("before", "size"),
    [(PROBE[:-2], HEAD_MAX), (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n", BESIDE_MAX)],
    ids=["head", "trailers"],
)
def test_headers_without_an_end_end_their_connection(tmp_path: Path, opened: ExitStack, before: bytes, size: int) -> None:
    with serving(tmp_path, ECHO) as served:
        connection = connected(opened, served)
        assert was_ended(connection, before + b"".join(HEADER % number for number in range(size // 8000 + 3)))
        large = {f"X-{number}": "a" * 8000 for number in range(7)}
        assert served.request("GET", "/healthz", headers=large).status == 200
