"""Answers kopf's requests: it lists the watched resources for discovery, and lists and watches by the feeds. It sends nothing itself.

kopf exits on a list or an answer that is an error, so this session never returns one: it answers when there is an answer. Lists fill the
cache as a whole, which finds what was deleted between two watches. kopf gets only their version.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dynamiq_operator.controller.watching.informers import Informers
from dynamiq_operator.kube.resources import WATCHED, ApiResource
from dynamiq_operator.model.objects import Manifest

CRDS = ApiResource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
REQUIRED_BY_KOPF = (CRDS,)
"""Kinds that kopf waits for before it watches anything, beside namespaces, although it is set up not to watch them."""


class WatchSession:
    """The part of an aiohttp.ClientSession that kopf uses."""

    closed = False

    def __init__(self, informers: Informers) -> None:
        self.headers = {"User-Agent": "dynamiq-operator"}
        self._informers, self._discovery = informers, _discovery()

    async def request(self, *, method: str, url: str, **_: Any) -> WatchResponse:
        """Returns the answer to a GET: kopf is set up to send nothing else."""
        parts = urlsplit(url)
        if method.lower() != "get":
            raise RuntimeError(f"kopf must write nothing: {method} {parts.path}")
        if parts.path in self._discovery:
            return WatchResponse(self._discovery[parts.path])
        query = parse_qs(parts.query)
        feed = self._informers.feed_at(parts.path)
        if feed is None:  # kopf watches each resource in each namespace; in the gate's we watch only one
            return WatchResponse(
                {"kind": "List", "metadata": {"resourceVersion": "0"}, "items": []}, _silence() if "watch" in query else None
            )
        if "watch" in query:
            return WatchResponse({}, feed.watch(query["resourceVersion"][0]))
        return WatchResponse({"kind": f"{feed.resource.kind}List", "metadata": {"resourceVersion": await feed.list()}, "items": []})

    async def close(self) -> None:
        """Does nothing: there is nothing to close."""


class WatchResponse:
    """The part of an aiohttp.ClientResponse that kopf uses. `lines`: of a watch."""

    status = 200
    closed = False

    def __init__(self, body: Manifest, lines: AsyncGenerator[bytes, None] | None = None) -> None:
        self._body, self._lines = body, lines
        self.content = self

    async def json(self) -> Manifest:
        return self._body

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        """Yields the lines of a watch as they arrive."""
        assert self._lines is not None  # noqa: S101 - for the type checker: kopf reads the content of watches alone
        async for line in self._lines:
            yield line

    def close(self) -> None:
        """Does nothing: the lines end with the block that reads them."""

    async def __aenter__(self) -> WatchResponse:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._lines is not None:
            await self._lines.aclose()


async def _silence() -> AsyncGenerator[bytes, None]:
    """Waits forever, as the watch of a resource that must not be watched: no line arrives."""
    await asyncio.Event().wait()
    yield b""


def _discovery() -> dict[str, Manifest]:
    """Returns the answers to kopf's discovery, by path: the watched resources, and these alone."""
    served: dict[tuple[str, str], list[ApiResource]] = defaultdict(list)
    for resource in (*WATCHED, *REQUIRED_BY_KOPF):
        served[resource.group, resource.version].append(resource)
    groups: dict[str, list[Manifest]] = defaultdict(list)
    for group, version in served:
        groups[group].append({"groupVersion": f"{group}/{version}", "version": version})
    answers: dict[str, Manifest] = {
        "/api": {"versions": [each["version"] for each in groups.pop("", [])]},
        "/apis": {"groups": [{"name": name, "versions": each, "preferredVersion": each[0]} for name, each in groups.items()]},
    }
    for (group, version), resources in served.items():
        answers[f"/apis/{group}/{version}" if group else f"/api/{version}"] = {"resources": [_described(each) for each in resources]}
    return answers


def _described(resource: ApiResource) -> Manifest:
    return {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "kind": resource.kind,
        "namespaced": resource.namespaced,
        "verbs": ["list", "watch"],
    }
