"""Worlds with a journal: sets its counts, and reads what finishes."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import datetime, timedelta

from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest, format_time
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.open_runs import OpenCount, OpenRuns, PodLimit
from dynamiq_operator.plan.operations import ApplyChild, CreateChild, DeleteChild, ScaleWorkload
from dynamiq_operator.plan.workloads import finishing
from tests.support import factories as given
from tests.support.world import World, a_world, serving

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
    fewer = _fewer(world, {digest[:8]: count for digest, count in by_digest.items()})
    ended = dict(before.ended) | {label: world.now for label in before.counts if label not in {each[:8] for each in by_digest}}
    world.open_runs = replace(
        OpenRuns.by_digest(by_digest, before.known_since, {}),
        ended=ended,
        fewer=fewer,
        shown_since=before.shown_since,
        is_away=before.is_away,
    )


def _fewer(world: World, counts: dict[str, OpenCount]) -> dict[str, dict[int, datetime]]:
    """Returns since when fewer pods are needed: fewer than after the last change, as the operator's reader notes it."""
    fewer = {label: dict(each) for label, each in world.open_runs.fewer.items()}
    snapshot = world.snapshot()
    limits = {digest[:8]: limit for digest, limit in finishing.limits(Context.of(snapshot, world.app)).items()}
    for label, count in snapshot.open_runs.counts.items():
        limit = limits.get(label, PodLimit())
        for pods in range(limit.pods(counts.get(label, OpenCount())) + 1, limit.pods(count) + 1):
            fewer.setdefault(label, {})[pods] = world.now
    return fewer


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


def replicas_of(world: World, row: str) -> int | None:
    """Returns how many pods the workload that finishes a row's runs has to have; None without one."""
    made = finishing_of(world, row)
    return made["spec"]["replicas"] if made is not None else None


def with_history(versions: int) -> World:
    """Returns a world with a journal whose live row follows as many others, `r1` to `rN`, each with its own pins."""
    world, config = a_world(), copy.deepcopy(given.CONFIG)
    for number in range(1, versions + 1):
        config["resources"]["requests"]["cpu"] = f"{100 + number}m"
        world.add(given.row_manifest(f"r{number}", given.superseded(number, "v2", config=config)))
    world.deploy("live", "v2")
    world.run()
    return with_journal(world)


def queued(age: float, runs: int = 1) -> OpenCount:
    """Returns the count of runs that wait for a pod, the oldest since `age` seconds."""
    since = given.NOW - timedelta(seconds=age)
    return OpenCount(queued=runs, oldest=since, due=since)


def lacking_room(world: World, *rows: str) -> None:
    """Lets no node have room for the pods of these rows' workloads, from now on."""
    for row in rows:
        world.roll(names.finishing(given.NAME, label_of(world, row)))
        for pod in world.pods:
            if pod["metadata"]["name"].startswith(names.finishing(given.NAME, label_of(world, row))):
                refused = {"type": "PodScheduled", "status": "False", "lastTransitionTime": format_time(world.now), "message": "no room"}
                pod["status"]["conditions"] = [refused, {"type": "Ready", "status": "False"}]


def written_workloads(world: World) -> list[tuple[str, str]]:
    """Returns what was done to workloads, in order: the operation's type and the workload's name."""
    found = []
    for each in world.written:
        raw = each.manifest if isinstance(each, ApplyChild | CreateChild) else getattr(each, "observed", None)
        if isinstance(each, ApplyChild | CreateChild | DeleteChild | ScaleWorkload) and raw and raw["kind"] == WORKLOAD.kind:
            found.append((type(each).__name__, raw["metadata"]["name"]))
    return found


WAITING = OpenCount(waiting=2)
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
