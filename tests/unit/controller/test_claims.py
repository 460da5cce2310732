"""Claims of hostnames: which App has a hostname. They are read as seldom as possible, and never attributed to a wrong App."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.controller.hostnames.claims import CLAIMS, FAILED_TTL, OWN_CLAIM_TTL
from dynamiq_operator.controller.hostnames.foreign_routes import FOREIGN_ROUTE_TTL
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS, BY_KIND, HTTP_ROUTES, ROWS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, format_time, parse_time
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.observed.claim import ClaimState, HostnameClaim
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
    """Returns a script of a cluster in which no App has the hostname."""
    script = Script().on("GET", PATH, failure(404, "NotFound"))
    return script.on("GET", INGRESSES.path(), listed()).on("GET", HTTP_ROUTES.path(), failure(404, "NotFound"))


async def of(process: Process, app: App = CHAT) -> HostnameClaim:
    return await process.claims.of(KEY, app)


async def test_app_without_a_hostname_needs_no_claim(process: Process, script: Script) -> None:
    assert (await of(process, given.an_app())).state is ClaimState.NOT_NEEDED
    assert script.sent == []


async def test_an_unclaimed_hostname_is_free(process: Process) -> None:
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


# An operator beside another one, which serves other namespaces and shares the claims.

ELSEWHERE = ("elsewhere", "another")
HOLDER = APPS.path(*ELSEWHERE)


@pytest.fixture
def limited(client: Client, script: Script) -> Process:
    """Returns an operator of one namespace."""
    return Process(client, script, namespaces=frozenset({given.NAMESPACE}))


def elsewhere(*modifiers: given.Modifier) -> Manifest:
    return stored(given.app_manifest(given.in_namespace("elsewhere"), *modifiers, name="another"))


@pytest.mark.parametrize(
    ("holder", "state"),
    [
        (elsewhere(given.with_hostname(HOST)), ClaimState.HELD),
        (elsewhere(given.with_hostname("other.example.com")), ClaimState.ABANDONED),
        (elsewhere(given.with_hostname(HOST), given.exposed("ClusterIP")), ClaimState.ABANDONED),
        (elsewhere(), ClaimState.ABANDONED),
        (elsewhere(given.with_spec(workflow=7)), ClaimState.HELD),
        (failure(404, "NotFound"), ClaimState.ABANDONED),
        (failure(403, "Forbidden"), ClaimState.HELD),
    ],
)
async def test_a_holder_whom_another_operator_serves_is_read(limited: Process, script: Script, holder: Any, state: ClaimState) -> None:
    """It is read even if no operator serves it: a stopped operator must not block a hostname for others."""
    script.on("GET", PATH, claim("another", "elsewhere")).on("GET", HOLDER, holder)
    found = await of(limited)
    assert (found.state, found.holder) == (state, ELSEWHERE)


async def test_a_hostname_of_another_operators_domain_is_wanted_by_the_app_that_it_is_made_of(limited: Process, script: Script) -> None:
    host = "another.elsewhere.apps.example.org"
    path = CLAIMS.path(SYSTEM, names.claim(host))
    script.on("GET", path, claim("another", "elsewhere")).on("GET", HOLDER, elsewhere())
    assert (await of(limited, given.an_app(given.with_hostname(host)))).state is ClaimState.HELD


async def test_a_hostname_that_an_app_of_another_operator_serves_is_its_also_without_a_claim(limited: Process, script: Script) -> None:
    served = route("another", "elsewhere", labels=names.labels("another"), rules=[{"host": HOST}])
    own = route("own", labels=names.labels("own"), rules=[{"host": HOST}])
    script.on("GET", INGRESSES.path(), listed(own), listed(own, served))
    assert (await of(limited)).state is ClaimState.FREE, "routes of namespaces that are served are cached: what is not there is gone"
    limited.clock.later(FOREIGN_ROUTE_TTL)
    found = await of(limited)
    assert (found.state, found.holder) == (ClaimState.HELD, ELSEWHERE)


async def test_an_operator_of_some_namespaces_searches_foreign_routes_in_them_only(limited: Process, script: Script) -> None:
    for resource in (INGRESSES, HTTP_ROUTES):
        script.on("GET", resource.path(), failure(403, "Forbidden")).on("GET", resource.path(given.NAMESPACE), listed())
    assert (await of(limited)).state is ClaimState.FREE
    limited.clock.later(FOREIGN_ROUTE_TTL)
    script.on("GET", INGRESSES.path(given.NAMESPACE), listed(route("theirs", rules=[{"host": HOST}])))
    found = await of(limited)
    assert (found.state, found.stranger) == (ClaimState.HELD, "Ingress")


# Routes of other managers.


def route(name: str, namespace: str = given.NAMESPACE, labels: dict[str, str] | None = None, **spec: Any) -> Manifest:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels or {}}, "spec": spec}


@pytest.mark.parametrize(
    ("resource", "found"),
    [(INGRESSES, route("theirs", rules=[{"host": HOST}, {}])), (HTTP_ROUTES, route("theirs", hostnames=[HOST]))],
)
async def test_route_of_another_manager_holds_its_hostname(process: Process, script: Script, resource: Any, found: Manifest) -> None:
    script.on("GET", resource.path(), listed(found))
    claimed = await of(process)
    assert (claimed.state, claimed.stranger) == (ClaimState.HELD, resource.kind)


async def test_route_of_another_manager_is_looked_for_again_after_a_while(process: Process, script: Script) -> None:
    script.on("GET", INGRESSES.path(), listed(route("theirs", rules=[{"host": HOST}])), listed())
    assert (await of(process)).state is ClaimState.HELD
    assert (await of(process)).state is ClaimState.HELD, "to look for one reads every route of the cluster"
    process.clock.later(FOREIGN_ROUTE_TTL)
    assert (await of(process)).state is ClaimState.FREE


@pytest.mark.parametrize(
    "found",
    [
        route(given.NAME, rules=[{"host": HOST}]),
        route("theirs", rules=[{"host": "other.example.com"}]),
        route("theirs"),
    ],
)
async def test_route_of_this_name_or_of_another_hostname_holds_nothing(process: Process, script: Script, found: Manifest) -> None:
    script.on("GET", INGRESSES.path(), listed(found))
    assert (await of(process)).state is ClaimState.FREE


async def test_many_apps_whose_hostnames_others_serve_have_the_routes_of_the_cluster_read_once(process: Process, script: Script) -> None:
    apps = {
        f"{name}.example.com": given.an_app(given.with_hostname(f"{name}.example.com"), name=name)
        for name in map("app{}".format, range(20))
    }
    for host in apps:
        script.on("GET", CLAIMS.path(SYSTEM, names.claim(host)), failure(404, "NotFound"))
    script.on("GET", INGRESSES.path(), listed(route("theirs", rules=[{"host": host} for host in apps])))

    async def states() -> set[ClaimState]:
        return {(await process.claims.of((given.NAMESPACE, app.meta.name), app)).state for app in apps.values()}

    assert await states() == {ClaimState.HELD}
    for _ in range(3):
        process.clock.later(FOREIGN_ROUTE_TTL)
        before = len(script.sent)
        assert await states() == {ClaimState.HELD}
        assert [sent.path for sent in script.sent[before:]].count(INGRESSES.path()) == 1


async def test_routes_with_our_labels_are_not_read_again(process: Process, script: Script) -> None:
    await of(process)
    (sent,) = (each for each in script.sent if each.path == INGRESSES.path())
    assert sent.query["labelSelector"] == f"{names.MANAGED_BY}!={names.FIELD_MANAGER}"


async def test_in_a_cluster_without_ingresses_the_owner_is_unknown(process: Process, script: Script) -> None:
    script.on("GET", INGRESSES.path(), failure(404, "NotFound"))
    assert (await of(process)).state is ClaimState.UNKNOWN


async def test_nothing_is_kept_of_an_app_that_is_deleted(process: Process, script: Script) -> None:
    script.on("GET", PATH, claim())
    await of(process)
    await process.observer.observe(KEY)
    await of(process)
    assert len(script.sent) == 2


# Serving routes when claims are lost, unreadable or changed.

OLDER, OLD, NEW = "2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z", "2026-11-20T12:00:00Z"


def serves(
    process: Process, app: str, created: str, resource: Any = INGRESSES, *, wants: str = HOST, ending: bool = False, generation: int = 1
) -> None:
    """Reports an App with a route that has the hostname. A generation above 1 means that its spec was changed."""
    known = stored(given.app_manifest(given.with_hostname(wants), name=app))
    process.informers.on_watch_event(APPS, "ADDED", known)
    spec = {"hostnames": [HOST]} if resource is HTTP_ROUTES else {"rules": [{"host": HOST}]}
    raw = stored(route(app, labels=names.labels(app), **spec))
    owners = [{"kind": "App", "name": app, "uid": known["metadata"]["uid"]}]
    raw["metadata"] |= {"creationTimestamp": created, "ownerReferences": owners, "generation": generation} | (
        {"deletionTimestamp": NEW} if ending else {}
    )
    process.informers.on_watch_event(resource, "ADDED", raw)


def since(claim: HostnameClaim) -> str | None:
    return format_time(claim.since) if claim.since else None


@pytest.mark.parametrize("resource", [INGRESSES, HTTP_ROUTES])
async def test_a_lost_claim_is_made_again_with_the_age_of_the_route(process: Process, script: Script, resource: Any) -> None:
    serves(process, given.NAME, OLD, resource)
    found = await of(process)
    assert (found.state, since(found)) == (ClaimState.FREE, OLD)
    assert INGRESSES.path() not in [sent.path for sent in script.sent], "who serves looks for no stranger"
    await process.lead()
    script.on("POST", CLAIMS.path(SYSTEM), {"metadata": {"name": "made"}})
    await process.claims.create(operations.ClaimHostname(CHAT, HOST, found.since))
    assert script.sent[-1].body["metadata"]["annotations"] == {names.CLAIMED_ANNOTATION: OLD}


@pytest.mark.parametrize(("ours", "holder"), [(OLDER, given.NAME), (NEW, "another"), (None, "another")])
async def test_without_claims_the_older_route_has_the_hostname(process: Process, ours: str | None, holder: str) -> None:
    if ours is not None:
        serves(process, given.NAME, ours)
    serves(process, "another", OLD)
    found = await of(process)
    if holder == given.NAME:
        assert (found.state, since(found)) == (ClaimState.FREE, OLDER)
    else:
        state = ClaimState.CONTESTED if ours is not None else ClaimState.HELD
        assert (found.state, found.holder, found.raw) == (state, (given.NAMESPACE, "another"), None)


@pytest.mark.parametrize("more", [{"wants": "other.example.com"}, {"ending": True}])
async def test_a_route_that_is_not_to_stay_holds_nothing(process: Process, more: dict[str, Any]) -> None:
    serves(process, "another", OLD, **more)
    assert (await of(process)).state is ClaimState.FREE


async def test_a_route_with_our_labels_that_no_app_owns_holds_nothing(process: Process) -> None:
    process.informers.on_watch_event(APPS, "ADDED", stored(given.app_manifest(given.with_hostname(HOST), name="another")))
    process.informers.on_watch_event(INGRESSES, "ADDED", stored(route("another", labels=names.labels("another"), rules=[{"host": HOST}])))
    assert (await of(process)).state is ClaimState.FREE


@pytest.mark.parametrize(
    ("claimed", "noted", "wanted", "holder_serves", "state"),
    [
        (NEW, None, True, False, ClaimState.STALE),
        (NEW, None, True, True, ClaimState.CONTESTED),
        (OLDER, None, True, True, ClaimState.CONTESTED),
        (NEW, OLDER, True, False, ClaimState.CONTESTED),
        (OLDER, None, True, False, ClaimState.HELD),
        (OLDER, None, False, False, ClaimState.STALE),
    ],
)
async def test_a_claim_of_another_takes_no_route_that_has_served_the_hostname_all_along(
    process: Process, script: Script, claimed: str, noted: str | None, wanted: bool, holder_serves: bool, state: ClaimState
) -> None:
    """`noted`: on a claim that was lost and made again, since when its App has had the hostname."""
    serves(process, given.NAME, OLD)
    if holder_serves:
        serves(process, "another", NEW)
    elif wanted:
        process.informers.on_watch_event(APPS, "ADDED", stored(given.app_manifest(given.with_hostname(HOST), name="another")))
    annotations = {names.CLAIMED_ANNOTATION: noted} if noted else {}
    script.on("GET", PATH, claim("another", creationTimestamp=claimed, annotations=annotations))
    found = await of(process)
    assert (found.state, found.raw is not None) == (state, state is not ClaimState.CONTESTED)


async def test_a_contested_route_that_the_operator_changes_stays(process: Process, script: Script) -> None:
    """The operator knows that its own changes did not add the hostname: when the claim was made again, it noted who served it."""
    serves(process, given.NAME, OLD)
    serves(process, "another", OLDER)
    another = App.of(given.app_manifest(given.with_hostname(HOST), name="another"))
    free = await process.claims.of((given.NAMESPACE, "another"), another)
    await process.lead()
    script.on("POST", CLAIMS.path(SYSTEM), {"metadata": {"name": "made"}})
    await process.claims.create(operations.ClaimHostname(another, HOST, free.since, free.others))
    script.on("GET", PATH, claim("another", annotations=script.sent[-1].body["metadata"]["annotations"]))
    serves(process, given.NAME, OLD, generation=2)
    found = await of(process)
    assert (found.state, found.holder) == (ClaimState.CONTESTED, (given.NAMESPACE, "another"))


async def test_however_many_serve_a_hostname_its_claim_can_be_made(process: Process, script: Script) -> None:
    """An annotation holds 256 KiB: a tenant with many routes for another App's hostname could otherwise prevent its claim."""
    others = tuple(("a" * 60, f"{number:040}") for number in range(5000))
    await process.lead()
    script.on("POST", CLAIMS.path(SYSTEM), {"metadata": {"name": "made"}})
    await process.claims.create(operations.ClaimHostname(CHAT, HOST, given.NOW, others))
    (made,) = script.bodies("POST", CLAIMS.path(SYSTEM))
    noted = made["metadata"]["annotations"][names.CONTESTED_ANNOTATION]
    assert len(noted) < 100_000
    assert noted.startswith(f"{'a' * 60}/{0:040},")


