"""Takes the gate out of service before it is uninstalled: `python -m dynamiq_operator retire-gate`, and a Job of the chart before `helm uninstall`.

An App that sleeps has no pod, and its callers are led to the gate. Without replicas the gate is down, for which the operator wakes every App;
the gate's pods go on meanwhile with the calls that they have. Once no slice leads to the gate nobody misses it. Where that takes too long, as
with an operator that does not run, or where this is ended meanwhile, the gate gets its replicas back: better an installation that stays than Apps that
nobody serves.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from dynamiq_operator.desired.endpoints import is_ready
from dynamiq_operator.desired.gate_slice import leads_to_gate
from dynamiq_operator.gate.waking import WORKLOADS
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import SLICES
from dynamiq_operator.model import names

LOOKED_EVERY = 1.0
SETTLED_AFTER = 3
"""Consecutive looks at which nobody is led to the gate: the operator may be about to put an App to sleep when the gate goes down."""
OWN = f"{names.SERVICE_OF_SLICE_LABEL}={names.GATE_SERVICE}"

log = logging.getLogger(__name__)


def until_retired(namespace: str, within: float, kubeconfig: Path | None = None, context: str | None = None) -> bool:
    """What `retire` says, or False once SIGTERM or SIGINT has ended it: a node is drained, or somebody has pressed Ctrl-C."""

    async def ended_by_signals() -> bool:
        retiring = asyncio.ensure_future(retire(namespace, within, kubeconfig, context))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, retiring.cancel)
        return await retiring

    try:
        return asyncio.run(ended_by_signals())
    except asyncio.CancelledError:
        return False


async def retire(
    namespace: str, within: float, kubeconfig: Path | None = None, context: str | None = None, looked_every: float = LOOKED_EVERY
) -> bool:
    """Whether the gate of this namespace is out of service, which is so at once where there is none. `within`, `looked_every`: seconds.

    Raises errors.ApiError where the gate cannot be read or scaled, and kubernetes.aio.config.ConfigException without a configuration.
    """
    async with await Client.connect(kubeconfig, context) as client:
        try:
            path = WORKLOADS.path(namespace, names.GATE_SERVICE, "scale")
            before = (await client.request("GET", path))["spec"].get("replicas", 0)
        except errors.NotFound:
            log.info("there is no gate in namespace %s", namespace)
            return True
        await _scale(client, namespace, 0)
        log.info("the gate has no replicas any more: the operator wakes every App that sleeps")
        retired = False
        try:
            asleep = await _until_nobody_is_led_here(client, namespace, within, looked_every)
            retired = not asleep
        finally:
            if not retired:
                await _scale(client, namespace, before)
                log.info("the gate is back, with %d replicas", before)
        if retired:
            log.info("no App's callers are led to the gate: it may go")
        else:
            log.error("%d Apps still need the gate after %.0f s, such as %s. Does the operator run?", len(asleep), within, asleep[0])
        return retired


async def _scale(client: Client, namespace: str, replicas: int) -> None:
    patch = {"spec": {"replicas": replicas}}
    await client.patch(WORKLOADS, namespace, names.GATE_SERVICE, patch, subresource="scale", manager=names.GATE_MANAGER)


async def _until_nobody_is_led_here(client: Client, namespace: str, within: float, looked_every: float) -> list[str]:
    """The Services that still lead here at the end of that time; none where nobody does before."""
    until, quiet = monotonic() + within, 0
    while True:
        found = await _led_here(client, namespace)
        quiet = 0 if found else quiet + 1
        if quiet == SETTLED_AFTER:
            return []
        if monotonic() > until:
            return found or ["none that is known"]
        await asyncio.sleep(looked_every)


async def _led_here(client: Client, namespace: str) -> list[str]:
    """What still leads to the gate: Services of Apps, and its own while a pod of it is ready. What cannot be read now may be anything."""
    try:
        apps = [each async for page in client.pages(SLICES, label=names.GATE_LABEL) for each in page["items"]]
        own = [each async for page in client.pages(SLICES, namespace, label=OWN) for each in page["items"]]
    except errors.ApiError as error:
        log.warning("it cannot be read what leads to the gate, trying again: %s", error)
        return [str(error)]
    return [_service(each) for each in apps if leads_to_gate(each)] + [_service(each) for each in own if _has_ready(each)]


def _service(raw: Mapping[str, Any]) -> str:
    labels = raw["metadata"].get("labels") or {}
    return f"{raw['metadata'].get('namespace', '')}/{labels.get(names.SERVICE_OF_SLICE_LABEL, '')}"


def _has_ready(raw: Mapping[str, Any]) -> bool:
    return any(is_ready(each) for each in raw.get("endpoints") or ())
