"""The ports of metrics and probes, which everybody in the cluster reaches: no caller can block others there, or fill the memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from dynamiq_operator.kube.exposition import MOST, bound, metrics_served

ASKED = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    listening = bound("127.0.0.1", 0)
    async with metrics_served(listening, CollectorRegistry()):
        yield int(listening.getsockname()[1])


async def answers(connection: Connection) -> bool:
    """Returns True if a request on the connection is answered; False if the connection was closed."""
    reader, writer = connection
    try:
        writer.write(ASKED)
        head = await reader.readuntil(b"\r\n\r\n")
    except (ConnectionError, asyncio.IncompleteReadError):
        return False
    return head.startswith(b"HTTP/1.1 200 ")


async def test_an_address_with_too_many_connections_loses_its_own() -> None:
    async with serving() as port, AsyncExitStack() as opened:

        async def connected(source: str = "127.0.0.1") -> Connection:
            made = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            opened.callback(made[1].transport.abort)
            return made

        prometheus = await connected("127.0.0.2")
        assert await answers(prometheus)
        idle = [await connected() for _ in range(MOST + 20)]
        assert await answers(idle[-1])
        assert await answers(await connected("127.0.0.3"))
        assert await answers(prometheus)
        assert [await answers(each) for each in idle[:20]] == [False] * 20


async def test_invalid_http_is_refused_without_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ASKED[:-2] + b"X: " + b"a" * 8000 + b"\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
    assert [record.message for record in caplog.records if record.name.startswith("aiohttp")] == []