async def test_an_old_route_that_was_given_the_hostname_of_a_claim_takes_nothing(process: Process, script: Script) -> None:
    """Otherwise tenants who may edit their own Ingress could take the hostname of any App that does not serve yet."""
    serves(process, "thief", OLD, generation=2)
    process.informers.on_watch_event(APPS, "ADDED", stored(given.app_manifest(given.with_hostname(HOST))))
    script.on("GET", PATH, claim(creationTimestamp=NEW))
    assert (await of(process)).state is ClaimState.OURS
    found = await process.claims.of((given.NAMESPACE, "thief"), App.of(given.app_manifest(given.with_hostname(HOST), name="thief")))
    assert (found.state, found.holder) == (ClaimState.HELD, (given.NAMESPACE, given.NAME))


@pytest.mark.parametrize(("changed", "holder"), [(True, "another"), (False, given.NAME)])
async def test_without_claims_a_route_that_was_changed_comes_after_one_that_was_not(process: Process, changed: bool, holder: str) -> None:
    serves(process, given.NAME, OLD, generation=2 if changed else 1)
    serves(process, "another", NEW)
    found = await of(process)
    assert (found.state is ClaimState.FREE) == (holder == given.NAME)


async def test_a_route_that_was_changed_does_not_stay_beside_one_that_was_not(process: Process, script: Script) -> None:
    """The gateway may prefer the older Ingress, which its tenant gave the hostname."""
    serves(process, given.NAME, OLD, generation=2)
    serves(process, "another", NEW)
    for answer in (claim("another", creationTimestamp=NEW), claim("another", annotations={names.CLAIMED_ANNOTATION: NEW})):
        script.on("GET", PATH, answer)
        assert (await of(process)).state is ClaimState.HELD


