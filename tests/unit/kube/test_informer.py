"""The loop of lists and watches over a scripted API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.kube.informer import Informer, Listing
from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.model.objects import Manifest
from tests.support.controller import connected
from tests.support.scripted import Answer, Reply, Script, failure, listed
from tests.support.waiting import IN_TIME, eventually

PATH = APPS.path()


class Unstored(Exception):  # noqa: N818
    """An error of the receiver."""


class Received:
    """A receiver that keeps what it gets, and fails for an App named `bad`."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Any]] = []

    async def replace(self, listing: Listing) -> None:
        names = [raw["metadata"]["name"] async for objects in listing for raw in objects]
        self.all.append((f"listed {listing.version}", names))

    async def change(self, raw: Manifest) -> None:
        if raw["metadata"]["name"] == "bad":
            raise Unstored
        self.all.append(("changed", raw["metadata"]["name"]))

    async def delete(self, raw: Manifest) -> None:
        self.all.append(("deleted", raw["metadata"]["name"]))


def app(name: str, version: int) -> Manifest:
    return {"metadata": {"name": name, "namespace": "demo", "uid": f"uid-of-{name}", "resourceVersion": str(version)}}


def watched(*events: tuple[str, Manifest]) -> Reply:
    return Reply(stream=[{"type": kind, "object": raw} for kind, raw in events])


@asynccontextmanager
async def running(script: Script, folder: Path, *watches: Answer) -> AsyncIterator[tuple[Informer, Received]]:
    """Yields an informer and its receiver. The watches are answered in turn, the last one until the end."""
    script.on("GET", PATH, *watches, query={"watch": "true"})
    async with connected(script, folder) as client:
        received = Received()
        informer = Informer(client, APPS, received, also=(Unstored,))
        loop = asyncio.create_task(informer.run())
        try:
            yield informer, received
        finally:
            loop.cancel()


async def until(is_true: Callable[[], bool]) -> None:
    await asyncio.to_thread(eventually, "it was followed so far", is_true, IN_TIME, 0.01)


def versions(script: Script) -> list[str]:
    """Returns the versions from which it watched."""
    return [sent.query["resourceVersion"] for sent in script.sent if "watch" in sent.query]


async def test_a_list_of_pages_is_followed_by_watches_each_from_where_the_last_one_ended(tmp_path: Path) -> None:
    script = Script().on("GET", PATH, listed(app("a", 3), version="5", token="next"), listed(app("b", 4), version="6"))
    first = watched(("ADDED", app("c", 7)), ("DELETED", app("a", 8)), ("BOOKMARK", {"metadata": {"resourceVersion": "9"}}))
    async with running(script, tmp_path, first, watched(("MODIFIED", app("b", 12))), Reply(stream=[])) as (informer, received):
        await until(lambda: len(versions(script)) >= 3)
        assert informer.listed.is_set()
    assert received.all == [("listed 5", ["a", "b"]), ("changed", "c"), ("deleted", "a"), ("changed", "b")]
    assert versions(script)[:3] == ["5", "9", "12"]


async def test_what_a_field_selector_leaves_is_listed_at_once(tmp_path: Path) -> None:
    """In pages, an API server would read all rows from etcd, once for some hundred open ones."""
    script = Script().on("GET", ROWS.path(), listed(version="5"))
    async with connected(script, tmp_path) as client:
        assert [items async for items in Listing(client, ROWS, "")] == [[]]
    assert [dict(sent.query) for sent in script.sent] == [{"fieldSelector": ROWS.field_selector}]


GAPS = [
    pytest.param(failure(410, "Expired"), id="410"),
    pytest.param(watched(("ADDED", app("bad", 7))), id="an error of the receiver"),
]


@pytest.mark.parametrize("gap", GAPS)
async def test_after_a_gap_it_lists_again(tmp_path: Path, gap: Reply) -> None:
    script = Script().on("GET", PATH, listed(app("a", 3), version="5"), listed(app("b", 8), version="9"))
    async with running(script, tmp_path, gap, watched(("ADDED", app("c", 10)))) as (_, received):
        await until(lambda: len(received.all) > 2)
    assert received.all[:3] == [("listed 5", ["a"]), ("listed 9", ["b"]), ("changed", "c")]
    assert versions(script)[:2] == ["5", "9"]


async def test_a_watch_that_always_ends_at_once_is_paused_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = Script().on("GET", PATH, listed(version="5"))
    async with running(script, tmp_path, Reply(stream=[])):
        await until(lambda: "it ended at once" in caplog.text)
    assert set(versions(script)) == {"5"}
    assert len(script.bodies("GET", PATH)) == 1 + len(versions(script)), "it is listed once"
