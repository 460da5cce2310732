"""Installing, moving and removing a journal restarts no pod, and neither do limits of background runs and the counting of shapes."""

from __future__ import annotations

import pytest

from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.desired.pod_template import journal_of
from dynamiq_operator.model.objects import Manifest, format_time
from dynamiq_operator.plan.observed.activity import Activity
from dynamiq_operator.plan.operations import ApplyChild, CreateChild
from tests.support import factories as given
from tests.support.world import World, serving
from tests.unit.support.production import Production, tone

JOURNAL = "http://dynamiq-journal.dynamiq-journal.svc"
ELSEWHERE = "https://journal.example.com"
DURABLE = {"durable": {"keepSeconds": 3600, "maxOpen": 5, "interruptions": 2, "waitSeconds": 60, "pods": 20, "afterRejection": "Cancel"}}


def restart_with(world: World, journal: str | None) -> None:
    """Restarts the operator with this journal, or without one."""
    world.settings = world.settings.model_copy(update={"journal": journal})


def journal(world: World) -> str | None:
    return journal_of(world.child(WORKLOAD.kind)["spec"]["template"])


def written(world: World) -> list[Manifest]:
    """Returns the workloads that were created or applied since the world began."""
    wrote = (each.manifest for each in world.written if isinstance(each, ApplyChild | CreateChild))
    return [made for made in wrote if made["kind"] == WORKLOAD.kind]


@pytest.mark.parametrize("steps", [[JOURNAL], [JOURNAL, ELSEWHERE], [JOURNAL, None]], ids=["installed", "moved", "taken away"])
def test_a_journal_that_is_installed_moved_or_removed_restarts_no_pod(steps: list[str | None]) -> None:
    world = serving("v1")
    if len(steps) > 1:
        restart_with(world, steps.pop(0))
        world.deploy("b", "v2")
        world.run()
        assert journal(world) == JOURNAL
    before, pods = world.child(WORKLOAD.kind)["spec"], [pod["metadata"]["uid"] for pod in world.pods]
    world.written.clear()
    restart_with(world, steps[0])
    world.run()
    assert not written(world)
    assert (world.child(WORKLOAD.kind)["spec"], [pod["metadata"]["uid"] for pod in world.pods]) == (before, pods)


def test_the_pods_of_a_public_app_are_never_given_the_journal() -> None:
    world = serving("v1", given.with_spec(access={"type": "public"}))
    restart_with(world, JOURNAL)
    world.deploy("b", "v2")
    world.run()
    assert journal(world) is None
    world.written.clear()
    world.later(60)
    world.scale(0)
    world.run()
    assert not written(world), "without pods a template is renewed only for what it is to have"


@pytest.mark.parametrize("of_pods", [{}, {"content": True}], ids=["nothing", "content"])
def test_the_limits_of_background_runs_and_shapes_restart_nothing_and_need_no_row(of_pods: Manifest) -> None:
    """Changed while rows need approvals: what is read back from pods is in force, whatever the limits are."""
    world = Production(given.with_variables(*tone("kind")), given.with_spec(runs=of_pods))
    restart_with(world, JOURNAL)
    world.deploy_approved("a")
    world.written.clear()
    for runs in (DURABLE, {"durable": {"maxOpen": 6}}, {"content": False, **DURABLE}, {"shapes": False}, {"shapes": True, **DURABLE}, {}):
        world.patch(runs={**runs, **of_pods})
        world.run()
        assert not written(world)
        assert "VariablesHeld" not in {each.type for each in world.app.status.conditions if each.status == "True"}


def test_a_restart_by_hand_adds_the_journal_after_the_app_has_reported_that_pods_lack_it() -> None:
    world = serving("v1")
    restart_with(world, JOURNAL)
    world.run()
    assert journal(world) is None
    world.later(60)
    made = world.child(WORKLOAD.kind)
    made["spec"]["template"]["metadata"].setdefault("annotations", {})["kubectl.kubernetes.io/restartedAt"] = format_time(world.now)
    world.edited(made)
    world.run()
    assert journal(world) == JOURNAL


def reported(world: World, *capabilities: str) -> None:
    """Makes every pod report these features of its runtime."""
    world.activity |= {pod["metadata"]["uid"]: Activity(world.now, 1.0, 1.0, 0, False, capabilities=capabilities) for pod in world.pods}
    world.run()


def test_the_app_tells_whether_its_pods_take_background_runs() -> None:
    world = serving("v1")
    assert "Durable" not in {each.type for each in world.app.status.conditions}, "without a journal"
    restart_with(world, JOURNAL)
    world.run()
    assert world.condition("Durable") == ("False", "PodsNotRestarted")
    world.deploy("b", "v2")
    world.run()
    assert world.condition("Durable") == ("Unknown", "NotReported")
    reported(world, "stream")
    assert world.condition("Durable") == ("False", "RuntimeCannot")
    reported(world, "background", "claims")
    assert world.condition("Durable") == ("True", "PodsTakeRuns")
    restart_with(world, ELSEWHERE)
    world.run()
    assert world.condition("Durable") == ("False", "JournalMoved")
    assert world.condition("Ready")[0] == "True", "callers are served all the same"


def test_a_public_app_has_no_background_runs_to_tell_of() -> None:
    world = serving("v1", given.with_spec(access={"type": "public"}))
    restart_with(world, JOURNAL)
    world.run()
    assert "Durable" not in {each.type for each in world.app.status.conditions}
