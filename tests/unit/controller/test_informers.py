"""Informers: what is listed and watched is in the cache, and the Apps that it affects are queued."""

from __future__ import annotations

import asyncio

import pytest

from dynamiq_operator.controller.client import Client
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, HTTP_ROUTES, RECORDS, RUNTIMES, WATCHED
from dynamiq_operator.model import names
from tests.support import factories as given
from tests.support.controller import Process, empty_cluster, stored
from tests.support.scripted import Reply, Script, failure, listed

KEY = (given.NAMESPACE, given.NAME)
SOON = 10.0  # seconds


async def queued(process: Process) -> tuple[str, str]:
    """The next App that is to be reconciled."""
    return await asyncio.wait_for(process.queue.get(), SOON)


async def test_everything_is_listed_before_anything_is_decided(process: Process, script: Script) -> None:
    empty_cluster(script)
    script.on("GET", APPS.path(), listed(stored(given.app_manifest()), token="next"), listed(stored(given.app_manifest(name="more"))))
    await process.informers.list_all()
    assert process.cache.apps() == {KEY, (given.NAMESPACE, "more")}
    assert {sent.path for sent in script.sent} == {resource.path() for resource in WATCHED}
    assert {await queued(process), await queued(process)} == process.cache.apps()


async def test_namespaces_that_are_served_are_listed_one_by_one_and_runtimes_once(client: Client, script: Script) -> None:
    process = Process(client, script, namespaces=frozenset({"a", "b"}))
    empty_cluster(empty_cluster(script, "a"), "b")
    await process.informers.list_all()
    paths = [sent.path for sent in script.sent]
    assert RECORDS.path("a") in paths
    assert RECORDS.path("b") in paths
    assert paths.count(RUNTIMES.path()) == 1
    assert not script.unscripted


async def test_object_that_a_list_lacks_was_deleted(process: Process, script: Script) -> None:
    process.informers.on_watch_event(APPS, None, stored(given.app_manifest(), 5))
    assert await queued(process) == KEY
    process.queue.done(KEY)
    empty_cluster(script)
    await process.informers.list_all()
    assert process.cache.apps() == set()
    assert await queued(process) == KEY


async def test_watch_event_of_a_deletion_removes_the_object(process: Process) -> None:
    process.informers.on_watch_event(APPS, "ADDED", stored(given.app_manifest(), 5))
    process.informers.on_watch_event(APPS, "DELETED", stored(given.app_manifest(), 6))
    assert process.cache.apps() == set()
    assert await queued(process) == KEY, "the App's claim and its memory go with it"


async def test_cluster_without_the_gateway_api_has_no_routes_and_no_error(process: Process, script: Script) -> None:
    empty_cluster(script, without=frozenset({HTTP_ROUTES}))
    await process.informers.list_all()
    assert HTTP_ROUTES not in set(process.informers.resources())
    assert not process.gateway_api.changed.is_set()


async def test_routes_that_are_no_longer_served_are_gone(process: Process, script: Script) -> None:
    empty_cluster(script)
    await process.informers.list_all()
    assert HTTP_ROUTES in set(process.informers.resources())
    process.gateway_api.changed.clear()
    route = {"metadata": {"name": "chat", "labels": names.labels(given.NAME)}, "spec": {}}
    process.informers.on_watch_event(HTTP_ROUTES, "ADDED", stored(route, 8))
    script.on("GET", HTTP_ROUTES.path(), failure(404, "NotFound"))
    await process.informers.list_all()
    assert list(process.cache.of_app(KEY)) == []
    assert process.gateway_api.changed.is_set(), "the watches are started anew without it"


async def test_cluster_without_our_crds_is_no_empty_one(process: Process, script: Script) -> None:
    empty_cluster(script, without=frozenset({APPS}))
    with pytest.raises(errors.NotFound):
        await process.informers.list_all()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (failure(404, "NotFound"), "kubectl apply -k crds"),
        (failure(503, "ServiceUnavailable", "overloaded"), "overloaded"),
        (failure(403, "Forbidden", "no"), "no"),
    ],
)
async def test_lists_are_retried_until_they_succeed(
    process: Process, script: Script, caplog: pytest.LogCaptureFixture, answer: Reply, told: str
) -> None:
    empty_cluster(script)
    script.on("GET", APPS.path(), answer, listed(stored(given.app_manifest())))
    await asyncio.wait_for(process.informers.list_until_synced(), SOON)
    assert process.cache.apps() == {KEY}
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert told in record.getMessage()
