"""An operator that is newer than the CustomResourceDefinitions, which would drop its notes of guards in a row."""

from __future__ import annotations

from dynamiq_operator.plan.observed.guards import ObservedGuards
from tests.support.world import serving

OUTDATED = ObservedGuards(unknown="DeployPolicies cannot be listed: kubectl apply -k crds", outdated=True)


def test_rollbacks_go_on_and_note_nothing_that_would_be_dropped() -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    world.run()
    world.guards = OUTDATED
    world.deploy("back", restores="a")
    world.run()
    pinned = world.rows["back"].pinned
    assert world.serving == "v1"
    assert pinned is not None
    assert (pinned.holds, pinned.guards, pinned.verify) == (None, None, None)


def test_deploys_wait_without_pins_and_are_pinned_once_the_definitions_are_there() -> None:
    world = serving("v1")
    world.guards = OUTDATED
    world.deploy("b", "v2")
    world.settle()
    row = world.rows["b"]
    assert (row.pinned, row.outcome, world.app.status.guards) == (None, None, ())
    assert "only rollbacks and bypasses are deployed" in row.status.conditions[0].message
    world.guards = ObservedGuards()
    world.run()
    assert world.serving == "v2"
