"""Apps in memory with strategy Switch: reading their state, and conditions that hold after each write of the operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamiq_operator.desired.base import AUTOSCALER, DISRUPTION_BUDGET
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.model import names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.pods import ObservedPod
from tests.support import factories as given
from tests.support.world import World, begun, serving
from tests.unit.support.plan_lines import shown

PLAIN = given.NAME
"""Name of the workload of strategy Rolling."""


def switching(**warm: Any) -> given.Modifier:
    """Returns a modifier that sets strategy Switch with this standby."""
    return given.with_spec(rollout={"strategy": "Switch", **({"keepWarm": warm} if warm else {})})


def rolling(made: Manifest) -> None:
    """Sets strategy Rolling."""
    made["spec"].pop("rollout", None)


def edit_app(world: World, modify: given.Modifier) -> None:
    """Edits the App as a user."""
    app = world.objects[(API_VERSION, "App", given.NAME)]
    modify(app)
    world.written_by_ours(app)


def of(world: World, row: str) -> str:
    """Returns the name of the workload of a row's pins."""
    pinned = world.rows[row].pinned
    assert pinned is not None
    return names.workload(given.NAME, Pins.of(pinned).label)


def selected(world: World) -> str:
    """Returns the name of the workload that the Service selects; `PLAIN` if it selects all pods."""
    return names.workload(given.NAME, world.selector.get(names.PINS_LABEL, ""))


def standby(world: World) -> set[str]:
    """Returns the workloads with a pod that is annotated as standby."""
    left = [pod for pod in world.pods if ObservedPod.of(pod).standby]
    return {names.workload(given.NAME, pod["metadata"]["labels"].get(names.PINS_LABEL, "")) for pod in left}


def scale_target(world: World) -> str:
    return str(world.child(AUTOSCALER.kind)["spec"]["scaleTargetRef"]["name"])


def scale_limits(world: World) -> tuple[int, int]:
    """Returns the autoscaler's least and greatest number of pods."""
    spec = world.child(AUTOSCALER.kind)["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def guarded(world: World) -> Mapping[str, str]:
    """Returns the selector of the disruption budget."""
    found: dict[str, str] = world.child(DISRUPTION_BUDGET.kind)["spec"]["selector"]["matchLabels"]
    return found


def scale(world: World, name: str, replicas: int) -> None:
    """Sets replicas as an autoscaler does, and starts the pods."""
    made = world.workloads[name]
    made["spec"]["replicas"] = replicas
    world.edited(made)
    world.roll(name)


def switched() -> World:
    """Returns a world in which `a` was live with v1 and is the standby, and `b` is live with v2."""
    return begun(_switched)


def _switched() -> World:
    world = serving("v1", switching())
    world.deploy("b", "v2")
    world.run()
    world.events.clear()
    return world


def hold_safety(world: World) -> None:
    """Checks after each write from now on: the Service has a Ready pod, and the autoscaler counts the pods of one workload."""
    world.checks.append(lambda: _has_ready_pod(world))
    world.checks.append(lambda: _counts_one(world))


def _has_ready_pod(world: World) -> None:
    """Asserts that the Service has a pod that is Ready, not ending, and of an existing workload: the pods of others end soon."""
    selector = world.selector.items()
    found = [pod for pod in world.pods if selector <= pod["metadata"]["labels"].items() and ObservedPod.of(pod).ready]
    staying = [pod for pod in found if names.workload(given.NAME, pod["metadata"]["labels"].get(names.PINS_LABEL, "")) in world.workloads]
    assert staying, f"the Service selects {dict(selector)}, and no Ready pod has that: {world.written[-1]!r}"


def _counts_one(world: World) -> None:
    made = world.workloads.get(scale_target(world))
    if made is None:
        return  # an autoscaler does nothing without its target
    selector = made["spec"]["selector"]["matchLabels"].items()
    counted = {
        pod["metadata"]["labels"].get(names.PINS_LABEL, "")
        for pod in world.pods
        if selector <= pod["metadata"]["labels"].items() and not ObservedPod.of(pod).deleting
    }
    assert len(counted) <= 1, f"the autoscaler counts the pods of {counted}: {world.written[-1]!r}"


MOST = 60
"""Number of plans after which the world counts as never at rest."""


def drive(world: World, ended_after: int = -1) -> int:
    """Performs plans until nothing is left to do, while pods become Ready. Returns the number of writes.

    The operator is ended once, after `ended_after` writes, and starts again.
    """
    done = idle = 0
    for _ in range(MOST):
        plan = world.plan()
        left = ended_after - done if done <= ended_after else len(plan.operations)
        world.perform(plan.operations[:left])
        done += min(left, len(plan.operations)) + (left < len(plan.operations))
        if idle := 0 if plan.operations else idle + 1:
            if idle > 1:
                return done
            world.roll()
    raise AssertionError(f"no rest; still to do: {shown(world.plan())}")
