"""The owner of a hostname: the plan and the messages for each state of its claim."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dynamiq_operator.desired.base import HTTP_ROUTE, INGRESS, child
from dynamiq_operator.model.app import ParentRef
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.children import hostnames
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.children import ObservedChildren
from dynamiq_operator.plan.observed.claim import ClaimState, HostnameClaim
from dynamiq_operator.plan.operations import DeleteChild, SetAppStatus
from dynamiq_operator.plan.planner import make_plan
from dynamiq_operator.plan.snapshot import Snapshot
from tests.support import factories as given
from tests.support.world import a_world

HOST = "chat.example.test"
DOMAIN = "apps.example.test"
RAW: Manifest = {"metadata": {"name": "hostname-x", "uid": "1", "resourceVersion": "1"}, "data": {}}


def a_snapshot(hostname: str | None, claim: HostnameClaim) -> Snapshot:
    app = given.an_app(*([given.with_hostname(hostname)] if hostname else []))
    return Snapshot(given.NAMESPACE, given.NAME, given.NOW, Settings(domain=DOMAIN), app=app, claim=claim)


def planned(snapshot: Snapshot) -> list[str]:
    assert snapshot.app is not None
    return [type(action).__name__ for action in hostnames.claim_operations(Context.of(snapshot, snapshot.app))]


def problem_messages(snapshot: Snapshot) -> str:
    assert snapshot.app is not None
    return " ".join(problem.message for problem in hostnames.claim_problems(Context.of(snapshot, snapshot.app)).values())


def routed(snapshot: Snapshot) -> bool:
    assert snapshot.app is not None
    return hostnames.may_route(Context.of(snapshot, snapshot.app))


def abandoned(seconds: float | None) -> HostnameClaim:
    """Returns the claim of a deleted App, which was requested `seconds` ago; None if it was not requested yet."""
    since = given.NOW - timedelta(seconds=seconds) if seconds is not None else None
    return HostnameClaim(ClaimState.ABANDONED, ("other", "web"), since, RAW)


@pytest.mark.parametrize(
    ("claim", "does", "says"),
    [
        (HostnameClaim(ClaimState.FREE), ["ClaimHostname"], ""),
        (HostnameClaim(ClaimState.OURS, (given.NAMESPACE, given.NAME), None, RAW), [], ""),
        (HostnameClaim(ClaimState.OURS, (given.NAMESPACE, given.NAME), given.NOW, RAW), ["KeepClaim"], ""),
        (HostnameClaim(ClaimState.HELD, ("secret-team", "web"), None, RAW), [], "belongs to another App"),
        (HostnameClaim(ClaimState.HELD, (given.NAMESPACE, "web"), None, RAW), [], "belongs to App web in this namespace"),
        (HostnameClaim(ClaimState.HELD), [], "an Ingress of no App serves"),
        (
            HostnameClaim(ClaimState.HELD, stranger="HTTPRoute"),
            [],
            "choose another, or delete that HTTPRoute",
        ),
        (abandoned(None), ["KeepClaim"], "belonged to another App until recently: this App gets it 60 s after it asked"),
        (abandoned(59), [], "belonged to another App until recently"),
        (abandoned(60), ["ReleaseClaim"], "belonged to another App until recently"),
    ],
    ids=lambda value: value.state.name + (f" {value.released_at}" if value.released_at else "") if isinstance(value, HostnameClaim) else "",
)
def test_each_state_of_a_claim(claim: HostnameClaim, does: list[str], says: str) -> None:
    snapshot = a_snapshot(HOST, claim)
    assert planned(snapshot) == does
    assert says in problem_messages(snapshot)
    assert bool(problem_messages(snapshot)) == bool(says)
    assert routed(snapshot) == (claim.state is ClaimState.OURS)
    assert "secret-team" not in problem_messages(snapshot)


@pytest.mark.parametrize(
    ("told", "url"), [({}, None), ({"public_scheme": "http", "public_port": 8080}, f"http://{given.NAME}.{given.NAMESPACE}.{DOMAIN}:8080")]
)
def test_the_status_has_the_public_url_if_the_operator_knows_scheme_and_port(told: Manifest, url: str | None) -> None:
    world = a_world(settings=Settings(domain=DOMAIN, **told))
    world.run()
    status = world.app.status
    assert (status.hostname, status.url) == (f"{given.NAME}.{given.NAMESPACE}.{DOMAIN}", url)


@pytest.mark.parametrize(
    ("hostname", "reserved"),
    [
        (None, False),
        (f"{given.NAME}.{given.NAMESPACE}.{DOMAIN}", False),
        (f"web.{given.NAMESPACE}.{DOMAIN}", True),
        (f"{given.NAME}.other.{DOMAIN}", True),
        (f"www.{DOMAIN}", False),
        (f"a.b.c.{DOMAIN}", False),
        (f"web.other.{DOMAIN}.test", False),
    ],
)
def test_names_made_of_app_and_namespace_are_reserved(hostname: str | None, reserved: bool) -> None:
    snapshot = a_snapshot(hostname, HostnameClaim(ClaimState.FREE))
    assert planned(snapshot) == ([] if reserved else ["ClaimHostname"])
    assert ("is the default hostname" in problem_messages(snapshot)) == reserved
    assert routed(a_snapshot(hostname, HostnameClaim(ClaimState.OURS))) is not reserved


# Serving routes.


def serving(
    claim: HostnameClaim, *, host: str = HOST, gateway: bool = False, hostname: str = HOST, domain: str | None = DOMAIN
) -> Snapshot:
    """Returns a snapshot of an App with a route for `host`, as the operator made it."""
    app = given.an_app(given.with_hostname(hostname), *([given.exposed("Gateway")] if gateway else []))
    spec: Manifest = {"hostnames": [host]} if gateway else {"rules": [{"host": host}]}
    resource = HTTP_ROUTE if gateway else INGRESS
    made = child(app, resource, app.meta.name, spec=spec)
    return Snapshot(
        given.NAMESPACE,
        given.NAME,
        given.NOW,
        Settings(domain=DOMAIN, gateway=ParentRef(name="public", namespace="infra")),
        app=app,
        claim=claim,
        children=ObservedChildren({resource.key(app.meta.name): made}),
    )


def deleted(snapshot: Snapshot) -> bool:
    return any(isinstance(each, DeleteChild) for each in make_plan(snapshot).operations)


UNKNOWN = HostnameClaim(ClaimState.UNKNOWN, unread="forbidden")
LOST = HostnameClaim(ClaimState.FREE, since=given.NOW)
THEIRS = ("other", "web")


@pytest.mark.parametrize("gateway", [False, True], ids=["Ingress", "HTTPRoute"])
@pytest.mark.parametrize(
    ("claim", "stays"),
    [
        (UNKNOWN, True),
        (LOST, True),
        (HostnameClaim(ClaimState.FREE), True),
        (HostnameClaim(ClaimState.STALE, THEIRS, raw=RAW), True),
        (HostnameClaim(ClaimState.STALE, THEIRS), True),
        (HostnameClaim(ClaimState.CONTESTED, THEIRS), True),
        (HostnameClaim(ClaimState.HELD, THEIRS, raw=RAW), False),
        (HostnameClaim(ClaimState.HELD, THEIRS), False),
    ],
)
def test_a_route_stays_unless_an_older_claim_is_known(claim: HostnameClaim, stays: bool, gateway: bool) -> None:
    snapshot = serving(claim, gateway=gateway)
    assert deleted(snapshot) is not stays
    assert routed(snapshot) is stays
    if claim.state not in (ClaimState.STALE, ClaimState.CONTESTED):  # of another hostname it goes once this one is decided
        assert deleted(serving(claim, gateway=gateway, host="before.example.test")) is not stays


@pytest.mark.parametrize(
    ("holder", "other"), [(THEIRS, "another App"), ((given.NAMESPACE, "web"), "App web in this namespace")], ids=["elsewhere", "here"]
)
def test_a_contested_route_keeps_serving_and_is_reported(holder: tuple[str, str], other: str) -> None:
    snapshot = serving(HostnameClaim(ClaimState.CONTESTED, holder))
    assert planned(snapshot) == []
    assert (
        problem_messages(snapshot)
        == f"hostname {HOST} belongs to {other}, which serves it, too: this one keeps serving it, and one of the two must choose another"
    )
    (written,) = make_plan(snapshot).of(SetAppStatus)
    found = {each.type: (each.status, each.reason) for each in written.status.conditions}
    assert found["ChildrenApplied"] == ("False", "HostnameContested")
    assert not routed(a_snapshot(HOST, HostnameClaim(ClaimState.CONTESTED, holder))), "none is made anew"


def test_a_lost_claim_is_created_again_and_reported() -> None:
    assert planned(serving(LOST)) == ["Emit", "ClaimHostname"]
    assert problem_messages(serving(LOST)) == ""


def test_a_younger_claim_is_released_where_its_app_is_known_not_to_serve() -> None:
    assert planned(serving(HostnameClaim(ClaimState.STALE, THEIRS, raw=RAW))) == ["ReleaseClaim"]
    left = serving(HostnameClaim(ClaimState.STALE, THEIRS))
    assert planned(left) == []
    assert "after this one began to serve it: this one keeps serving it" in problem_messages(left)


def test_an_unknown_owner_makes_no_new_route_and_is_reported() -> None:
    snapshot = a_snapshot(HOST, UNKNOWN)
    assert not routed(snapshot)
    assert planned(snapshot) == []
    assert problem_messages(snapshot) == f"the owner of hostname {HOST} is unknown: forbidden; existing routes stay, and a new one waits"


def test_a_domain_that_is_set_later_takes_no_hostname_that_is_served() -> None:
    name = f"web.other.{DOMAIN}"
    held = HostnameClaim(ClaimState.OURS, (given.NAMESPACE, given.NAME), raw=RAW)
    assert not deleted(serving(held, host=name, hostname=name))
    assert problem_messages(serving(held, host=name, hostname=name)) == ""
