"""Decides which earlier pins get pods that only finish background runs, and for how long. It makes none.

A run ends on the pins that it began with. Pins with active runs that are neither the target's nor kept warm have a workload of their own,
under both strategies. It is there before their other pods go, and goes once their last run has ended. Runs that wait, or are held, need no
workload: none is made for them, and one that exists has no pods. `finishing_pods` has how many pods there are.

While the journal is away its last counts stand: nothing is deleted or scaled, and no deploy waits for it. Pins that nobody knew of
get their workload when the journal answers again; until then nothing could have gone on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dynamiq_operator.desired import workload as workloads
from dynamiq_operator.desired.base import is_ending
from dynamiq_operator.desired.pin_labels import PLAIN, SHORT
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.pod_template import journal_of
from dynamiq_operator.desired.template_note import applied_pins
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model.app_status import FinishingVersion
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.open_runs import PodLimit
from dynamiq_operator.plan.workloads import conversing_pods, environment, finishing_pods
from dynamiq_operator.plan.workloads.conversations import conversing, keeps_conversations, open_talks, row_of
from dynamiq_operator.plan.workloads.finishing_pods import QUIET, Finishing
from dynamiq_operator.plan.workloads.wanted import conversion, gives_up_standby, noted_pins, wanted_workloads

FINISHING = "Finishing"
"""Condition type of the App, only while it is True: background runs are open that no pod of the live version takes."""
MOST = 20
"""Workloads of one App that finish runs. Active runs of further pins wait."""
AGAIN = 15.0
"""Seconds until the next look at workloads that stay because the journal is away."""


def finishing(context: Context) -> tuple[Finishing, ...]:
    """Returns the pins with runs to finish, or with a workload that stays, in the order in which they may have a workload.

    Those with pods or active runs come first, then those whose workload has nothing to do now, and those that need none.
    """
    observed, counts = context.workloads.finishing, context.snapshot.open_runs.counts
    if not observed and not counts:
        return ()  # most Apps, at no cost
    lasting = _lasting(context)
    labels = [label for label in _open_labels(context) if label not in lasting]
    kept = [label for label in observed if not may_go(context, label)]
    each = (_finishing(context, label) for label in dict.fromkeys((*kept, *labels)))
    return tuple(sorted(each, key=lambda one: (place := _place(context, one), one.age if place < 2 else (), -one.sequence, one.label)))


def wanted_finishing(context: Context) -> tuple[Finishing, ...]:
    """Returns those that have a workload, or get one."""
    some = _with_place(context)
    waiting = _late(context, some)
    return tuple(each for each in some if each.label not in waiting or _stays(context, each))


def scaling(context: Context) -> Iterator[tuple[Manifest, int]]:
    """Yields the workloads whose number of pods changes, with the new number."""
    wanted = wanted_finishing(context)
    yield from finishing_pods.scaling(context, wanted, _late(context, wanted)) if wanted else ()


def unneeded(context: Context) -> Iterator[Manifest]:
    """Yields the workloads to delete: nothing is left to finish, other pods take their runs over, or others need their place."""
    if context.workloads.finishing and context.snapshot.open_runs.is_known:
        wanted = {each.label for each in wanted_finishing(context)}
        yield from (raw for label, raw in context.workloads.finishing.items() if label not in wanted and not is_ending(raw))


def limits(context: Context) -> Mapping[str, PodLimit]:
    """Returns how pods share the runs and the conversations of these pins, by digest."""
    digests = context.snapshot.open_runs.digests
    pins = {each.label: each.pins for each in finishing(context)} | dict(conversing(context))
    return {digests[label]: finishing_pods.pod_limit(context, each) for label, each in pins.items() if label in digests}


def may_go(context: Context, label: str) -> bool:
    """Returns True if a workload has nothing left to finish, or other pods of its pins take its runs over."""
    open_runs, since = context.snapshot.open_runs, context.snapshot.open_runs.none_since(label)
    if not open_runs.is_known:
        return False  # its pods could not hand a run back now
    return (since is not None and context.snapshot.now - since >= QUIET) or _is_covered(context, label)


def holds_roll(context: Context) -> tuple[Finishing, ...]:
    """Returns the pins that need their own workload before the pods of the target's workload are replaced; most often none."""
    observed = context.workload
    if observed is None or context.label != PLAIN or not context.snapshot.open_runs.counts:
        return ()
    leaving = _of_other_pods(context)
    return tuple(each for each in wanted_finishing(context) if each.observed is None and each.label in leaving)


