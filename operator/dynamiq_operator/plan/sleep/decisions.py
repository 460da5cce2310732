"""Plans the operations of an App's sleep: it creates and deletes the gate's slice, and scales the workload to 0 and back.

A call to a sleeping App is not seen here: the gate wakes for it (`gate.waking.Waker.wake`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from dynamiq_operator.desired.base import ENDPOINT_SLICE, is_ending, is_ours
from dynamiq_operator.desired.drift import manifest_digest
from dynamiq_operator.desired.gate_slice import gate_slice as make_slice
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model.gates import PORTS, GateState
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.children import ObservedChildren
from dynamiq_operator.plan.observed.endpoints import ObservedEndpoints, Slice
from dynamiq_operator.plan.observed.problems import ChildProblem
from dynamiq_operator.plan.observed.secrets import KeysPresence
from dynamiq_operator.plan.operations import CreateChild, DeleteChild, Operation, ScaleWorkload, WriteGateKeys
from dynamiq_operator.plan.output import events
from dynamiq_operator.plan.sleep import idle
from dynamiq_operator.plan.sleep.hindrances import hindrance, knows_keys, sleeping_config
from dynamiq_operator.plan.sleep.state import (
    SETTLED,
    Sleep,
    ends_of_patience,
    gate_slice,
    is_answered,
    is_current,
    own_since,
    sleep_of,
    wanted_note,
)

UNANSWERED = timedelta(seconds=10)
"""How long a slice may be without a ready pod of the gate before it is deleted."""


def wake(context: Context, minimum: int) -> Iterator[Operation]:
    """Yields the operations that scale a sleeping workload up, if a reason wakes the App and nothing else would."""
    observed = context.serving_workload
    if observed is None or is_ending(observed) or not is_to_wake(context):
        return
    yield events.woken(context.app, context.snapshot.now, _why(context))
    yield ScaleWorkload(observed, minimum)


def is_to_wake(context: Context) -> bool:
    """Returns True if an App without a pod needs one again."""
    blocking, leads = hindrance(context), gate_slice(context.snapshot.endpoints, context.app)
    match sleep_of(context):
        case Sleep.ASLEEP:
            return (blocking is not None and blocking.wakes) or leads is None or not is_current(context, leads)
        case Sleep.LEFT:
            return (blocking is not None and blocking.wakes) or ENDPOINT_SLICE.kind not in context.snapshot.children.denied
        case _:
            return False


def sleep_operations(context: Context) -> Iterator[Operation]:
    """Yields the operations by which an App falls asleep, and those that remove the gate's slice once pods serve again."""
    leads, observed = gate_slice(context.snapshot.endpoints, context.app), context.serving_workload
    yield from _write_keys(context)
    if leads is not None and may_delete_slice(context, leads):
        yield events.straight_to_pods(context.app, context.snapshot.now)
        yield DeleteChild(leads.raw)
    elif leads is not None and observed is not None and may_fall_asleep(context, leads) and not is_ending(observed):
        yield events.asleep(context.app, context.snapshot.now)
        yield ScaleWorkload(observed, 0)
    elif leads is None and is_idle(context):
        yield from _create_slice(context)


def is_idle(context: Context) -> bool:
    """Returns True if an awake App may sleep and all of its pods are idle."""
    return sleep_of(context) is Sleep.AWAKE and _are_idle(context)


def may_fall_asleep(context: Context, leads: Slice) -> bool:
    """Returns True if every caller may already reach the gate, and the pods have stayed idle since then."""
    since = settled_at(leads)
    if sleep_of(context) is not Sleep.LEADING or context.snapshot.now < since:
        return False
    return is_current(context, leads) and is_answered(context.snapshot.endpoints.gate, leads) and _are_idle(context, since)


def may_delete_slice(context: Context, leads: Slice) -> bool:
    """Returns True if the gate's slice can be deleted without a caller losing its call."""
    # Without a ready pod the slice stays, even if the gate does not answer: nothing else would, and the gate's pods may still run.
    if ENDPOINT_SLICE.kind in context.snapshot.children.denied or not is_ours(leads.raw, context.app):
        return False
    observed = context.serving_workload
    if observed is None:
        return context.history.target is None
    since = own_since(context)
    if since is None or not WorkloadState.of(observed).available or observed["spec"].get("replicas", 1) == 0:
        return False
    if not is_answered(context.snapshot.endpoints.gate, leads):
        return _leads_nowhere(context, leads)
    return context.snapshot.now - since >= SETTLED and not _falls_asleep(context, leads)


