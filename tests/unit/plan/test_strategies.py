"""An App that changes between the strategies under constant calls. The operator is ended after any of its writes."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from dynamiq_operator.desired.base import AUTOSCALER, SERVICE
from dynamiq_operator.model import names
from dynamiq_operator.model.base import API_VERSION
from tests.support import factories as given
from tests.support.world import World, a_world, begun, serving
from tests.unit.support.switching import (
    PLAIN,
    drive,
    edit_app,
    guarded,
    hold_safety,
    of,
    rolling,
    scale,
    scale_limits,
    scale_target,
    selected,
    standby,
    switched,
    switching,
)

SCALED = given.with_spec(rollout={"strategy": "Switch", "keepWarm": {"replicas": "live"}})


def test_an_app_that_changes_to_switch_has_its_live_pins_made_anew_beside_the_old_pods() -> None:
    world = serving("v1")
    scale(world, PLAIN, 2)
    hold_safety(world)
    edit_app(world, switching())
    world.settle()
    new = of(world, "a")
    assert set(world.workloads) == {PLAIN, new}
    assert (selected(world), scale_target(world), world.workloads[new]["spec"]["replicas"]) == (PLAIN, new, 2)
    world.roll()
    world.settle()
    assert (selected(world), guarded(world)) == (new, world.selector)
    assert set(world.workloads) == {new}
    world.run()
    assert (world.phases, standby(world)) == ({"a": "#1 Live"}, set())


def test_the_autoscaler_leaves_the_old_workload_before_the_new_one_has_pods() -> None:
    world = serving("v1")
    edit_app(world, switching())
    plan = world.plan()
    world.perform(plan.operations)
    assert (scale_target(world), set(world.workloads)) == (of(world, "a"), {PLAIN})
    world.settle()
    assert set(world.workloads) == {PLAIN, of(world, "a")}


def test_the_autoscaler_takes_no_pod_from_the_new_workload_that_has_to_be_there_before_it_serves() -> None:
    world = a_world()
    world.deploy("a", "v1", config={"autoscaling": {"minReplicas": 1, "maxReplicas": 5}})
    world.run()
    scale(world, PLAIN, 3)
    edit_app(world, switching())
    world.settle()
    assert (scale_target(world), scale_limits(world)) == (of(world, "a"), (3, 5))
    world.run()
    assert (selected(world), scale_target(world), scale_limits(world)) == (of(world, "a"), of(world, "a"), (1, 5))


def test_an_app_that_changes_back_is_served_by_all_pods_while_it_changes() -> None:
    world = switched()
    scale(world, of(world, "b"), 2)
    world.run()
    hold_safety(world)
    edit_app(world, rolling)
    world.settle()
    assert set(world.workloads) == {of(world, "b")}, "what was warm goes first: the Service of strategy Rolling would select it"
    world.roll()
    world.settle()
    assert set(world.workloads) == {PLAIN, of(world, "b")}
    assert (selected(world), scale_target(world), world.workloads[PLAIN]["spec"]["replicas"]) == (of(world, "b"), of(world, "b"), 2)
    world.roll()
    world.settle()
    assert selected(world) == PLAIN
    world.run()
    assert set(world.workloads) == {PLAIN}
    assert (scale_target(world), guarded(world)) == (PLAIN, names.pod_selector(given.NAME))
    assert world.phases == {"a": "#1 Superseded", "b": "#2 Live"}


def test_after_it_changed_back_everything_reads_as_if_it_had_never_changed() -> None:
    never = serving("v1")
    world = serving("v1")
    for modify in (switching(), rolling):
        edit_app(world, modify)
        world.run()
    for kind in ("Service", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget"):
        made, expected = world.child(kind), never.child(kind)
        assert made["spec"] == expected["spec"]
        assert made["metadata"]["labels"] == expected["metadata"]["labels"]
        assert set(made["metadata"]["annotations"]) == set(expected["metadata"]["annotations"])


def test_a_first_row_goes_straight_to_the_strategy() -> None:
    world = a_world()
    edit_app(world, switching())
    world.deploy("a", "v1")
    world.settle()
    assert set(world.workloads) == {of(world, "a")}
    edit_app(world, rolling)
    world.run()
    assert (set(world.workloads), world.phases) == ({PLAIN}, {"a": "#1 Live"})


def test_a_row_goes_before_a_change_to_switch_which_comes_after_it() -> None:
    world = serving("v1")
    hold_safety(world)
    edit_app(world, switching())
    world.settle()
    world.deploy("b", "v2")
    world.settle()
    assert world.workloads[PLAIN]["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"] == names.flow(
        given.NAME, given.flow_hash("v2")
    )
    world.run()
    assert (world.phases["b"], set(world.workloads), selected(world)) == ("#2 Live", {of(world, "b")}, of(world, "b"))


def test_a_row_goes_before_a_change_to_rolling_which_comes_after_it() -> None:
    world = switched()
    hold_safety(world)
    edit_app(world, rolling)
    world.settle()
    world.roll()
    world.settle()
    world.deploy("c", "v3")
    world.settle()
    assert of(world, "c") in world.workloads
    world.run()
    assert (world.phases["c"], set(world.workloads), selected(world)) == ("#3 Live", {PLAIN}, PLAIN)


def test_a_strategy_that_is_changed_and_changed_back_leaves_nothing() -> None:
    world = serving("v1")
    hold_safety(world)
    edit_app(world, switching())
    world.settle()
    assert set(world.workloads) == {PLAIN, of(world, "a")}
    edit_app(world, rolling)
    world.run()
    assert (set(world.workloads), scale_target(world)) == ({PLAIN}, PLAIN)
    assert names.ENDPOINTS_LABEL not in world.child(SERVICE.kind)["metadata"]["labels"]


def test_a_strategy_that_is_changed_back_keeps_the_new_pods_until_the_old_ones_serve() -> None:
    world = serving("v1")
    edit_app(world, switching())
    world.settle()
    world.roll(of(world, "a"))
    world.stall({"waiting": {"reason": "CrashLoopBackOff"}}, of=PLAIN)
    edit_app(world, rolling)
    world.settle()
    assert set(world.workloads) == {PLAIN, of(world, "a")}
    world.run()
    assert set(world.workloads) == {PLAIN}


def test_a_change_waits_while_it_cannot_be_seen_where_callers_end_up() -> None:
    world = serving("v1")
    edit_app(world, switching())
    world.follow = False
    world.run()
    assert (set(world.workloads), selected(world)) == ({PLAIN, of(world, "a")}, PLAIN)


def test_the_app_reports_that_its_strategy_changes_and_the_obstacle() -> None:
    world = serving("v1")
    edit_app(world, switching())
    world.settle()
    assert world.condition("StrategyChanging") == ("True", "Converting")
    world.stall({"waiting": {"reason": "ImagePullBackOff"}}, of=of(world, "a"))
    world.settle()
    assert world.condition("StrategyChanging") == ("True", "ImagePullBackOff")
    world.refuse_pods(of(world, "a"), "exceeded quota: pods")
    world.settle()
    assert world.condition("StrategyChanging") == ("True", "PodsRefused")
    assert world.condition("Ready") == ("True", "Serving")
    world.deploy("b", "v2")
    world.settle()
    assert world.condition("StrategyChanging") == ("True", "WaitsForDeploy")
    world.run()
    assert "StrategyChanging" not in {each.type for each in world.app.status.conditions}


def test_a_restored_app_serves_on_as_it_did() -> None:
    world = switched()
    before = set(world.workloads), selected(world)
    world.forget_statuses()
    world.run()
    assert (set(world.workloads), selected(world)) == before
    assert world.phases == {"a": "#1 Superseded", "b": "#2 Live"}


def test_the_flow_of_a_standby_stays_though_no_row_names_it() -> None:
    world = switched()
    edit_app(world, given.with_spec(history={"limit": 10}))
    del world.objects[(API_VERSION, "Deployment", "a")]
    world.run()
    assert ("v1", "ConfigMap", names.flow(given.NAME, given.flow_hash("v1"))) in world.objects


# The operator is ended after every second write; the seed decides which ones.

SEED = random.randrange(1_000_000)  # noqa: S311 - no secret


def _deploys(world: World) -> None:
    edit_app(world, switching())
    world.deploy("b", "v2")


def _rollback(world: World) -> None:
    world.deploy("c", restores="a")


def _fails(world: World) -> None:
    world.deploy("c", "v3", runtime="tiny-9")


def _to_rolling(world: World) -> None:
    edit_app(world, rolling)


def _to_switch(world: World) -> None:
    edit_app(world, switching())


def _both_at_once(world: World) -> None:
    edit_app(world, rolling)
    world.deploy("c", "v3")


STEPS: dict[str, tuple[Callable[[], World], Callable[[World], None]]] = {
    "a change to Switch with a row": (lambda: serving("v1"), _deploys),
    "a change to Switch": (lambda: serving("v1"), _to_switch),
    "a warm rollback": (switched, _rollback),
    "a new version": (switched, lambda world: world.deploy("c", "v3")),
    "a change to Rolling": (switched, _to_rolling),
    "a change to Rolling with a row": (switched, _both_at_once),
}


def _end(world: World) -> tuple[object, ...]:
    phases = {name: phase.split()[1] for name, phase in world.phases.items()}  # sequences may have gaps
    return (phases, set(world.workloads), selected(world), scale_target(world), standby(world), dict(guarded(world)))


@pytest.mark.parametrize("step", STEPS)
def test_ended_after_any_write_it_comes_to_the_same_end_and_callers_always_have_a_pod(step: str) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)  # noqa: S311 - no secret
    begin, act = STEPS[step]
    undisturbed = begun(begin)
    act(undisturbed)
    writes = drive(undisturbed)
    for ended_after in range(chance.randrange(2), writes, 2):
        world = begun(begin)
        hold_safety(world)
        act(world)
        drive(world, ended_after)
        assert _end(world) == _end(undisturbed), f"ended after {ended_after} of {writes} writes"


@pytest.mark.parametrize("draw", range(6))
def test_callers_always_have_a_pod_through_any_order_of_changes(draw: int) -> None:
    print(f"seed {SEED + draw}")
    chance = random.Random(SEED + draw)  # noqa: S311 - no secret
    world = serving("v1", given.with_spec(rollout={"strategy": chance.choice(["Rolling", "Switch"])}))
    hold_safety(world)
    for number in range(8):
        match chance.randrange(5):
            case 0:
                edit_app(world, rolling)
            case 1:
                edit_app(world, switching(replicas=chance.choice(["live", 0, 1])))
            case 2:
                world.deploy(f"r{number}", chance.choice(["v1", "v2", "v3"]))
            case 3:
                on = scale_target(world)
                if on in world.workloads:
                    scale(world, on, chance.randrange(1, 3))
            case _:
                world.deploy(f"r{number}", "v9")
        for _ in range(chance.randrange(4)):
            world.perform(world.plan().operations[: chance.randrange(1, 6)])
            if chance.random() < 0.4:
                world.roll(*chance.sample(sorted(world.workloads), chance.randrange(len(world.workloads) + 1)))
    drive(world)
    live = next(name for name, phase in world.phases.items() if phase.endswith("Live"))
    switches = world.app.spec.rollout.switches
    assert selected(world) == (of(world, live) if switches else PLAIN)
    assert len(world.workloads) <= (2 if switches else 1)
    assert world.child(AUTOSCALER.kind)["spec"]["scaleTargetRef"]["name"] == selected(world)
