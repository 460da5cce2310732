"""Finds why a serverless App may not sleep now. It wakes no App: `decisions` does, for hindrances with `wakes`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dynamiq_operator.desired.base import ENDPOINT_SLICE
from dynamiq_operator.model.gates import GateState
from dynamiq_operator.model.objects import Row
from dynamiq_operator.model.row import Config, ConfigType
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.lifecycle import is_watched
from dynamiq_operator.plan.observed.secrets import KeysPresence
from dynamiq_operator.plan.workloads import environment
from dynamiq_operator.plan.workloads.finishing import takes_runs
from dynamiq_operator.plan.workloads.wanted import conversion


@dataclass(frozen=True)
class Hindrance:
    """A reason why an App may not sleep. `wakes`: True if a sleeping App is woken for it; an unknown fact wakes none."""

    reason: str
    message: str
    wakes: bool = True


_SERVER = Hindrance("NotServerless", "its type is server")
_DEPLOYING = Hindrance("InUse", "a row is being deployed, or is watched and may be reverted")
_CHANGING = Hindrance("InUse", "its pods are being replaced")
_RUNS = Hindrance("InUse", "background runs of its live version are queued or running")
_TURNS = Hindrance("InUse", "a turn of a conversation waits for a pod of its live version")
_CALLBACKS = Hindrance("InUse", "callbacks of background runs that have ended are due")
_LIMITED = Hindrance(
    "CallersLimited",
    "it stays awake: spec.network.ingressFrom limits its callers, and to a sleeping App the gate forwards the calls of everybody. Remove "
    "ingressFrom, or deploy type server",
)
_MISSING = Hindrance("GateMissing", "dynamiq-gate is not installed in this cluster, so it stays awake: kubectl apply -k manifests/gate")
_DOWN = Hindrance("GateDown", "no pod of dynamiq-gate is ready, so it stays awake until one is")
_UNKNOWN = Hindrance(
    "GateUnknown",
    "the operator cannot read whether dynamiq-gate is installed, so the App neither falls asleep nor is woken for it",
    wakes=False,
)
_UNREAD = Hindrance("Denied", "the operator cannot list EndpointSlices, so the App neither falls asleep nor is woken for them", wakes=False)
_KEYS = Hindrance("KeysUnknown", "dynamiq-gate does not know yet who may call it, so it does not fall asleep", wakes=False)


def sleeping_config(live: Row | None) -> Config | None:
    """Returns the config of the live row if that is serverless; else None."""
    return live.pinned.config if live is not None and live.pinned is not None and live.pinned.config.type is ConfigType.SERVERLESS else None


def hindrance(context: Context) -> Hindrance | None:
    """Returns the first hindrance; None if only callers keep the App awake."""
    if sleeping_config(context.history.live) is None:
        return _SERVER  # most Apps, at no cost
    return next((each for each in _hindrances(context) if each is not None), None)


def _hindrances(context: Context) -> Iterator[Hindrance | None]:
    """Yields each possible hindrance of a serverless App in order, None for one that does not apply.

    It is lazy: nothing after the first hindrance is evaluated.
    """
    network = context.app.spec.network
    yield _LIMITED if network is not None and network.ingress_from is not None else None
    watched = is_watched(context.app.status.trial, context.history.live, context.snapshot.now)
    yield _DEPLOYING if context.history.candidate is not None or watched else None
    yield _CHANGING if conversion(context) is not None or not runs_target(context) else None
    yield _background(context)
    yield _awaited(context)
    yield _UNREAD if ENDPOINT_SLICE.kind in context.snapshot.children.denied else None
    yield {GateState.ABSENT: _MISSING, GateState.DOWN: _DOWN, GateState.UNKNOWN: _UNKNOWN}.get(context.snapshot.endpoints.gate.state)
    yield _KEYS if not knows_keys(context) else None


def _background(context: Context) -> Hindrance | None:
    """Returns the open background runs of the live pins. Those that wait for a person or a time need no pod, and a public App's have none."""
    open_runs, live = context.snapshot.open_runs, context.live_pins
    count = open_runs.of(live.label) if live is not None else None
    if count is None or not (count.queued or count.running) or not takes_runs(context):
        return None
    # A pod that asks for work takes them by itself. While the journal is away a pod could not.
    return replace(_RUNS, wakes=bool(count.queued) and not count.polled and open_runs.is_known)


def _awaited(context: Context) -> Hindrance | None:
    """Returns the turns of the live pins, or the callbacks of any, that wait for a pod. A pod that is there takes them by itself."""
    open_runs, live = context.snapshot.open_runs, context.live_pins
    if live is not None and open_runs.talks_of(live.label).turns_wait:
        return replace(_TURNS, wakes=open_runs.is_known)
    return replace(_CALLBACKS, wakes=open_runs.is_known) if open_runs.callbacks_wait else None


def knows_keys(context: Context) -> bool:
    """Returns True if the gate has digests of the App's current Access Keys, or needs none."""
    keys = context.snapshot.secrets.access_keys
    return not environment.app_as_served(context).spec.is_private or (
        keys.presence is KeysPresence.PRESENT and context.snapshot.secrets.gate_keys == keys.version
    )


def runs_target(context: Context) -> bool:
    """Returns True if the serving workload makes the target's pods."""
    return context.serving == context.label and (context.is_rolled or context.workload is None)