async def test_the_route_that_was_deployed_first_wins_between_two_of_one_second(process: Process) -> None:
    """A restore recreates all routes, and keeps in each row when it was deployed."""
    for app, deployed in ((given.NAME, OLD), ("another", OLDER)):
        serves(process, app, NEW)
        row = stored(given.row_manifest(f"{app}-1", given.of_app(app), given.live(1, createdAt=deployed)))
        process.informers.on_watch_event(ROWS, "ADDED", row)
    found = await of(process)
    assert (found.state, found.holder) == (ClaimState.CONTESTED, (given.NAMESPACE, "another"))


async def test_before_it_is_known_which_claims_there_are_nothing_is_decided(process: Process, script: Script) -> None:
    serves(process, given.NAME, OLD)
    process.claims.is_read = False
    with pytest.raises(errors.Unavailable, match="not been read yet"):
        await of(process)
    assert (await of(process, given.an_app())).state is ClaimState.NOT_NEEDED
    assert script.sent == []


@pytest.mark.parametrize(("holder", "is_left"), [(elsewhere(given.with_hostname(HOST)), True), (failure(404, "NotFound"), False)])
async def test_a_claim_of_an_app_that_is_not_seen_here_is_left_where_it_is(
    limited: Process, script: Script, holder: Any, is_left: bool
) -> None:
    serves(limited, given.NAME, OLD)
    script.on("GET", PATH, claim("another", "elsewhere", creationTimestamp=NEW)).on("GET", HOLDER, holder)
    found = await of(limited)
    assert (found.state, found.raw is None) == (ClaimState.STALE, is_left)


