"""Lost claims: the oldest serving route gets the hostname. Each hostname is decided once, the oldest first."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from dynamiq_operator.plan.observed.serving import Age, AppKey, LostClaim, Serving, lost_claims
from dynamiq_operator.plan.output import events
from tests.support import factories as given

A, B, C = (("a", "chat"), ("b", "chat"), ("c", "chat"))
HOST = "chat.example.com"


def serving(created: int, *, deployed: int = 0, changed: bool = False, wanted: bool = True) -> Serving:
    """Returns a serving route that was created at this minute, and whose App's live row was deployed at that one."""
    return Serving(Age(changed, given.NOW + timedelta(minutes=created), given.NOW + timedelta(minutes=deployed)), wanted)


def lost(served: dict[AppKey, Serving], *claimed: str) -> list[LostClaim]:
    return list(lost_claims({HOST: served}, claimed))


def at(minute: int) -> object:
    return given.NOW + timedelta(minutes=minute)


def test_the_one_that_serves_has_it_since_it_serves() -> None:
    assert lost({A: serving(3)}) == [LostClaim(HOST, A, given.NOW + timedelta(minutes=3))]


def test_a_claimed_hostname_is_not_claimed_again_by_any_route() -> None:
    assert lost({A: serving(3), B: serving(1)}, HOST) == []


@pytest.mark.parametrize(
    ("served", "in_order", "tied"),
    [
        ({A: serving(3), B: serving(1), C: serving(2)}, [B, C, A], False),
        ({A: serving(1, changed=True), B: serving(2)}, [B, A], False),
        ({A: serving(1, deployed=9), B: serving(1, deployed=4)}, [B, A], False),
        ({B: serving(1), A: serving(1)}, [A, B], True),
        ({A: serving(5), C: serving(1), B: serving(1)}, [B, C, A], True),
        ({A: serving(1, wanted=False), B: serving(2)}, [A, B], False),
    ],
    ids=["by age", "one that was changed comes last", "deployed first", "by name", "by name among others", "wanted no more"],
)
def test_the_oldest_of_several_routes_gets_the_claim(served: dict[AppKey, Serving], in_order: list[AppKey], tied: bool) -> None:
    (found,) = lost(served)
    assert ([found.app, *found.others], found.tied) == (in_order, tied)


def test_a_route_that_was_given_a_hostname_that_its_app_does_not_want_takes_nothing() -> None:
    """Anybody who may edit an Ingress could give it any hostname."""
    assert lost({A: serving(1, changed=True, wanted=False)}) == []
    (found,) = lost({A: serving(1, changed=True, wanted=False), B: serving(2)})
    assert (found.app, found.others) == (B, ())


def test_the_oldest_is_made_first_whatever_the_order_in_which_they_are_found() -> None:
    hosts = [f"h{number}.example.com" for number in range(20)]
    for _ in range(20):
        shuffled = random.sample(hosts, len(hosts))
        found = list(lost_claims({host: {A: serving(hosts.index(host))} for host in shuffled}, ()))
        assert [each.hostname for each in found] == hosts


@pytest.mark.parametrize(
    ("contested", "tied", "says"),
    [(False, False, ""), (True, False, "for a shorter time"), (True, True, "for as long: this one comes first by namespace and name")],
)
def test_the_event_of_a_new_claim_names_no_other_app(contested: bool, tied: bool, says: str) -> None:
    """The reader of one App may not be allowed to know of the other."""
    event = events.claimed_again(given.an_app(), HOST, given.NOW, contested=contested, tied=tied)
    assert (says in event.message, "another App" in event.message) == (True, contested)