def _leads_nowhere(context: Context, leads: Slice) -> bool:
    """Returns True if a slice without a ready pod of the gate is to be deleted.

    An empty slice misleads no caller and waits for the gate, unless another App has its port: the gate then serves only the older App.
    """
    if not context.snapshot.endpoints.gate.pods or hindrance(context) is not None or not is_current(context, leads):
        return True
    in_vain = bool(leads.endpoints) or leads.port in context.snapshot.endpoints.gate_ports
    return in_vain and context.snapshot.now - leads.changed >= UNANSWERED


def settled_at(leads: Slice) -> datetime:
    """Returns from when on every caller follows a slice."""
    return leads.changed + SETTLED


def sleep_times(context: Context) -> Iterator[float]:
    """Yields the seconds until time alone may change these decisions."""
    leads = gate_slice(context.snapshot.endpoints, context.app)
    moments = [*ends_of_patience(context)] if sleeping_config(context.history.live) is not None else []
    if leads is not None:
        since = own_since(context)
        moments += [leads.changed + UNANSWERED, settled_at(leads), *([since + SETTLED] if since is not None else [])]
    elif (problem := slice_problem(context.snapshot.children, context.app)) is not None and problem.retry_in is not None:
        yield problem.retry_in
    yield from ((moment - context.snapshot.now).total_seconds() for moment in moments if moment > context.snapshot.now)


def readings_due(context: Context) -> Mapping[str, datetime]:
    """Returns when to read each pod's calls, by uid: about once in the time for which pods have to be idle."""
    config, state, leads = sleeping_config(context.history.live), sleep_of(context), gate_slice(context.snapshot.endpoints, context.app)
    if config is None or state not in (Sleep.AWAKE, Sleep.LEADING) or hindrance(context) is not None:
        return {}
    observed = context.snapshot.pods
    pods = [pod for pod in idle.working_pods(observed) if pod.container is not None and pod.container.running]
    since = settled_at(leads) if leads is not None and _falls_asleep(context, leads) else None
    return idle.next_readings(observed.activity, pods, context.snapshot.now, config.idle_seconds or 0, since)


def slice_problem(children: ObservedChildren, app: App) -> ChildProblem | None:
    """Returns why the gate's slice could not be made; None if it could."""
    return children.problems.get(ENDPOINT_SLICE.key(app.meta.name))


def _falls_asleep(context: Context, leads: Slice) -> bool:
    """Returns True if the pods were idle at the last reading: the slice then leads to sleep, and not out of it."""
    return is_current(context, leads) and _are_idle(context)


def _are_idle(context: Context, since: datetime | None = None) -> bool:
    """Returns True if the App may sleep, and its pods have been idle for long enough, also since then."""
    config = sleeping_config(context.history.live)
    if config is None or hindrance(context) is not None:
        return False
    return idle.are_idle(context.snapshot.pods, context.snapshot.now, config.idle_seconds or 0, since)


def _write_keys(context: Context) -> Iterator[WriteGateKeys]:
    """Yields the write of digests of the Access Keys, before the App can sleep and after each change of them."""
    keys, gate_version = context.snapshot.secrets.access_keys, context.snapshot.secrets.gate_keys
    is_there = context.snapshot.endpoints.gate.state in (GateState.READY, GateState.DOWN)
    if sleeping_config(context.history.live) is None or knows_keys(context) or gate_version is None or not is_there:
        return
    if keys.presence is KeysPresence.PRESENT and keys.version:
        yield WriteGateKeys(context.app, context.snapshot.settings.gate_namespace, keys.version)


def _create_slice(context: Context) -> Iterator[CreateChild]:
    note = wanted_note(context)
    if note is None:
        return
    manifest = make_slice(context.app, note, _port(context.snapshot.endpoints, context.app), _address_type(context.snapshot.endpoints))
    digest = manifest_digest(manifest)
    if not context.snapshot.children.holds_back(ENDPOINT_SLICE.key(context.app.meta.name), digest):
        yield CreateChild(context.app, manifest, digest)


def _port(endpoints: ObservedEndpoints, app: App) -> int:
    """Returns a free port of the gate: the first free one after the port derived from the App's uid."""
    # Two Apps that choose at the same time may get the same port: see `_leads_nowhere`.
    first = zlib.crc32(app.meta.uid.encode()) % len(PORTS)
    used = endpoints.gate_ports
    return next(
        (PORTS[(first + step) % len(PORTS)] for step in range(len(PORTS)) if PORTS[(first + step) % len(PORTS)] not in used), PORTS[first]
    )


def _address_type(endpoints: ObservedEndpoints) -> str:
    own: list[Manifest] = [each.raw for each in endpoints.slices if not each.is_gates]
    return str(own[0].get("addressType", "IPv4")) if own else "IPv4"


def _why(context: Context) -> str:
    blocking = hindrance(context)
    return blocking.message if blocking is not None else "no gate answers for it, or the facts that the gate has are outdated"
