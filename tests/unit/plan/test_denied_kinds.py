"""A kind that the operator may not list is a feature that is off: the App says so, and all else goes on."""

from __future__ import annotations

import copy

import pytest

from dynamiq_operator.desired.base import AUTOSCALER, CRON_JOB, DISRUPTION_BUDGET, JOB
from tests.support.triggers import CRON, NIGHTLY, told, triggering
from tests.support.world import serving

FEATURES = (AUTOSCALER, DISRUPTION_BUDGET)


@pytest.mark.parametrize("kind", [feature.kind for feature in FEATURES])
def test_what_is_there_of_it_is_left_alone_and_deploys_go_on(kind: str) -> None:
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
