"""What kopf sends its requests through: it is told what there is to watch, and lists and watches are those of the feeds.

kopf takes a list or an answer that is none for the end of the process, so it never meets one: a request of it is answered when there is
an answer. Lists fill the cache as a whole, which finds what was deleted between two watches, and kopf is told of nothing but the version.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dynamiq_operator.controller.informers import Informers
from dynamiq_operator.kube.resources import WATCHED, ApiResource
from dynamiq_operator.model.objects import Manifest

CRDS = ApiResource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
LOOKED_FOR = (CRDS,)
"""What kopf waits for before it watches anything, beside namespaces, though it is set up to watch none of it."""


class WatchSession:
    """As much of an aiohttp.ClientSession as kopf uses."""

    closed = False

    def __init__(self, informers: Informers) -> None:
        self.headers = {"User-Agent": "dynamiq-operator"}
        self._informers, self._discovery = informers, _discovery()

    async def request(self, *, method: str, url: str, **_: Any) -> Answer:
        """The answer to a GET: kopf is set up to send nothing else."""
        parts = urlsplit(url)
        if method.lower() != "get":
            raise RuntimeError(f"kopf is to write nothing: {method} {parts.path}")
        if parts.path in self._discovery:
            return Answer(self._discovery[parts.path])
        query = parse_qs(parts.query)
        if not self._informers.has_feed_at(parts.path):  # kopf watches each resource in each namespace; in the gate's we want one of them
            return Answer({"kind": "List", "metadata": {"resourceVersion": "0"}, "items": []}, _silence() if "watch" in query else None)
        feed = self._informers.feed_at(parts.path)
        if "watch" in query:
            return Answer({}, feed.watch(query["resourceVersion"][0]))
        return Answer({"kind": f"{feed.resource.kind}List", "metadata": {"resourceVersion": await feed.list()}, "items": []})

    async def close(self) -> None:
        """Nothing is held here."""


class Answer:
    """As much of an aiohttp.ClientResponse as kopf uses. `lines`: of a watch."""

    status = 200
    closed = False

    def __init__(self, body: Manifest, lines: AsyncGenerator[bytes, None] | None = None) -> None:
        self._body, self._lines = body, lines
        self.content = self

    async def json(self) -> Manifest:
        return self._body

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        """The lines of a watch, each as it comes."""
        assert self._lines is not None  # noqa: S101 - for the type checker: kopf reads the content of watches alone
        async for line in self._lines:
            yield line

    def close(self) -> None:
        """The lines end with the block that reads them."""

    async def __aenter__(self) -> Answer:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._lines is not None:
            await self._lines.aclose()


async def _silence() -> AsyncGenerator[bytes, None]:
    """A watch of what is not to be watched: no line ever comes."""
    await asyncio.Event().wait()
    yield b""


def _discovery() -> dict[str, Manifest]:
    """What kopf finds out before it watches, by path: the resources that are watched where the cluster has them, and these alone."""
    served: dict[tuple[str, str], list[ApiResource]] = defaultdict(list)
    for resource in (*WATCHED, *LOOKED_FOR):
        served[resource.group, resource.version].append(resource)
    groups: dict[str, list[Manifest]] = defaultdict(list)
    for group, version in served:
        groups[group].append({"groupVersion": f"{group}/{version}", "version": version})
    found: dict[str, Manifest] = {
        "/api": {"versions": [each["version"] for each in groups.pop("", [])]},
        "/apis": {"groups": [{"name": name, "versions": each, "preferredVersion": each[0]} for name, each in groups.items()]},
    }
    for (group, version), resources in served.items():
        found[f"/apis/{group}/{version}" if group else f"/api/{version}"] = {"resources": [_described(each) for each in resources]}
    return found


def _described(resource: ApiResource) -> Manifest:
    return {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "kind": resource.kind,
        "namespaced": resource.namespaced,
        "verbs": ["list", "watch"],
    }
