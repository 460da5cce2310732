"""Showing the hold after a rollback: only if the App deploys from Git, and once the rollback is live."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dynamiq_operator.model import kinds
from dynamiq_operator.model.guards import GuardReason, RowOf
from dynamiq_operator.plan.background.notifications import notifications_of
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.guards.hold import shown_hold
from dynamiq_operator.plan.history.ledger import Ledger
from tests.support import factories as given
from tests.support.world import World, serving

FLUX = "system:serviceaccount:flux-system:kustomize-controller"


def went_back(*modifiers: given.Modifier, **asked: Any) -> World:
    """Returns a world in which v1 was live, then `b` with v2, and `back` restores the first."""
    world = serving("v1", *modifiers)
    first = live(world)
    ask(world, "b", workflowVersion="v2", **asked)
    ask(world, "back", restores=first)
    return world


def live(world: World) -> str:
    assert world.app.status.live is not None
    return world.app.status.live.row


def ask(world: World, name: str, **asked: Any) -> None:
    world.later(5)
    world.add(given.row_manifest(name, given.asking(**{"createdBy": "anna", **asked})))
    world.run()


def shown(world: World) -> tuple[str | None, list[str]]:
    """Returns the row that the App's status names, and the messages of the hold's guards."""
    held = [each.message for each in world.app.status.guards if each.reason is GuardReason.HELD]
    return (world.app.status.holds.row if world.app.status.holds is not None else None), held


def test_an_app_that_git_never_deployed_has_no_hold() -> None:
    assert shown(went_back()) == (None, [])


@pytest.mark.parametrize("by", [{}, {"createdBy": FLUX}], ids=["spec.deploy", "rows by automation"])
def test_an_app_that_git_deploys_shows_the_hold(by: dict[str, str]) -> None:
    world = went_back(*([] if by else [given.with_deploy(workflowVersion="v1")]), **by)
    says = "After the rollback in #3, changes from Git are on hold. To apply them again: `kubectl dynamiq resume chat -n demo`"
    number = world.rows["back"].sequence
    assert shown(world) == ("back", [says.replace("#3", f"#{number}")])


def test_a_rollback_that_never_went_live_is_not_named() -> None:
    world = went_back(given.with_deploy(workflowVersion="v1"))
    ask(world, "c", workflowVersion="v2")
    world.add(given.row_manifest("passed", given.asking(restores="back", createdBy="anna")))
    world.settle()
    assert shown(world)[0] is None, "its pods are still starting"
    ask(world, "scaled", workflowVersion="v1", config={"autoscaling": {"maxReplicas": 3}})
    pinned = world.rows["scaled"].pinned
    assert pinned is not None
    assert (pinned.holds, shown(world)[0]) == (RowOf(row="passed", sequence=world.rows["passed"].sequence), "scaled")


def test_a_history_that_is_not_known_takes_no_hold_away() -> None:
    world = went_back()
    context = Context.of(replace(world.snapshot(), ledger=Ledger()), world.app)
    assert shown_hold(context) == RowOf(row="back", sequence=3)


def test_a_hold_that_is_no_longer_shown_has_no_event_of_its_end() -> None:
    """An older operator showed the hold in the status of an App that never deployed from Git."""
    world = went_back()
    app = next(found for (_, kind, _), found in world.objects.items() if kind == kinds.APP.kind)
    app["status"]["holds"] = {"row": "back", "sequence": 3}
    world.written_by_ours(app)
    assert [
        each.reason for each in notifications_of(world.snapshot(), [each for group in world.plan().groups for each in group.operations])
    ] == []
    world.run()
    assert shown(world) == (None, [])
