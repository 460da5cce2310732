"""Watches one Lease, so that a follower learns of each change at once. It writes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import orjson

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import LEASES
from dynamiq_operator.model.objects import Manifest

LASTS = 300
"""Seconds after which a watch is opened anew."""
_GRACE = 10.0

log = logging.getLogger(__name__)


class LeaseWatch:
    """A watch of the Lease `namespace`/`name`. `observe`: called with each of its states. `pause`: seconds before it is opened again."""

    def __init__(self, client: Client, namespace: str, name: str, pause: float, observe: Callable[[Manifest], None]) -> None:
        self._client, self._namespace, self._name = client, namespace, name
        self._pause, self._observe = pause, observe
        self._is_reported = False
        self.is_open = False

    async def run(self) -> None:
        """Watches until cancelled. No error ends it: meanwhile the follower reads the lease itself."""
        while True:
            try:
                await self._watch()
            except errors.ApiError as error:
                if not self._is_reported:
                    log.warning("the lease %s/%s cannot be watched, so it is polled instead: %s", self._namespace, self._name, error)
                self._is_reported = True
            except Exception:
                log.exception("the watch of the lease %s/%s ended", self._namespace, self._name)
            self.is_open = False
            await asyncio.sleep(self._pause)

    async def _watch(self) -> None:
        # Without a resourceVersion it begins with the current Lease, so no change in between is missed.
        query: dict[str, str | int] = {"watch": "true", "fieldSelector": f"metadata.name={self._name}", "timeoutSeconds": LASTS}
        async with self._client.watch(LEASES.path(self._namespace), query, LASTS + _GRACE) as lines:
            self.is_open, self._is_reported = True, False
            async for line in lines:
                event = orjson.loads(line)
                if event.get("type") not in ("ADDED", "MODIFIED"):
                    return
                self._observe(event["object"])
