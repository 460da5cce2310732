"""A kind that the operator may not list disables a feature: the App's status names it, and everything else works."""

from __future__ import annotations

import copy

import pytest

from dynamiq_operator.desired.base import AUTOSCALER, CRON_JOB, DISRUPTION_BUDGET, JOB, NETWORK_POLICY
from tests.support import factories as given
from tests.support.world import a_world, serving
from tests.unit.support.triggers import CRON, NIGHTLY, told, triggering

FEATURES = (AUTOSCALER, DISRUPTION_BUDGET)


@pytest.mark.parametrize("kind", [feature.kind for feature in FEATURES])
def test_existing_children_of_a_denied_kind_stay_and_deploys_go_on(kind: str) -> None:
    world = serving()
    before = copy.deepcopy(world.child(kind))
    world.unlisted.add(kind)
    world.deploy("b", "v2")
    world.run()
    assert world.phases["b"] == "#2 Live"
    assert world.child(kind) == before
    assert world.condition("ChildrenApplied") == ("False", "Denied")
    world.unlisted.clear()
    world.run()
    assert world.condition("ChildrenApplied")[0] == "True"


def test_runs_that_cannot_be_seen_are_neither_repeated_nor_given_up() -> None:
    world = triggering(NIGHTLY)
    world.fire(CRON)
    world.run()
    world.unlisted |= {JOB.kind, CRON_JOB.kind}
    world.later(3600)
    world.run()
    assert told(world)[0][1] == "Running"
    assert world.condition("TriggersReady") == ("False", "Denied")


@pytest.mark.parametrize("from_the_start", [True, False], ids=["from the start", "later"])
def test_no_pod_begins_behind_a_network_policy_that_cannot_be_seen(from_the_start: bool) -> None:
    """The policy may have been deleted since the operator saw it. The live row is kept."""
    world = a_world(given.with_spec(network={"ingressFrom": []}))
    world.deploy("a", "v1")
    world.run()
    if from_the_start:
        world.unlisted.add(NETWORK_POLICY.kind)
    else:
        world.list_no_more(NETWORK_POLICY.kind)
    before = copy.deepcopy(world.child("Deployment")["spec"]["template"])
    world.deploy("b", "v2")
    world.run()
    assert (world.phases, world.serving) == ({"a": "#1 Live", "b": "#2 Progressing"}, "v1")
    assert world.child("Deployment")["spec"]["template"] == before
    world.later(11)
    world.run()
    assert "NetworkPolicy chat is left alone" in world.rows["b"].status.conditions[0].message
    world.unlisted.clear()
    world.list_again()
    world.run()
    assert world.phases["b"] == "#2 Live"


def test_an_app_without_a_network_policy_does_not_notice_that_none_can_be_seen() -> None:
    world = serving()
    world.list_no_more(NETWORK_POLICY.kind)
    world.deploy("b", "v2")
    world.run()
    assert world.phases["b"] == "#2 Live"
