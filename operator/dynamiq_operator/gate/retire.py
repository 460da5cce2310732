"""Takes the gate out of service before an uninstall: `python -m dynamiq_operator retire-gate`, and a Job before `helm uninstall`.

A sleeping App has no pod, and its callers are routed to the gate. Without replicas the gate is down, and the operator wakes every App.
Meanwhile the gate's pods finish their calls. Once no slice leads to the gate it is not needed any more. If that takes too long, or this
command is interrupted, the gate gets its replicas back: Apps must not be left unserved.
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
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import SLICES, WORKLOADS
from dynamiq_operator.model import names

CHECKED_EVERY = 1.0
SETTLED_AFTER = 3
"""Consecutive checks without a route to the gate. When the gate stops, the operator may be about to put an App to sleep."""
OWN = f"{names.SERVICE_OF_SLICE_LABEL}={names.GATE_SERVICE}"

log = logging.getLogger(__name__)


def until_retired(namespace: str, within: float, kubeconfig: Path | None = None, context: str | None = None) -> bool:
    """Returns the result of `retire`; False if SIGTERM or SIGINT ended it, as for a drained node or Ctrl-C."""

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
    namespace: str, within: float, kubeconfig: Path | None = None, context: str | None = None, checked_every: float = CHECKED_EVERY
) -> bool:
    """Returns True if the gate of this namespace is out of service, or there is none. `within`, `checked_every`: seconds.

    Raises errors.ApiError if the gate cannot be read or scaled, and kubernetes.aio.config.ConfigException without a configuration.
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
            asleep = await _until_unrouted(client, namespace, within, checked_every)
            retired = not asleep
        finally:
            if not retired:
                await _scale(client, namespace, before)
                log.info("the gate is back, with %d replicas", before)
        if retired:
            log.info("no App needs the gate any more: it can be deleted")
        else:
            log.error("%d Apps still need the gate after %.0f s, such as %s. Does the operator run?", len(asleep), within, asleep[0])
        return retired


async def _scale(client: Client, namespace: str, replicas: int) -> None:
    patch = {"spec": {"replicas": replicas}}
    await client.patch(WORKLOADS, namespace, names.GATE_SERVICE, patch, subresource="scale", manager=names.GATE_MANAGER)


async def _until_unrouted(client: Client, namespace: str, within: float, checked_every: float) -> list[str]:
    """Returns the Services that still lead to the gate after `within` seconds; none as soon as none does."""
    until, quiet = monotonic() + within, 0
    while True:
        services = await _routes_to_gate(client, namespace)
        quiet = 0 if services else quiet + 1
        if quiet == SETTLED_AFTER:
            return []
        if monotonic() > until:
            return services or ["none that is known"]
        await asyncio.sleep(checked_every)


async def _routes_to_gate(client: Client, namespace: str) -> list[str]:
    """Returns what leads to the gate: Services of Apps, and its own while one of its pods is ready.

    If the API server cannot be read, the error counts as a route.
    """
    try:
        apps = [each async for page in client.pages(SLICES, label=names.GATE_LABEL) for each in page["items"]]
        own = [each async for page in client.pages(SLICES, namespace, label=OWN) for each in page["items"]]
    except errors.ApiError as error:
        log.warning("cannot read which Apps need the gate, trying again: %s", error)
        return [str(error)]
    return [_service(each) for each in apps if leads_to_gate(each)] + [_service(each) for each in own if _has_ready(each)]


def _service(raw: Mapping[str, Any]) -> str:
    labels = raw["metadata"].get("labels") or {}
    return f"{raw['metadata'].get('namespace', '')}/{labels.get(names.SERVICE_OF_SLICE_LABEL, '')}"


def _has_ready(raw: Mapping[str, Any]) -> bool:
    return any(is_ready(each) for each in raw.get("endpoints") or ())
