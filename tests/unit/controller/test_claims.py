"""Claims of hostnames: which App has a hostname, read as seldom as it may be, and never told of the wrong one."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.controller.claims import CLAIMS, FOREIGN_ROUTE_TTL, OWN_CLAIM_TTL
from dynamiq_operator.controller.client import Client
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, BY_KIND, HTTP_ROUTES
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, parse_time
from dynamiq_operator.plan.snapshot import ClaimState, HostnameClaim
from tests.support import factories as given
from tests.support.controller import SYSTEM, Process, stored
from tests.support.scripted import Script, failure, listed

KEY = (given.NAMESPACE, given.NAME)
INGRESSES = BY_KIND["Ingress"]
HOST = "chat.example.com"
CHAT = given.an_app(given.with_hostname(HOST))
PATH = CLAIMS.path(SYSTEM, names.claim(HOST))


def claim(app: str = given.NAME, namespace: str = given.NAMESPACE, **meta: Any) -> Manifest:
    return {
        "metadata": {"name": names.claim(HOST), "uid": "c", "resourceVersion": "1", **meta},
        "data": {"hostname": HOST, "namespace": namespace, "app": app},
    }


@pytest.fixture
def script() -> Script:
    """A cluster in which nobody has the hostname."""
    script = Script().on("GET", PATH, failure(404, "NotFound"))
    return script.on("GET", INGRESSES.path(), listed()).on("GET", HTTP_ROUTES.path(), failure(404, "NotFound"))


async def of(process: Process, app: App = CHAT) -> HostnameClaim:
    return await process.claims.of(KEY, app)


async def test_app_without_a_hostname_needs_no_claim(process: Process, script: Script) -> None:
    assert (await of(process, given.an_app())).state is ClaimState.NOT_NEEDED
    assert script.sent == []


async def test_hostname_that_nobody_has_is_free(process: Process) -> None:
    assert (await of(process)).state is ClaimState.FREE


async def test_own_claim_is_read_again_after_a_while(process: Process, script: Script) -> None:
    script.on("GET", PATH, claim())
    assert (await of(process)).state is ClaimState.OURS
    assert (await of(process)).state is ClaimState.OURS
    assert len(script.sent) == 1
    process.clock.later(OWN_CLAIM_TTL)
    script.on("GET", PATH, claim("another"))
    assert (await of(process)).state is ClaimState.ABANDONED


async def test_own_claim_is_read_anew_for_an_app_that_was_created_again(process: Process, script: Script) -> None:
    script.on("GET", PATH, claim())
    await of(process)
    await of(process, given.an_app(given.with_hostname(HOST), given.with_meta(uid="another")))
    assert len(script.sent) == 2


async def test_own_claim_that_is_noted_as_not_wanted_is_read_until_it_is_kept(process: Process, script: Script) -> None:
    script.on("GET", PATH, claim(annotations={names.RELEASED_ANNOTATION: "2026-11-24T12:00:00Z"}), claim())
    first = await of(process)
    assert (first.state, first.released_at) == (ClaimState.OURS, parse_time("2026-11-24T12:00:00Z"))
    assert (await of(process)).released_at is None


@pytest.mark.parametrize(
    ("holder", "state"),
    [
        (given.app_manifest(given.with_hostname(HOST), name="another"), ClaimState.HELD),
        (given.app_manifest(given.with_hostname("other.example.com"), name="another"), ClaimState.ABANDONED),
        (given.app_manifest(given.with_spec(workflow=7), name="another"), ClaimState.HELD),
        (None, ClaimState.ABANDONED),
    ],
)
async def test_claim_of_another_app_is_abandoned_once_that_does_not_want_it(
    process: Process, script: Script, holder: Manifest | None, state: ClaimState
) -> None:
    script.on("GET", PATH, claim("another"))
    if holder is not None:
        process.informers.on_watch_event(APPS, "ADDED", stored(holder))
    found = await of(process)
    assert (found.state, found.holder) == (state, (given.NAMESPACE, "another"))


async def test_holder_in_a_namespace_that_is_not_served_here_wants_its_hostname(client: Client, script: Script) -> None:
    process = Process(client, script, namespaces=frozenset({given.NAMESPACE}))
    script.on("GET", PATH, claim("another", "elsewhere"))
    assert (await of(process)).state is ClaimState.HELD


# Routes of other managers.


def route(name: str, namespace: str = given.NAMESPACE, labels: dict[str, str] | None = None, **spec: Any) -> Manifest:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels or {}}, "spec": spec}


@pytest.mark.parametrize(
    ("resource", "found"),
    [(INGRESSES, route("theirs", rules=[{"host": HOST}, {}])), (HTTP_ROUTES, route("theirs", hostnames=[HOST]))],
)
async def test_route_of_another_manager_holds_its_hostname(process: Process, script: Script, resource: Any, found: Manifest) -> None:
    script.on("GET", resource.path(), listed(found))
    told = await of(process)
    assert (told.state, told.stranger) == (ClaimState.HELD, resource.kind)


async def test_route_of_another_manager_is_looked_for_again_after_a_while(process: Process, script: Script) -> None:
    script.on("GET", INGRESSES.path(), listed(route("theirs", rules=[{"host": HOST}])), listed())
    assert (await of(process)).state is ClaimState.HELD
    assert (await of(process)).state is ClaimState.HELD, "to look for one reads every route of the cluster"
    process.clock.later(FOREIGN_ROUTE_TTL)
    assert (await of(process)).state is ClaimState.FREE


@pytest.mark.parametrize(
    "found",
    [
        route("managed", labels={names.MANAGED_BY: names.FIELD_MANAGER}, rules=[{"host": HOST}]),
        route(given.NAME, rules=[{"host": HOST}]),
        route("theirs", rules=[{"host": "other.example.com"}]),
        route("theirs"),
    ],
)
async def test_route_of_the_operator_or_of_another_hostname_holds_nothing(process: Process, script: Script, found: Manifest) -> None:
    script.on("GET", INGRESSES.path(), listed(found))
    assert (await of(process)).state is ClaimState.FREE


async def test_cluster_without_ingresses_is_an_error(process: Process, script: Script) -> None:
    script.on("GET", INGRESSES.path(), failure(404, "NotFound"))
    with pytest.raises(errors.NotFound):
        await of(process)


async def test_nothing_is_kept_of_an_app_that_is_deleted(process: Process, script: Script) -> None:
    script.on("GET", PATH, claim())
    await of(process)
    await process.observer.observe(KEY)
    await of(process)
    assert len(script.sent) == 2
