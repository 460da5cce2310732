"""Decides how many pods finish the background runs of earlier pins. It makes none.

Pins have the pods that their active runs need, up to the App's limit. More are started at once, and fewer are kept after a minute. Runs
that wait, or are held, need none. While counts are unknown nothing is scaled.

If there is no room for all:

- A deploy comes first: its quota's room is freed at once, and taken again only once all of its pods exist.
- Pins whose active runs have no pod yet are served by age. STARTING of them are started at a time.
- A further workload whose pods are refused is deleted until its turn: a gate would scale it up again.
- Pins that got no pod within TURN are passed over, and keep trying: one that fits nowhere holds up no other.
- A pod that has no active run gives way after seconds. A pod that has some is never taken for older ones.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dynamiq_operator.desired.base import is_ending
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.recording import FINISHING_PODS
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.open_runs import OpenCount, PodLimit
from dynamiq_operator.plan.observed.pods import ObservedPod
from dynamiq_operator.plan.workloads.wanted import lacks_room, needed_replicas

CONCURRENT_RUNS = 32
"""Runs of a pod at a time, unless its Runtime says otherwise: the default of our images."""
TALKS = 10
"""Conversations of a pod for each of its concurrent runs: most wait for their person."""
QUIET, SOON = timedelta(seconds=60), timedelta(seconds=5)
"""How long a pod is kept that is no longer needed; the second one if other runs lack its room."""
STARTING = 5
"""Pins that may start their first pod at a time."""
TURN = timedelta(minutes=5)
"""How long pins whose pods are refused count as starting."""
_LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Finishing:
    """Earlier pins, by their label, whose background runs go on apart. `pins`: None if no object tells them."""

    label: str
    pins: Pins | None
    observed: Manifest | None
    count: OpenCount
    sequence: int = 0

    @property
    def age(self) -> tuple[datetime, int, str]:
        """A key that sorts pins by their oldest queued run, else by their oldest open one."""
        return self.count.due or self.count.oldest or _LATEST, -self.sequence, self.label

    @property
    def replicas(self) -> int:
        """The number of pods that its workload has to have now; 0 without a workload."""
        replicas: int = self.observed["spec"].get("replicas", 1) if self.observed is not None else 0
        return replicas


def pod_limit(context: Context, pins: Pins | None) -> PodLimit:
    """Returns how pods of these pins share background runs and conversations. Runs take half of a pod's concurrent runs, at least one."""
    runs, concurrent = context.app.spec.runs, (pins.runtime.max_concurrent_runs if pins is not None else None) or CONCURRENT_RUNS
    most = runs.finishing_pods if runs is not None else FINISHING_PODS
    return PodLimit(max(1, concurrent // 2), most, TALKS * concurrent)


def needed_pods(context: Context, each: Finishing) -> int:
    return pod_limit(context, each.pins).pods(each.count)


def late(context: Context, some: Iterable[Finishing], exempt: Container[str]) -> frozenset[str]:
    """Returns the labels of pins whose first pod has to wait for those of older runs. `exempt`: labels that never wait."""
    starting = sorted((each for each in some if each.count.active and not _has_pod(context, each.label)), key=lambda each: each.age)
    turns, found = STARTING, list[str]()
    for each in starting:
        if turns > 0 or each.label in exempt:
            turns -= not _is_passed_over(context, each)
        else:
            found.append(each.label)
    return frozenset(found)


def scaling(context: Context, some: Sequence[Finishing], late_ones: Container[str]) -> Iterator[tuple[Manifest, int]]:
    """Yields the workloads whose number of pods changes, with the new number; none while counts are unknown."""
    quiet = _quiet(context, some)
    for each in some if context.snapshot.open_runs.is_known else ():
        if each.observed is None or is_ending(each.observed):
            continue
        wanted = 0 if _gives_way(context, each) else _replicas(context, each, quiet)
        if wanted != each.replicas and not (each.replicas == 0 and each.label in late_ones):
            yield each.observed, wanted


def first_replicas(context: Context, each: Finishing) -> int:
    """Returns how many pods a new workload begins with."""
    return 0 if lacks_deploy_room(context) else max(needed_pods(context, each), 1)


def lacks_deploy_room(context: Context) -> bool:
    """Returns True if a quota has no room for the pods of a deploy: those that finish runs give way first."""
    return context.history.candidate is not None and bool(lacks_room(context.workload))


def no_room_since(context: Context, each: Finishing) -> datetime | None:
    """Returns since when no node, or a quota, has room for one of its pods; None if there is room, as far as is known."""
    refused = [pod.scheduled_at or pod.created for pod in _pods(context, each.label) if pod.unschedulable]
    if each.observed is not None and lacks_room(each.observed):
        refused.append(WorkloadState.of(each.observed).failing_since or context.snapshot.now)
    return min(refused, default=None)


def pod_times(context: Context, some: Sequence[Finishing]) -> Iterator[float]:
    """Yields the seconds until time alone may change how many pods these workloads have."""
    quiet, now = _quiet(context, some), context.snapshot.now
    for each in some:
        if each.observed is not None:
            ends = (_unneeded_from(context, each, pods, quiet) for pods in _kept(context, each))
            yield from ((end - now).total_seconds() for end in ends if end is not None)
        if each.count.active and (since := no_room_since(context, each)) is not None:
            yield (since + TURN - now).total_seconds()


def _gives_way(context: Context, each: Finishing) -> bool:
    if context.history.candidate is None:
        return False
    # Once it has made room it stays away while the deploy may need that room again.
    state = WorkloadState.of(context.workload) if context.workload is not None else None
    is_made = state is not None and state.observed and state.updated >= max(state.replicas, needed_replicas(context))
    return lacks_deploy_room(context) or (each.replicas == 0 and not is_made)


def _replicas(context: Context, each: Finishing, quiet: timedelta) -> int:
    """Returns how many pods are needed, or were a moment ago."""
    ends = {pods: _unneeded_from(context, each, pods, quiet) for pods in _kept(context, each)}
    return max((pods for pods, end in ends.items() if end is None or context.snapshot.now < end), default=needed_pods(context, each))


def _kept(context: Context, each: Finishing) -> range:
    """Returns the numbers of pods that may be kept although fewer are needed."""
    limit = pod_limit(context, each.pins)
    return range(limit.pods(each.count) + 1, min(each.replicas, limit.most) + 1)


def _unneeded_from(context: Context, each: Finishing, pods: int, quiet: timedelta) -> datetime | None:
    """Returns from when on so many pods are too many; None while that is unknown."""
    since, made = context.snapshot.open_runs.fewer_since(each.label, pods), [pod.created for pod in _pods(context, each.label)]
    # Another client may have scaled it up for a run of which no count is known yet: its pods are given as much time.
    if since is None or (not made and (each.observed is None or WorkloadState.of(each.observed).failure is None)):
        return None
    return max(since, *made) + quiet


def _quiet(context: Context, some: Iterable[Finishing]) -> timedelta:
    is_short = any(each.count.active and no_room_since(context, each) is not None for each in some)
    return SOON if is_short else QUIET


def _is_passed_over(context: Context, each: Finishing) -> bool:
    since = no_room_since(context, each)
    return since is not None and context.snapshot.now - since >= TURN


def _has_pod(context: Context, label: str) -> bool:
    return any(pod.unschedulable is None for pod in _pods(context, label))


def _pods(context: Context, label: str) -> list[ObservedPod]:
    return [pod for pod in context.snapshot.pods.finishing if pod.pins == label and not pod.deleting]
