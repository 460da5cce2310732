"""Watches one Lease, so that a follower learns of each change at once. It writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.informer import attempt, watch
from dynamiq_operator.kube.resources import LEASES
from dynamiq_operator.kube.watching import WatchState
from dynamiq_operator.model.objects import Manifest

LASTS = 300
"""Seconds after which a watch is opened anew."""


class LeaseWatch:
    """A watch of the Lease `namespace`/`name`. `observe`: called with each of its states. `pause`: seconds before it is opened again."""

    def __init__(self, client: Client, namespace: str, name: str, pause: float, observe: Callable[[Manifest], None]) -> None:
        lease = replace(LEASES, field_selector=f"metadata.name={name}")
        self._state = WatchState(lease, namespace, lasts=LASTS)
        self._client, self._pause, self._observe = client, pause, observe
        self.is_open = False

    async def run(self) -> None:
        """Watches until cancelled. No error ends it: meanwhile the follower reads the lease itself."""
        while True:
            # Without a resourceVersion it begins with the current Lease, so no change in between is missed.
            self._state.version = ""
            async with attempt(self._state, Exception), watch(self._client, self._state) as events:
                self.is_open = True
                async for _, event in events:
                    if event["type"] == "DELETED":
                        break
                    self._observe(event["object"])
            self.is_open = False
            await asyncio.sleep(self._pause)
