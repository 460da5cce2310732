"""Informers: listed and watched objects are in the cache, and the affected Apps are queued."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from dynamiq_operator.controller.watching import informers
from dynamiq_operator.controller.watching.feed import GONE, Feed
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS, BY_KIND, HTTP_ROUTES, ROWS, RUNTIMES, SLICES, WATCHED
from dynamiq_operator.model import names
from tests.support import factories as given
from tests.support.controller import Process, empty_cluster, stored
from tests.support.scripted import Reply, Script, Sent, failure, listed
from tests.support.waiting import IN_TIME

KEY = (given.NAMESPACE, given.NAME)
SOON = IN_TIME


def feed_of_apps(process: Process) -> Feed:
    (feed,) = [feed for feed in process.informers.feeds if feed.resource is APPS]
    return feed


async def queued(process: Process) -> tuple[str, str]:
    """Returns the next App to reconcile."""
    return await asyncio.wait_for(process.queue.get(), SOON)


async def test_everything_is_listed_before_anything_is_decided(process: Process, script: Script) -> None:
    empty_cluster(script)
    script.on("GET", APPS.path(), listed(stored(given.app_manifest()), token="next"), listed(stored(given.app_manifest(name="more"))))
    await process.sync()
    assert process.cache.apps() == {KEY, (given.NAMESPACE, "more")}
    assert {sent.path for sent in script.sent} == {resource.path() for resource in WATCHED}
    assert {await queued(process), await queued(process)} == process.cache.apps()


async def test_namespaces_that_are_served_are_listed_one_by_one_and_runtimes_once(client: Client, script: Script) -> None:
    process = Process(client, script, namespaces=frozenset({"a", "b"}))
    empty_cluster(empty_cluster(script, "a"), "b").on("GET", SLICES.path(names.GATE_NAMESPACE), listed(version="7"))
    await process.sync()
    paths = [sent.path for sent in script.sent]
    assert [path for path in paths if names.GATE_NAMESPACE in path] == [SLICES.path(names.GATE_NAMESPACE)], "that much says of the gate all"
    assert ROWS.path("a") in paths
    assert ROWS.path("b") in paths
    assert paths.count(RUNTIMES.path()) == 1
    assert not script.unscripted


async def test_object_that_a_list_lacks_was_deleted(process: Process, script: Script) -> None:
    process.informers.on_watch_event(APPS, None, stored(given.app_manifest(), 5))
    assert await queued(process) == KEY
    process.queue.done(KEY)
    empty_cluster(script)
    await process.sync()
    assert process.cache.apps() == set()
    assert await queued(process) == KEY


async def test_watch_event_of_a_deletion_removes_the_object(process: Process) -> None:
    process.informers.on_watch_event(APPS, "ADDED", stored(given.app_manifest(), 5))
    process.informers.on_watch_event(APPS, "DELETED", stored(given.app_manifest(), 6))
    assert process.cache.apps() == set()
    assert await queued(process) == KEY, "the App's claim and its memory go with it"


async def test_cluster_without_the_gateway_api_has_no_routes_and_no_error(process: Process, script: Script) -> None:
    empty_cluster(script, without=frozenset({HTTP_ROUTES}))
    await process.sync()
    assert not process.gateway_api.is_served


async def test_routes_of_a_removed_api_leave_the_cache(process: Process, script: Script) -> None:
    empty_cluster(script)
    await process.sync()
    assert process.gateway_api.is_served
    route = {"metadata": {"name": "chat", "labels": names.labels(given.NAME)}, "spec": {}}
    process.informers.on_watch_event(HTTP_ROUTES, "ADDED", stored(route, 8))
    script.on("GET", HTTP_ROUTES.path(), failure(404, "NotFound"))
    await process.sync()
    assert list(process.cache.of_app(KEY)) == []
    assert not process.gateway_api.is_served


async def test_cluster_without_our_crds_is_no_empty_one(process: Process, script: Script) -> None:
    empty_cluster(script, without=frozenset({APPS}))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(process.sync(), 0.3)
    with pytest.raises(errors.NotFound):
        await feed_of_apps(process).list_once()


NO_LISTS = [
    pytest.param(failure(404, "NotFound"), "kubectl apply -k crds", id="no CRD"),
    pytest.param(failure(503, "ServiceUnavailable", "overloaded"), "overloaded", id="503"),
    pytest.param(failure(403, "Forbidden", "no"), "no", id="403"),
    pytest.param(failure(410, "Expired", "too old"), "too old", id="410"),
    pytest.param(failure(429, "TooManyRequests", "slow down", Retry_After="3600"), "slow down", id="Retry-After"),
    pytest.param(failure(401, "Unauthorized", "who?"), "credentials", id="401"),
    pytest.param(Reply(200, {}), "not an object with metadata", id="an empty object"),
    pytest.param(Reply(200, {"metadata": {}}), "not a list", id="no list"),
    pytest.param(Reply(200, b"<html>Sign in</html>"), "not JSON", id="HTML"),
    pytest.param(Reply(200, b'{"metadata": {"resourceVersion": "1"}, "ite'), "not JSON", id="half of it"),
    pytest.param(Reply(cut=True), "isconnect", id="cut"),
]


@pytest.mark.parametrize(("answer", "told"), NO_LISTS)
async def test_lists_are_retried_until_they_succeed_and_nothing_is_forgotten_meanwhile(
    process: Process, script: Script, caplog: pytest.LogCaptureFixture, answer: Reply, told: str
) -> None:
    process.informers.on_watch_event(APPS, "ADDED", stored(given.app_manifest(name="known"), 1))
    empty_cluster(script)
    known_meanwhile: list[set[tuple[str, str]]] = []

    def second(_: Sent) -> dict[str, Any]:
        known_meanwhile.append(process.cache.apps())
        return listed(stored(given.app_manifest()), version="7")

    script.on("GET", APPS.path(), *([answer] * 3), second)
    await asyncio.wait_for(process.sync(), SOON)
    assert known_meanwhile == [{(given.NAMESPACE, "known")}]
    assert process.cache.apps() == {KEY}
    assert any(told in record.getMessage() for record in caplog.records)
    assert all(record.exc_info is None for record in caplog.records)


BROKEN_WATCHES = [
    pytest.param(failure(410, "Expired"), True, id="410"),
    pytest.param(failure(403, "Forbidden"), True, id="403"),
    pytest.param(failure(503, "ServiceUnavailable"), False, id="503"),
    pytest.param(failure(429, "TooManyRequests", Retry_After="3600"), False, id="Retry-After"),
    pytest.param(failure(401, "Unauthorized"), False, id="401"),
    pytest.param(Reply(cut=True), False, id="cut"),
    pytest.param(Reply(stream=[{"type": "ERROR", "object": {"code": 410, "message": "too old"}}]), True, id="410 in it"),
    pytest.param(Reply(stream=[{"type": "ERROR", "object": {"code": 500, "message": "etcd"}}]), True, id="500 in it"),
    pytest.param(Reply(stream=[{}]), True, id="an empty object"),
    pytest.param(Reply(stream=[{"type": "ADDED", "object": {"metadata": {}}}]), True, id="an object without a version"),
    pytest.param(Reply(stream=[b"<html>"]), True, id="HTML"),
    pytest.param(Reply(stream=[[]]), True, id="a list"),
    pytest.param(Reply(stream=[b'{"type": "ADD']), True, id="half of a line"),
    pytest.param(Reply(stream=[]), False, id="nothing"),
]


@pytest.mark.parametrize(("answer", "listed_anew"), BROKEN_WATCHES)
async def test_watch_that_breaks_ends_and_where_it_cannot_go_on_kopf_lists_anew(
    process: Process, script: Script, answer: Reply, listed_anew: bool
) -> None:
    script.on("GET", APPS.path(), answer, query={"watch": "true"})
    lines = [line async for line in feed_of_apps(process).watch("5")]
    assert lines == ([GONE] if listed_anew else [])
    assert all(json.loads(line)["object"]["code"] == 410 for line in lines), "kopf ends at what it cannot read"
    assert script.sent[0].query["resourceVersion"] == "5"


async def test_watch_passes_events_on(process: Process, script: Script) -> None:
    event = {"type": "ADDED", "object": stored(given.app_manifest(), 6)}
    script.on("GET", APPS.path(), Reply(stream=[event, b""]), query={"watch": "true"})
    lines = [line async for line in feed_of_apps(process).watch("5")]
    assert [json.loads(line) for line in lines] == [event]


async def test_a_list_that_is_denied_for_a_while_delays_no_app(process: Process, script: Script) -> None:
    empty_cluster(script)
    path = BY_KIND["NetworkPolicy"].path()
    script.on("GET", APPS.path(), listed(stored(given.app_manifest()), version="7")).on("GET", path, failure(403, "Forbidden", "no right"))
    lists = [asyncio.create_task(feed.list()) for feed in process.informers.feeds]
    await asyncio.wait_for(process.informers.until_synced(), SOON * 2)
    assert process.denials.of(given.NAMESPACE) == {BY_KIND["NetworkPolicy"]: "no right"}
    assert await queued(process) == KEY, "its condition is to say so"
    process.queue.done(KEY)
    script.on("GET", path, listed(version="8"))
    await asyncio.wait_for(asyncio.gather(*lists), SOON)
    assert process.denials.of(given.NAMESPACE) == {}
    assert await queued(process) == KEY


async def test_a_kind_whose_lists_fail_from_the_start_on_keeps_no_app_waiting(
    process: Process, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(informers, "FAILS_FOR", 0.2)
    empty_cluster(script)
    path, message = HTTP_ROUTES.path(), "conversion webhook failed"
    script.on("GET", APPS.path(), listed(stored(given.app_manifest()), version="7")).on("GET", path, failure(500, "InternalError", message))
    lists = [asyncio.create_task(feed.list()) for feed in process.informers.feeds]
    await asyncio.wait_for(process.informers.until_synced(), SOON)
    assert process.denials.of(given.NAMESPACE) == {HTTP_ROUTES: message}
    script.on("GET", path, listed(version="8"))
    await asyncio.wait_for(asyncio.gather(*lists), SOON)
    assert process.denials.of(given.NAMESPACE) == {}


def _deep() -> dict[str, Any]:
    """Returns an App whose managedFields somebody filled."""
    app = stored(given.app_manifest(name="deep"), 6)
    app["metadata"]["managedFields"] = [{"manager": "x", "fieldsV1": "here"}]
    return app


def _as_bytes(told: Any) -> bytes:
    return json.dumps(told).encode().replace(b'"here"', b'{"f:a":' * 3000 + b"{}" + b"}" * 3000)


async def test_an_object_that_is_nested_very_deeply_hides_no_other(process: Process, script: Script) -> None:
    empty_cluster(script)
    script.on("GET", APPS.path(), Reply(200, _as_bytes(listed(_deep(), stored(given.app_manifest()), version="7"))))
    await asyncio.wait_for(process.sync(), SOON)
    assert process.cache.apps() == {KEY, (given.NAMESPACE, "deep")}
    changed, other = ({"type": "MODIFIED", "object": each} for each in (_deep(), stored(given.app_manifest(), 9)))
    script.on("GET", APPS.path(), Reply(stream=[_as_bytes(changed) + b"\n", other]), query={"watch": "true"})
    lines = [line async for line in feed_of_apps(process).watch("7")]
    assert [json.loads(line)["object"]["metadata"]["name"] for line in lines] == ["deep", given.NAME], "kopf reads them so"
