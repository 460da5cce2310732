"""Whose a hostname is: what each state of its claim makes the plan do, and say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.children import hostnames
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.snapshot import ClaimState, HostnameClaim, Snapshot
from tests.support import factories as given

HOST = "chat.example.test"
DOMAIN = "apps.example.test"
RAW: Manifest = {"metadata": {"name": "hostname-x", "uid": "1", "resourceVersion": "1"}, "data": {}}


def a_snapshot(hostname: str | None, claim: HostnameClaim) -> Snapshot:
    app = given.an_app(*([given.with_hostname(hostname)] if hostname else []))
    return Snapshot(given.NAMESPACE, given.NAME, given.NOW, Settings(domain=DOMAIN), app=app, claim=claim)


def planned(snapshot: Snapshot) -> list[str]:
    assert snapshot.app is not None
    return [type(action).__name__ for action in hostnames.claim_operations(Context.of(snapshot, snapshot.app))]


def said(snapshot: Snapshot) -> str:
    assert snapshot.app is not None
    return " ".join(problem.message for problem in hostnames.claim_problems(Context.of(snapshot, snapshot.app)).values())


def routed(snapshot: Snapshot) -> bool:
    assert snapshot.app is not None
    return hostnames.may_route(Context.of(snapshot, snapshot.app))


def abandoned(seconds: float | None) -> HostnameClaim:
    """Another App's, which is gone; asked for so long ago, or not yet."""
    since = given.NOW - timedelta(seconds=seconds) if seconds is not None else None
    return HostnameClaim(ClaimState.ABANDONED, ("other", "web"), since, RAW)


@pytest.mark.parametrize(
    ("claim", "does", "says"),
    [
        (HostnameClaim(ClaimState.FREE), ["ClaimHostname"], ""),
        (HostnameClaim(ClaimState.OURS, (given.NAMESPACE, given.NAME), None, RAW), [], ""),
        (HostnameClaim(ClaimState.OURS, (given.NAMESPACE, given.NAME), given.NOW, RAW), ["KeepClaim"], ""),
        (HostnameClaim(ClaimState.HELD, ("secret-team", "web"), None, RAW), [], "is another App's"),
        (HostnameClaim(ClaimState.HELD, (given.NAMESPACE, "web"), None, RAW), [], "is that of App web in this namespace"),
        (HostnameClaim(ClaimState.HELD), [], "is served by an Ingress that is not ours"),
        (
            HostnameClaim(ClaimState.HELD, stranger="HTTPRoute"),
            [],
            "is served by an HTTPRoute that is not ours: choose another, or delete that HTTPRoute",
        ),
        (abandoned(None), ["KeepClaim"], "was another App's until lately: it is free 60 s after it was asked for"),
        (abandoned(59), [], "was another App's until lately"),
        (abandoned(60), ["ReleaseClaim"], "was another App's until lately"),
    ],
    ids=lambda value: value.state.name + (f" {value.released_at}" if value.released_at else "") if isinstance(value, HostnameClaim) else "",
)
def test_each_state_of_a_claim(claim: HostnameClaim, does: list[str], says: str) -> None:
    snapshot = a_snapshot(HOST, claim)
    assert planned(snapshot) == does
    assert says in said(snapshot)
    assert bool(said(snapshot)) == bool(says)
    assert routed(snapshot) == (claim.state is ClaimState.OURS)
    assert "secret-team" not in said(snapshot)


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
    assert ("is reserved" in said(snapshot)) == reserved
    assert routed(a_snapshot(hostname, HostnameClaim(ClaimState.OURS))) is not reserved
