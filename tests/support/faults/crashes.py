"""Kills the operator at each write that it makes, one run for each, several in parallel."""

from __future__ import annotations

import contextlib
import functools
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Api, fresh_namespace
from tests.support.counting_journal import counting
from tests.support.faults import deploys, finishing, operators
from tests.support.faults.deploys import ROLLING, End, Story
from tests.support.faults.faults import Kill, KillAtEachKind
from tests.support.faults.operators import OperatorProcess
from tests.support.faults.proxy import Call, Fault, Proxy
from tests.support.load.watched import watching

SIDE_BY_SIDE = 3
TRIES = 4
"""Attempts for a write that does not occur in each run, such as a status about a pod that was seen starting."""
MAY_BE_MISSING = "patch apps/chat/status"
"""Later points of this write may be missing: one write may contain two changes of the App's status."""
WRITES_OF_AN_END = 11
"""The writes in which a row goes live and its status is published."""
LOG_SHOWN = 4000
"""Characters of an operator's log that a failed run shows."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Point:
    """A moment at which the operator is killed: just before the API server gets a write, or just after it carried it out."""

    name: str
    nth: int
    after_it: bool

    def __str__(self) -> str:
        return f"{'after ' if self.after_it else 'before'} {self.name} ({self.nth})"


@dataclass(frozen=True)
class Run:
    """The end of a run whose operator was killed at `point`. `sequences` may have gaps."""

    point: Point
    end: End
    sequences: list[int]
    seconds: float


_ENDS: dict[tuple[str, str], tuple[End, list[Call]]] = {}


def undisturbed(cluster: Cluster, api: Api, folder: Path, story: Story = ROLLING) -> tuple[End, list[Call]]:
    """Returns the end of an undisturbed run, and its writes; measured once for each cluster."""
    key = cluster.name, story.name
    if key not in _ENDS:
        with fresh_namespace(api, "undisturbed") as namespace, operators.proxied(cluster, api) as proxy:
            operators.allow_leases(api, namespace)
            deploys.prepare(api, namespace, *story.modifiers)
            with _acting(story, folder) as (act, flags), operators.running(proxy.url, namespace, folder, *flags):
                _ENDS[key] = act(api, namespace), proxy.writes
    return _ENDS[key]


def points_of(writes: Sequence[Call]) -> list[Point]:
    """Returns the points before and after each write, and before and after the first one of the lease."""
    return [
        Point(name, nth, after_it)
        for name, nth in (("create leases: lease-0", 1), *((call.name, call.nth) for call in writes))
        for after_it in (False, True)
    ]


def points_of_revert(writes: Sequence[Call]) -> list[Point]:
    """Returns the points for `deploys.REVERT`: before and after each write from the end of the bad row on."""
    begins = next(place for place, call in enumerate(writes) if deploys.BACK in call.name)
    return [point for point in points_of(writes[begins - WRITES_OF_AN_END :]) if "leases" not in point.name]


def points_of_finishing(writes: Sequence[Call]) -> list[Point]:
    """Returns the points for `finishing.FINISHING`: before and after each write from the workload that finishes the run on."""
    begins = next(place for place, call in enumerate(writes) if finishing.is_of_workload(call.name))
    return [point for point in points_of(writes[begins:]) if "leases" not in point.name]


def listed(writes: Sequence[Call]) -> list[str]:
    """Returns the writes, numbered, as lines."""
    return [f"  {number:3d}  {call.point}" for number, call in enumerate(writes, 1)]


def kind_of(name: str) -> str:
    """Returns the verb and the resource of a write by its name; Events are one kind."""
    return " ".join(name.split(":")[0].split("/")[0].split()[:3]) + ("/status" if name.endswith("/status") else "")


def run_all(
    cluster: Cluster,
    api: Api,
    points: Sequence[Point],
    expected: End,
    folder: Path,
    say: Say,
    story: Story = ROLLING,
    side_by_side: int = SIDE_BY_SIDE,
) -> list[Run]:
    """Runs once for each point; returns the runs in which the write occurred. Raises AssertionError with all points that end differently."""
    runs: list[Run] = []
    failures: list[str] = []
    with ThreadPoolExecutor(side_by_side) as pool:
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
    """Raises AssertionError with the points at which no operator was killed, except those that may be missing."""
    points_made = {run.point for run in runs}
    missing = [str(point) for point in points if point not in points_made and (point.name, point.nth > 1) != (MAY_BE_MISSING, True)]
    assert not missing, f"not made: {missing}"


def run_killed_at_each_kind(
    cluster: Cluster, api: Api, kinds: Collection[str], folder: Path, story: Story = ROLLING
) -> tuple[End, dict[str, bool]]:
    """Runs the story once; the operator is killed at the first write of each of these kinds, and restarted each time.

    Returns the end, and the kinds at which the operator was killed, each with True if that was after the write.
    """

    def kind_to_kill(call: Call) -> str | None:
        kind = kind_of(call.name)
        return kind if call.is_write and not call.is_about_policies and kind in kinds else None

    with _place(cluster, api, story) as (namespace, proxy), _acting(story, folder) as (act, flags):
        operator = _Restarted(proxy.url, namespace, folder, flags, len(kinds))
        kill = KillAtEachKind(kind_to_kill, operator.pid)
        return _play(api, proxy, kill, operator, act), kill.killed


def run_one(cluster: Cluster, api: Api, point: Point, folder: Path, story: Story = ROLLING) -> Run | None:
    """Kills the operator at `point` of the story, once, and restarts it under another lease.

    None if the write did not occur in several runs, each of which ended undisturbed.
    """
    for _ in range(TRIES):
        with _place(cluster, api, story) as (namespace, proxy), _acting(story, folder) as (act, flags):
            began = time.monotonic()
            operator = _Restarted(proxy.url, namespace, folder, flags)
            kill = Kill(point.name, point.nth, point.after_it, operator.pid)
            end = _play(api, proxy, kill, operator, act)
            if kill.done.is_set():
                rows = api.get("Deployment", "", namespace).body["items"]
                return Run(point, end, sorted(row["spec"]["sequence"] for row in rows), time.monotonic() - began)
    return None


@contextlib.contextmanager
def _place(cluster: Cluster, api: Api, story: Story) -> Iterator[tuple[str, Proxy]]:
    """Makes a namespace with the App of the story, and a proxy for its operator.

    Raises AssertionError if its Service had no Ready pod in a story that forbids that.
    """
    with fresh_namespace(api, "killed") as namespace, operators.proxied(cluster, api) as proxy:
        operators.allow_leases(api, namespace)
        deploys.prepare(api, namespace, *story.modifiers)
        if not story.watches_service:
            yield namespace, proxy
            return
        with watching(api, namespace, ["EndpointSlice"]) as watched:
            yield namespace, proxy
            began = next((at for at, ready in watched.ready_of(given.NAME) if ready), 0.0)
            assert watched.without_ready(given.NAME, began) == [], "the Service was without a Ready pod"


@contextlib.contextmanager
def _acting(story: Story, folder: Path) -> Iterator[tuple[Callable[..., End], tuple[str, ...]]]:
    """Yields the actions of the story, and flags of its operator; runs its journal meanwhile, if it has one."""
    if not story.has_journal:
        yield story.act, ()
        return
    with counting(folder) as (journal, flags):
        yield functools.partial(story.act, journal), flags


class _Restarted:
    """The operator of a run, restarted under another lease each time that it was killed, up to a limit."""

    def __init__(self, url: str, namespace: str, folder: Path, flags: Sequence[str], most: int = 1) -> None:
        self.namespace, self._url, self._folder, self._flags, self._most = namespace, url, folder, flags, most
        self._started: list[OperatorProcess] = []

    def pid(self) -> int:
        return self._started[-1].pid

    def start(self) -> None:
        lease = f"lease-{len(self._started)}"
        self._started.append(operators.start(self._url, self.namespace, self._folder, *self._flags, lease=lease))

    def start_anew(self) -> None:
        """Restarts the operator if it has ended. Raises AssertionError with its log if it was not killed, or too often."""
        last = self._started[-1]
        if not last.alive:
            assert last.process.wait() == -signal.SIGKILL, last.log.read_text()
            assert len(self._started) <= self._most, "it was ended too often"
            self.start()

    def logs(self) -> str:
        return "\n".join(each.log.read_text(errors="replace")[-LOG_SHOWN:] for each in self._started)

    def stop(self) -> None:
        for each in self._started:
            each.stop(signal.SIGKILL)


def _play(api: Api, proxy: Proxy, kill: Fault, operator: _Restarted, act: Callable[..., End]) -> End:
    proxy.faults.append(kill)
    operator.start()
    try:
        end: End = act(api, operator.namespace, meanwhile=operator.start_anew)
    except Exception as error:
        error.add_note(operator.logs())
        raise
    finally:
        operator.stop()
    return end
