"""Worlds whose App has conversations: sets the journal's counts of them, and reads what is there for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from dynamiq_operator.desired.base import SERVICE
from dynamiq_operator.model import names
from dynamiq_operator.model.guard_objects import Rejection
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.conversations import NO_CONVERSATION, Conversations
from dynamiq_operator.plan.observed.guards import ObservedGuards
from tests.support import factories as given
from tests.support.world import World, begun, serving
from tests.unit.support.finishing import digest_of, label_of, with_journal
from tests.unit.support.rules import rejection
from tests.unit.support.switching import of

COLD = {"strategy": "Switch", "keepWarm": {"replicas": 0}}
KEPT = timedelta(minutes=10)


def talking(world: World, **counts: int | Conversations) -> None:
    """Sets the open conversations of rows' pins, all of them with a turn lately if only their number is given; no other row has any."""
    before = world.open_runs.talks
    made = {
        label_of(world, row): count if isinstance(count, Conversations) else Conversations(count, count, world.now)
        for row, count in counts.items()
    }
    labels = before.keys() | made.keys()
    talks = {label: made.get(label, NO_CONVERSATION).after(before.get(label, NO_CONVERSATION), world.now, KEPT) for label in labels}
    digests = {label_of(world, row): digest_of(world, row) for row in world.rows if world.rows[row].pinned}
    world.open_runs = replace(world.open_runs, talks=talks, digests=digests)


def with_sessions(*modifiers: given.Modifier, rollout: Manifest | None = None) -> World:
    """Returns a world with a journal that serves v1, whose conversations stay on their version, without a standby."""
    return with_journal(serving("v1", given.with_spec(rollout=rollout or COLD, sessions={}), *modifiers))


def _left() -> World:
    world = with_sessions()
    talking(world, a=3)
    world.deploy("b", "v2")
    world.run()
    world.later(120)
    world.run()
    world.written.clear()
    return world


def left() -> World:
    """Returns a world in which v1 has three conversations with a turn lately, and v2 has been live for two minutes."""
    return begun(_left)


def pods_of(world: World, row: str) -> int | None:
    """Returns how many pods the workload of a row's pins has to have; None without one."""
    made = world.workloads.get(of(world, row))
    return made["spec"]["replicas"] if made is not None else None


def turns(world: World) -> dict[str, dict[str, str]]:
    """Returns the selectors of the Services for turns, by name."""
    services = {name: raw for (_, kind, name), raw in world.objects.items() if kind == SERVICE.kind and name != given.NAME}
    return {name: raw["spec"]["selector"] for name, raw in services.items()}


def turns_of(world: World, *rows: str) -> dict[str, dict[str, str]]:
    """Returns what `turns` returns if these rows' pins alone have one."""
    labels = [label_of(world, row) for row in rows]
    return {names.turns(given.NAME, label): names.pod_selector(given.NAME) | {names.PINS_LABEL: label} for label in labels}


def reject(world: World, *versions: str) -> None:
    world.guards = ObservedGuards(rejections={given.flow_hash(each): Rejection.of(rejection(each)) for each in versions})
