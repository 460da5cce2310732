"""Worlds with a journal: sets its counts, and reads what finishes."""

from __future__ import annotations

from dataclasses import replace

from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.open_runs import OpenCount, OpenRuns
from dynamiq_operator.plan.operations import ApplyChild, CreateChild, DeleteChild, ScaleWorkload
from tests.support import factories as given
from tests.support.world import World, serving

JOURNAL = "http://dynamiq-journal.dynamiq-journal.svc"


def with_journal(world: World) -> World:
    """Installs a journal that has answered for an hour: no run is open."""
    world.settings = world.settings.model_copy(update={"journal": JOURNAL})
    world.open_runs = OpenRuns(known_since=world.now)
    world.later(3600)
    world.run()
    return world


def serving_with_journal(*modifiers: given.Modifier) -> World:
    return with_journal(serving("v1", *modifiers))


def digest_of(world: World, row: str) -> str:
    """Returns the digest of a row's pins."""
    pinned = world.rows[row].pinned
    assert pinned is not None
    return Pins.of(pinned).digest


def label_of(world: World, row: str) -> str:
    return digest_of(world, row)[:8]


def open_runs(world: World, **counts: OpenCount) -> None:
    """Sets the counts that the journal has, by row. Pins that it had and has no more have ended now."""
    before = world.open_runs
    by_digest = {digest_of(world, row): count for row, count in counts.items()}
    ended = dict(before.ended) | {label: world.now for label in before.counts if label not in {each[:8] for each in by_digest}}
    world.open_runs = replace(
        OpenRuns.by_digest(by_digest, before.known_since, {}), ended=ended, shown_since=before.shown_since, is_away=before.is_away
    )


def journal_leaves(world: World) -> None:
    """Takes the journal away: the last counts stay."""
    world.open_runs = replace(world.open_runs, known_since=None, is_away=True)


def journal_returns(world: World) -> None:
    world.open_runs = replace(world.open_runs, known_since=world.now, is_away=False)


def finishing_of(world: World, row: str) -> Manifest | None:
    """Returns the workload that finishes the runs of a row's pins."""
    return world.workloads.get(names.finishing(given.NAME, label_of(world, row)))


def finishing_names(world: World) -> list[str]:
    return sorted(name for name in world.workloads if name.endswith("-fin"))


def written_workloads(world: World) -> list[tuple[str, str]]:
    """Returns what was done to workloads, in order: the operation's type and the workload's name."""
    found = []
    for each in world.written:
        raw = each.manifest if isinstance(each, ApplyChild | CreateChild) else getattr(each, "observed", None)
        if isinstance(each, ApplyChild | CreateChild | DeleteChild | ScaleWorkload) and raw and raw["kind"] == WORKLOAD.kind:
            found.append((type(each).__name__, raw["metadata"]["name"]))
    return found


SOME = OpenCount(queued=2, running=1, waiting=1)
SWITCH = given.with_spec(rollout={"strategy": "Switch"})
COLD = given.with_spec(rollout={"strategy": "Switch", "keepWarm": {"replicas": 0}})


def with_runs(*modifiers: given.Modifier) -> World:
    """Returns a world that serves v1, which has open runs."""
    world = serving_with_journal(*modifiers)
    open_runs(world, a=SOME)
    world.run()
    world.written.clear()
    return world


def deployed(world: World, row: str = "b", version: str = "v2") -> World:
    world.deploy(row, version)
    world.run()
    return world
