"""The leader recreates lost claims from the serving routes, before it decides anything about hostnames."""

from __future__ import annotations

import asyncio

import pytest

from dynamiq_operator.controller.hostnames.claims import CLAIMS
from dynamiq_operator.controller.reconciling.workers import SWEEP_PERIOD
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, BY_KIND, EVENTS, ROWS, SECRETS
from dynamiq_operator.model import names, ownership
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.claim import ClaimState
from tests.support import factories as given
from tests.support.controller import NAMED, SYSTEM, Process, at, stored
from tests.support.scripted import Answer, Reply, Script, Sent, failure, listed
from tests.support.waiting import IN_TIME
from tests.unit.support.sinks import until

INGRESSES = BY_KIND["Ingress"]
PATH = CLAIMS.path(SYSTEM)
OLD, NEW = "2026-11-20T11:00:00Z", "2026-11-20T12:00:00Z"
HOSTS = [f"h{number}.example.com" for number in range(15)]
SOON = IN_TIME


@pytest.fixture
def script() -> Script:
    """Returns a script of a cluster without claims, in which they can be created."""
    return Script().on("GET", PATH, listed()).on("POST", PATH, NAMED).on("POST", at(EVENTS), NAMED)


def serves(process: Process, app: str, host: str, created: str = OLD) -> None:
    known = stored(given.app_manifest(given.with_hostname(host), name=app))
    process.informers.on_watch_event(APPS, "ADDED", known)
    owner = ownership.reference(app, known["metadata"]["uid"])
    meta = {
        "name": app,
        "namespace": given.NAMESPACE,
        "labels": names.labels(app),
        "ownerReferences": [owner],
        "creationTimestamp": created,
    }
    process.informers.on_watch_event(
        INGRESSES, "ADDED", stored({"metadata": {**meta, "generation": 1}, "spec": {"rules": [{"host": host}]}})
    )


def made(script: Script) -> dict[str, tuple[str, str]]:
    """Returns the App of each created claim, and since when it has the hostname, by hostname."""
    return {
        sent["data"]["hostname"]: (sent["data"]["app"], sent["metadata"]["annotations"][names.CLAIMED_ANNOTATION])
        for sent in script.bodies("POST", PATH)
    }


def claim(host: str) -> Manifest:
    return {"metadata": {"name": names.claim(host), "uid": "c", "resourceVersion": "1"}}


async def test_each_served_and_unclaimed_hostname_goes_to_the_oldest_route(process: Process, script: Script) -> None:
    for number, host in enumerate(HOSTS):
        serves(process, f"app-{number}", host)
        serves(process, f"late-{number}", host, NEW)
    script.on("GET", PATH, listed(*map(claim, HOSTS[:5])))
    await process.lead()
    await process.lost_claims.begin()
    assert made(script) == {host: (f"app-{number}", OLD) for number, host in enumerate(HOSTS) if number >= 5}
    assert [sent.query["labelSelector"] for sent in script.sent if (sent.method, sent.path) == ("GET", PATH)] == [
        "dynamiq.getdynamiq.ai/claim=hostname"
    ]
    events = script.bodies("POST", at(EVENTS))
    assert {each["reason"] for each in events} == {"HostnameClaimed"}
    assert len(events) == len(HOSTS) - 5
    assert "another App has served it for a shorter time" in events[0]["message"]


async def test_one_list_is_enough_if_no_claim_is_lost(process: Process, script: Script) -> None:
    for number, host in enumerate(HOSTS):
        serves(process, f"app-{number}", host)
    script.on("GET", PATH, listed(*map(claim, HOSTS)))
    await process.lead()
    await process.lost_claims.begin()
    assert [sent.method for sent in script.sent] == ["GET"]


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_while_the_claims_cannot_be_read_nothing_of_hostnames_is_decided(process: Process, script: Script, status: int) -> None:
    serves(process, given.NAME, HOSTS[0])
    app = given.an_app(given.with_hostname(HOSTS[0]))
    script.on("GET", PATH, failure(status, "Whatever")).on("GET", CLAIMS.path(SYSTEM, names.claim(HOSTS[0])), failure(404, "NotFound"))
    await process.lead()
    with pytest.raises(errors.Unavailable):
        await process.lost_claims.begin()
    with pytest.raises(errors.Unavailable, match="not been read yet"):
        await process.claims.of((given.NAMESPACE, given.NAME), app)
    script.on("GET", PATH, listed())
    await process.lost_claims.search()
    assert (await process.claims.of((given.NAMESPACE, given.NAME), app)).state is ClaimState.FREE