async def test_a_restored_old_claim_takes_no_hostname_from_the_app_that_serves_it(process: Process, script: Script) -> None:
    serves(process, "another", OLD)
    script.on("GET", PATH, claim(creationTimestamp=NEW))
    found = await of(process)
    assert (found.state, found.holder) == (ClaimState.HELD, (given.NAMESPACE, "another"))


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_without_an_answer_nothing_is_decided(process: Process, script: Script, status: int) -> None:
    script.on("GET", PATH, failure(status, "Whatever"))
    with pytest.raises(errors.ApiError):
        await of(process)


@pytest.mark.parametrize("status", [400, 403, 422])
async def test_a_claim_that_cannot_be_read_is_not_missing(process: Process, script: Script, status: int) -> None:
    script.on("GET", PATH, failure(status, "Whatever"))
    found = await of(process)
    assert found.state is ClaimState.UNKNOWN
    assert found.unread


@pytest.mark.parametrize(("status", "state"), [(500, ClaimState.OURS), (401, ClaimState.OURS), (403, ClaimState.UNKNOWN)])
async def test_a_hostname_keeps_its_owner_while_the_api_server_does_not_answer(
    process: Process, script: Script, status: int, state: ClaimState
) -> None:
    script.on("GET", PATH, claim())
    await of(process)
    process.clock.later(OWN_CLAIM_TTL)
    script.on("GET", PATH, failure(status, "Whatever"))
    assert (await of(process)).state is state


