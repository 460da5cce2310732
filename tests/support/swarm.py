"""Sends very many requests to an API server over many connections, as the user of the credentials."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import yaml

from local.clusters import Cluster
from tests.support.api import REQUEST_TIMEOUT, Answer
from tests.support.audited import AGENT

WORKERS = 16
APPLY = "application/apply-patch+yaml; charset=utf-8"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
JSON = "application/json"
_Work = TypeVar("_Work")


@dataclass(frozen=True)
class Credentials:
    """A bearer token, or a certificate and its key as PEM; with neither the kubeconfig's own user."""

    token: str = ""
    certificate: bytes = b""
    key: bytes = b""


@dataclass(frozen=True)
class Request:
    """One request: `body` is JSON data."""

    method: str
    path: str
    body: Any = None
    content_type: str = JSON
    query: Mapping[str, str] | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Swarm:
    """Connections to one API server as one user."""

    session: aiohttp.ClientSession
    server: str

    async def send(self, request: Request) -> Answer:
        data = None if request.body is None else json.dumps(request.body, ensure_ascii=False).encode()
        headers = [("Content-Type", request.content_type), ("Accept", JSON), *request.headers]
        url = self.server + request.path
        async with self.session.request(request.method, url, data=data, params=request.query, headers=headers) as response:
            text = await response.text()
        return Answer(response.status, json.loads(text) if text.startswith("{") else {"message": text})


@asynccontextmanager
async def swarm(cluster: Cluster, credentials: Credentials | None = None) -> AsyncIterator[Swarm]:
    """Opens connections as the kubeconfig's user, or with other credentials."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    at, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    login = credentials or Credentials(user.get("token", ""), _pem(user, "client-certificate"), _pem(user, "client-key"))
    headers = {"User-Agent": AGENT} | ({"Authorization": f"Bearer {login.token}"} if login.token else {})
    connector = aiohttp.TCPConnector(ssl=_context(_pem(at, "certificate-authority"), login), limit=WORKERS)
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:
        yield Swarm(session, at["server"])


async def shared(work: Iterable[_Work], do: Callable[[int, _Work], Awaitable[None]], workers: int = WORKERS) -> None:
    """Does each piece of `work` once, many at a time; `do` gets the number of the worker, which does one piece after the other."""
    pieces = iter(work)

    async def worker(number: int) -> None:
        for piece in pieces:
            await do(number, piece)

    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(worker(number))


def _context(authority: bytes, login: Credentials) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.decode())
    context.check_hostname = False  # a tunnel's name may differ
    if login.certificate:
        with tempfile.NamedTemporaryFile() as pair:
            Path(pair.name).write_bytes(login.certificate + login.key)
            context.load_cert_chain(pair.name)
    return context


def _pem(entry: Mapping[str, str], name: str) -> bytes:
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data)
    return Path(entry[name]).read_bytes() if name in entry else b""