async def test_without_the_right_to_list_them_each_is_read(process: Process, script: Script) -> None:
    """A claim that may not be read either does not count as missing."""
    for number, host in enumerate(HOSTS[:3]):
        serves(process, f"app-{number}", host)
    script.on("GET", PATH, failure(403, "Forbidden"))
    answers: list[Answer] = [claim(HOSTS[0]), failure(403, "Forbidden"), failure(404, "NotFound")]
    for host, answer in zip(HOSTS, answers, strict=False):
        script.on("GET", CLAIMS.path(SYSTEM, names.claim(host)), answer)
    await process.lead()
    await process.lost_claims.begin()
    assert list(made(script)) == [HOSTS[2]]


async def test_a_claim_that_another_makes_at_this_moment_is_theirs(process: Process, script: Script) -> None:
    serves(process, given.NAME, HOSTS[0])
    script.on("POST", PATH, failure(409, "AlreadyExists"))
    await process.lead()
    await process.lost_claims.begin()
    assert process.claims.is_read


async def test_a_claim_without_a_response_is_created_by_the_next_search(process: Process, script: Script) -> None:
    serves(process, given.NAME, HOSTS[0])
    script.on("POST", PATH, failure(503, "ServiceUnavailable"), NAMED)
    await process.lead()
    with pytest.raises(errors.Unavailable):
        await process.lost_claims.begin()
    assert not process.claims.is_read
    await process.lost_claims.search()
    assert len(made(script)) == 1
    assert process.claims.is_read


async def test_it_looks_again_now_and_then(process: Process, script: Script) -> None:
    await process.lead()
    await process.lost_claims.begin()
    assert len(script.sent) == 1
    await process.workers.sweep()
    searches = len(script.sent)
    process.clock.later(SWEEP_PERIOD)
    await process.workers.sweep()
    assert len(script.sent) > searches


async def test_no_app_is_looked_at_before_the_first_look_at_claims(process: Process, script: Script) -> None:
    """A route that changes before would lose its hostname."""
    serves(process, given.NAME, HOSTS[0])
    order = list[str]()

    def answered(sent: Sent) -> Reply | Manifest:
        order.append(f"{sent.method} {sent.path}")
        return listed() if sent.method == "GET" else NAMED

    script.on("GET", PATH, answered).on("POST", PATH, answered)
    own = CLAIMS.path(SYSTEM, names.claim(HOSTS[0]))
    script.on("GET", own, answered)
    # The keys are read in parallel with the claim. If they cannot be read, the read of the claim is cancelled, maybe before it begins.
    script.on("GET", at(SECRETS, names.access_keys(given.NAME)), failure(404, "NotFound"))
    await process.lead()
    running = asyncio.create_task(process.workers.run())
    await until("the App is looked at", lambda: f"GET {own}" in order)
    process.workers.stop()
    await asyncio.wait_for(running, SOON)
    assert order[:2] == [f"GET {PATH}", f"POST {PATH}"]


async def test_a_leader_that_cannot_begin_works_and_tries_again(process: Process, script: Script) -> None:
    """Everything other than hostnames works meanwhile."""
    script.on("GET", PATH, failure(503, "ServiceUnavailable"))
    process.cache.update(ROWS, given.stored(given.row_manifest("waits-for-its-app")))
    waits = at(ROWS, "waits-for-its-app", "status")
    script.on("PATCH", waits, stored(given.row_manifest("waits-for-its-app"), 2))
    await process.lead()
    running = asyncio.create_task(process.workers.run())
    await until("a row says that it waits", lambda: script.bodies("PATCH", waits))
    assert not process.claims.is_read
    script.on("GET", PATH, listed())
    await until("the claims are read", lambda: process.claims.is_read)
    process.workers.stop()
    await asyncio.wait_for(running, SOON)