def holds_workload(context: Context, label: str) -> tuple[Finishing, ...] | bool:
    """Returns the pins that need their own workload before this one is deleted, or True if it is unknown whether they do."""
    if label == PLAIN or label in context.workloads.finishing:
        return ()
    if awaited := tuple(each for each in wanted_finishing(context) if each.label == label):
        return awaited
    known, template = context.snapshot.open_runs.is_known, context.workloads.by_label[label]["spec"]["template"]
    makes_way = gives_up_standby(context) or conversion(context) is not None or label in _lasting(context)
    return context.snapshot.settings.journal is not None and not known and not makes_way and journal_of(template) is not None


def finishing_times(context: Context) -> Iterator[float]:
    """Yields the seconds until time alone may change these workloads."""
    none_since, now = context.snapshot.open_runs.none_since, context.snapshot.now
    yield from finishing_pods.pod_times(context, wanted_finishing(context))
    yield from ((since + QUIET - now).total_seconds() for label in context.workloads.finishing if (since := none_since(label)) is not None)
    # The journal's return requeues only Apps with counts.
    if not context.snapshot.open_runs.is_known and context.snapshot.settings.journal is not None:
        is_held = any(holds_workload(context, label) is True for label in context.workloads.of_pins)
        yield from (AGAIN,) if is_held or context.workloads.finishing else ()


def version_of(context: Context, label: str) -> FinishingVersion | None:
    """Returns the newest row of pins without counts: from a row at hand, else as the App's status shows it; None if it is unknown."""
    if (row := row_of(context, label)) is not None and row.pinned is not None:
        return FinishingVersion(row=row.name, sequence=row.sequence, version=row.pinned.workflow_version, pins=Pins.of(row.pinned).digest)
    return next((each for each in context.app.status.finishing if each.pins[:SHORT] == label), None)


def labels_to_read(context: Context) -> tuple[str, ...]:
    """Returns the labels of pins whose row has to be searched for in the history: no object at hand names it."""
    # After a restart of the operator most Apps have runs that only wait: their status is enough, and no history is read.
    without_pins = {each.label: each.pins is None and _needs_pins(context, each) for each in finishing(context)}
    labels = dict.fromkeys((*without_pins, *_open_labels(context), *open_talks(context)))
    lacking = {label for label in open_talks(context) if _talks_need_row(context, label)}
    return tuple(label for label in labels if without_pins.get(label) or label in lacking or version_of(context, label) is None)


def rows_with_runs(context: Context) -> frozenset[str]:
    """Returns the names of the newest rows of all pins with open runs or conversations.

    These are by the last counts, and those that the App's status shows.
    """
    versions = (version_of(context, label) for label in (*_open_labels(context), *open_talks(context)))
    return frozenset(each.row for each in (*versions, *context.app.status.finishing) if each is not None)


def awaits_counts(context: Context) -> bool:
    """Returns True if the App may have open runs that are unknown, since the journal does not answer, or was not asked yet."""
    if context.snapshot.settings.journal is None or context.snapshot.open_runs.is_known:
        return False
    status = context.app.status
    is_shown = bool(status.finishing) or any(each.type == FINISHING for each in status.conditions)
    return is_shown or context.app.spec.is_private or takes_runs(context)


def takes_runs(context: Context) -> bool:
    """Returns True if the App's pods may take background runs: those of a public App do not."""
    return environment.app_as_served(context).spec.is_private


