"""Measures the gate's memory of a connection, an unfinished head and a call: `python -m tests.bench.gate_memory`, some minutes.

`COUNT` connections of each kind use a separate gate on a scripted API server. It prints the growth of its process, and of the kernel's
memory for the sockets of this machine, for each connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from tests.support.gate_stage import HOST, GateStage

HELD_FOR = 600
APPS = int(os.environ.get("APPS", "0"))
SETTLES = 1.5  # seconds
HEADER = b"X-%d: " + b"a" * 1000 + b"\r\n"


def resident(pid: int) -> int:
    """Returns the resident bytes of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024


def sockets() -> int:
    """Returns the kernel's bytes that TCP has not delivered yet."""
    line = next(line for line in Path("/proc/net/sockstat").read_text().splitlines() if line.startswith("TCP:"))
    return int(line.split()[-1]) * 4096


def head(size: int, end: bytes = b"\r\n", method: bytes = b"GET") -> bytes:
    headers = b"".join(HEADER % number for number in range(size // len(HEADER)))
    return method + b" / HTTP/1.1\r\nHost: a\r\n" + headers + end


async def large(request: web.BaseRequest) -> web.StreamResponse:
    """Returns an answer that no client reads to its end."""
    assert request.transport is not None
    request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    return web.Response(body=b"x" * (1 << 22))


async def silent(_request: web.BaseRequest) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


KINDS: dict[str, tuple[str, bytes]] = {
    "idle": ("asleep", b""),
    "an unfinished head of 15 KiB": ("asleep", head(15 << 10, b"")),
    "an unfinished head of 56 KiB": ("asleep", head(56 << 10, b"")),
    "a call that is held": ("asleep", head(0)),
    "a call that is held, with a head of 15 KiB": ("asleep", head(15 << 10)),
    "a call that is held, with a head of 56 KiB": ("asleep", head(56 << 10)),
    "a call that is held, with a body of 1 MiB": ("asleep", head(0, b"Content-Length: 1048576\r\n\r\n", b"POST") + b"x" * (1 << 20)),
    "a call that is held, and others sent behind it": ("asleep", head(0) + head(56 << 10) * 8),
    "a call whose pod says nothing": ("silent", head(0)),
    "a call with an answer that is not taken": ("large", head(0)),
}


async def measured(kind: str, count: int, folder: Path) -> str:
    to, sent = KINDS[kind]
    async with GateStage(folder) as stage:
        ports = {name: stage.asleep(name, holdSeconds=HELD_FOR, atOnce=1 << 20) for name in ("asleep", "silent", "large")}
        for number in range(APPS):
            stage.asleep(f"more-{number}")
        stage.wakeable("asleep")
        for number, (name, answer) in enumerate((("silent", silent), ("large", large)), 2):
            stage.serving(name, await stage.pod(number, answer))
        gate = await stage.process("--held-most=100000")
        async with stage.session.get(f"http://{HOST}:{ports['asleep']}/healthz"):
            before, kernel_before = resident(gate.pid), sockets()
            if APPS:
                return f"the gate, with {APPS} Apps that sleep: {before / 1024:.0f} KiB"
        writers = [await opened(ports[to]) for _ in range(count)]
        await asyncio.sleep(SETTLES)
        ours = sockets() - kernel_before
        for writer in writers:
            writer.write(sent)
        await asyncio.sleep(SETTLES * 2)
        grown, socket_bytes = resident(gate.pid) - before, sockets() - kernel_before
        descriptors = (await asyncio.to_thread(gate.metrics)).get("process_open_fds", 0.0)
        for writer in writers:
            writer.transport.abort()
    return f"{kind:52s} {grown / count / 1024:7.1f} KiB, of the kernel {(socket_bytes - ours) / count / 1024:7.1f} KiB; {descriptors:.0f} files open"


async def opened(port: int) -> asyncio.StreamWriter:
    client = socket.socket()
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        client.setsockopt(socket.SOL_SOCKET, option, 2048)  # so that the kernel's memory is for the gate's side
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, (HOST, port))
    reader, writer = await asyncio.open_connection(sock=client, limit=1024)
    with contextlib.suppress(AttributeError):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
    del reader
    return writer


def main(measure: Callable[[str, int, Path], Awaitable[str]] = measured) -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 800
    print(f"{count} connections of each kind")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:

            async def run(kind: str = kind, folder: str = folder) -> str:
                return await measure(kind, count, Path(folder))

            print(asyncio.run(run()), flush=True)


if __name__ == "__main__":
    main()