@pytest.mark.parametrize("data", [None, {}, {"hostname": HOST}, {"namespace": given.NAMESPACE}, {"namespace": "", "app": ""}])
async def test_a_claim_that_names_no_app_is_unknown_and_has_the_next_step(process: Process, script: Script, data: Any) -> None:
    script.on("GET", PATH, {**claim(), "data": data})
    found = await of(process)
    assert found.state is ClaimState.UNKNOWN
    assert (
        found.unread
        == f"its claim, ConfigMap {names.claim(HOST)} in namespace {SYSTEM}, names no App: delete it, and the operator creates it again"
    )


async def test_unreadable_times_are_ignored(process: Process, script: Script) -> None:
    process.informers.on_watch_event(APPS, "ADDED", stored(given.app_manifest(given.with_hostname("other.example.com"), name="another")))
    noted = {names.RELEASED_ANNOTATION: "soon", names.CLAIMED_ANNOTATION: "long ago"}
    script.on("GET", PATH, claim("another", annotations=noted))
    found = await of(process)
    assert (found.state, found.released_at) == (ClaimState.ABANDONED, None)


@pytest.mark.parametrize("status", [403, 404, 422])
async def test_a_claim_that_cannot_be_created_is_reported_and_tried_again(process: Process, script: Script, status: int) -> None:
    await process.lead()
    script.on("POST", CLAIMS.path(SYSTEM), failure(status, "Whatever"))
    await process.claims.create(operations.ClaimHostname(CHAT, HOST))
    found = await of(process)
    assert found.state is ClaimState.UNKNOWN
    assert found.unread.startswith("its claim cannot be made: ")
    process.clock.later(FAILED_TTL)
    assert (await of(process)).state is ClaimState.FREE


@pytest.mark.parametrize(
    ("answer", "error"), [(failure(409, "AlreadyExists"), errors.Conflict), (failure(503, "Busy"), errors.Unavailable)]
)
async def test_a_claim_that_loses_a_race_or_meets_a_busy_api_server_raises(
    process: Process, script: Script, answer: Any, error: type[Exception]
) -> None:
    await process.lead()
    script.on("POST", CLAIMS.path(SYSTEM), answer)
    with pytest.raises(error):
        await process.claims.create(operations.ClaimHostname(CHAT, HOST))