def pins_of(context: Context, label: str) -> Pins | None:
    """Returns the pins of a label; None if no object at hand names them."""
    observed = context.workloads.finishing.get(label)
    own = workloads.noted_pins(observed) if observed is not None else None
    known = (own, context.target_pins, context.live_pins, noted_pins(context.workloads, label))
    found = next((pins for pins in known if pins is not None and pins.label == label), None)
    row = row_of(context, label) if found is None else None
    return Pins.of(row.pinned) if row is not None and row.pinned is not None else found


def _place(context: Context, each: Finishing) -> int:
    """Returns the class of pins in the order of `finishing`."""
    if each.observed is None:
        return 1 if each.count.active else 3
    # A workload of MOST goes for other runs only if it has no pod, and it is known that it needs none.
    is_idle = context.snapshot.open_runs.is_known and not each.count.active and each.replicas == 0
    return 2 if is_idle else 0


def _with_place(context: Context) -> tuple[Finishing, ...]:
    return tuple(each for each in finishing(context) if each.observed is not None or each.count.active)[:MOST]


def _late(context: Context, some: tuple[Finishing, ...]) -> frozenset[str]:
    return finishing_pods.late(context, some, _of_other_pods(context)) if len(some) > finishing_pods.STARTING else frozenset()


def _stays(context: Context, each: Finishing) -> bool:
    """Returns True if pins whose turn has not come keep their workload."""
    if each.observed is None or not context.snapshot.open_runs.is_known:
        return each.observed is not None
    return each.replicas == 0 or finishing_pods.no_room_since(context, each) is None


def _of_other_pods(context: Context) -> frozenset[str]:
    """Returns the labels of pins whose runs other pods of the App have until these are replaced or deleted."""
    plain, live = context.workloads.get(PLAIN), context.live_pins
    applied = (applied_pins(plain) or "")[:SHORT] if plain is not None else ""
    return frozenset({*context.workloads.of_pins, applied, live.label if live is not None else ""})


def _needs_pins(context: Context, each: Finishing) -> bool:
    return bool(each.observed is not None or each.count.active or each.count.held or context.snapshot.guards.rejections)


def _talks_need_row(context: Context, label: str) -> bool:
    """Returns True if a workload for conversations cannot be made, or not with all of its pods, until the row of its pins is read."""
    own = conversing(context)
    if label in own:
        return conversing_pods.needs_row(context, label, own[label])
    return keeps_conversations(context) and context.workloads.get(label) is None and pins_of(context, label) is None


def _open_labels(context: Context) -> tuple[str, ...]:
    return tuple(label for label, count in context.snapshot.open_runs.counts.items() if count.total)


def _finishing(context: Context, label: str) -> Finishing:
    shown = version_of(context, label)
    return Finishing(
        label,
        pins_of(context, label),
        context.workloads.finishing.get(label),
        context.snapshot.open_runs.of(label),
        shown.sequence if shown is not None else 0,
    )


def _lasting(context: Context) -> frozenset[str]:
    """Returns the labels of pins whose pods stay, or come, whatever this App does next: the target's, and warm ones."""
    lasting = {pins.label for pins in (context.target_pins,) if pins is not None}
    if context.switches:
        live = context.live_pins.label if context.live_pins is not None else None
        wanted = [each for each in wanted_workloads(context) if each.observed is not None]
        # A standby of an App that sleeps has no pod, and no call of a caller wakes it.
        is_warm = {each.label for each in wanted if each.observed is not None and each.observed["spec"].get("replicas", 1) > 0}
        lasting |= {each.label for each in wanted if each.label in (context.serving, live) or each.label in conversing(context)} | is_warm
    return frozenset(lasting - {PLAIN})


def _is_covered(context: Context, label: str) -> bool:
    """Returns True if pods of these pins run that callers may reach, or the App sleeps and wakes for its queued runs."""
    if label not in _lasting(context):
        return False
    own = context.workloads.get(label if context.switches else PLAIN)
    if own is None or is_ending(own) or (applied_pins(own) or "")[:SHORT] != label:
        return False
    state = WorkloadState.of(own)
    return state.complete or (state.replicas == 0 and context.serving in (label, PLAIN))
