"""Ends the operator at each write that it makes, one run for each, several side by side."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Api, fresh_namespace
from tests.support.faults import deploys, operators
from tests.support.faults.deploys import ROLLING, End, Story
from tests.support.faults.faults import Kill
from tests.support.faults.proxy import Call, Proxy
from tests.support.load.watched import watching

SIDE_BY_SIDE = 3
TRIES = 4
"""A write that does not come in each run, such as a status that tells of a pod that was seen on its way, is tried again."""
MAY_BE_MISSING = "patch apps/chat/status"
"""Points from the second on of this write need not come: of two things that the App says, one write may tell."""
WRITES_OF_AN_END = 11
"""With which a row goes live, and all is told of it."""
LOG_SHOWN = 4000
"""Characters of an operator's log that are shown of a run that fails."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Point:
    """A moment at which the operator is ended: just before the API server gets a write, or just after it carried it out."""

    name: str
    nth: int
    after_it: bool

    def __str__(self) -> str:
        return f"{'after ' if self.after_it else 'before'} {self.name} ({self.nth})"


@dataclass(frozen=True)
class Run:
    """How a run with the operator ended at `point` ended itself. `sequences` may have gaps."""

    point: Point
    end: End
    sequences: list[int]
    seconds: float


_ENDS: dict[tuple[str, str], tuple[End, list[Call]]] = {}


def undisturbed(cluster: Cluster, api: Api, folder: Path, story: Story = ROLLING) -> tuple[End, list[Call]]:
    """How it ends when nothing happens, and the writes that lead there; found out once for each cluster."""
    key = cluster.name, story.name
    if key not in _ENDS:
        with fresh_namespace(api, "undisturbed") as namespace, operators.proxied(cluster, api) as proxy:
            operators.allow_leases(api, namespace)
            deploys.prepare(api, namespace, *story.modifiers)
            with operators.running(proxy.url, namespace, folder):
                _ENDS[key] = story.act(api, namespace), proxy.writes
    return _ENDS[key]


def points_of(writes: Sequence[Call]) -> list[Point]:
    """Before and after each write, and the taking of the lease."""
    return [
        Point(name, nth, after_it)
        for name, nth in (("create leases: lease-0", 1), *((call.name, call.nth) for call in writes))
        for after_it in (False, True)
    ]


def points_of_revert(writes: Sequence[Call]) -> list[Point]:
    """Of `deploys.REVERT`: before and after each write from the end of the bad row on."""
    begins = next(place for place, call in enumerate(writes) if deploys.BACK in call.name)
    return [point for point in points_of(writes[begins - WRITES_OF_AN_END :]) if "leases" not in point.name]


def listed(writes: Sequence[Call]) -> list[str]:
    """The writes, numbered, as lines."""
    return [f"  {number:3d}  {call.point}" for number, call in enumerate(writes, 1)]


def chosen(points: Sequence[Point], every: int) -> list[Point]:
    """Each `every`-th point, and for each kind of write that is not among them one more, now before and now after it."""
    taken = list(points[::every])
    kinds = {_kind(point) for point in taken}
    turn = itertools.cycle((False, True))
    after_it = next(turn)
    for point in points:
        if _kind(point) not in kinds and point.after_it is after_it:
            kinds.add(_kind(point))
            taken.append(point)
            after_it = next(turn)
    return taken


def _kind(point: Point) -> str:
    """The verb and the resource, without names; Events are one kind."""
    return " ".join(point.name.split(":")[0].split("/")[0].split()[:3]) + ("/status" if point.name.endswith("/status") else "")


def run_all(
    cluster: Cluster, api: Api, points: Sequence[Point], expected: End, folder: Path, say: Say, story: Story = ROLLING
) -> list[Run]:
    """A run for each point; returns those in which the write came. Raises AssertionError naming all points whose end is another."""
    runs: list[Run] = []
    failures: list[str] = []
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        waiting = [(point, pool.submit(run_one, cluster, api, point, folder / str(number), story)) for number, point in enumerate(points)]
        for number, (point, future) in enumerate(waiting, 1):
            where = f"{number:4d}/{len(points)}  {point}"
            try:
                run = future.result()
                assert run is None or run.end == expected, f"it ends otherwise: {run}"
            except Exception as error:
                failures.append("\n".join([f"{point}: {error}", *getattr(error, "__notes__", ())]))
                say(f"{where}  FAILED: {error}")
                continue
            if run is None:
                say(f"{where}  not made in {TRIES} runs")
            else:
                runs.append(run)
                say(f"{where}  the same end, {run.seconds:.1f} s, sequences {run.sequences}")
    assert not failures, "\n".join(failures)
    return runs


def require_made(points: Sequence[Point], runs: Sequence[Run]) -> None:
    """Raises AssertionError naming the points at which no operator was ended, but for those that may be missing."""
    made = {run.point for run in runs}
    missing = [str(point) for point in points if point not in made and (point.name, point.nth > 1) != (MAY_BE_MISSING, True)]
    assert not missing, f"not made: {missing}"


def run_one(cluster: Cluster, api: Api, point: Point, folder: Path, story: Story = ROLLING) -> Run | None:
    """The operator is ended at `point` of the story, once, and started anew under another lease.

    None where the write did not come in several runs, each of which came to its end undisturbed.
    """
    for _ in range(TRIES):
        with fresh_namespace(api, "killed") as namespace, operators.proxied(cluster, api) as proxy:
            if (run := _try(api, namespace, proxy, point, folder, story)) is not None:
                return run
    return None


def _try(api: Api, namespace: str, proxy: Proxy, point: Point, folder: Path, story: Story) -> Run | None:
    """None where the write never came."""
    if not story.watches_service:
        return _end_once(api, namespace, proxy, point, folder, story)
    with watching(api, namespace, ["EndpointSlice"]) as watched:
        run = _end_once(api, namespace, proxy, point, folder, story)
        began = next((at for at, ready in watched.ready_of(given.NAME) if ready), 0.0)
        assert watched.without_ready(given.NAME, began) == [], "the Service was without a Ready pod"
        return run


def _end_once(api: Api, namespace: str, proxy: Proxy, point: Point, folder: Path, story: Story) -> Run | None:
    operators.allow_leases(api, namespace)
    deploys.prepare(api, namespace, *story.modifiers)
    began = time.monotonic()
    started = [operators.start(proxy.url, namespace, folder, lease="lease-0")]
    kill = Kill(point.name, point.nth, point.after_it, lambda: started[-1].pid)
    proxy.faults.append(kill)

    def start_anew() -> None:
        if not started[-1].alive:
            code = started[-1].process.wait()
            assert (code, len(started)) == (-signal.SIGKILL, 1), started[-1].log.read_text()
            started.append(operators.start(proxy.url, namespace, folder, lease="lease-1"))

    try:
        end = story.act(api, namespace, meanwhile=start_anew)
    except Exception as error:
        error.add_note("\n".join(operator.log.read_text(errors="replace")[-LOG_SHOWN:] for operator in started))
        raise
    finally:
        for operator in started:
            operator.stop(signal.SIGKILL)
    if not kill.done.is_set():
        return None
    rows = api.get("Deployment", "", namespace).body["items"]
    return Run(point, end, sorted(row["spec"]["sequence"] for row in rows), time.monotonic() - began)
