"""Who works: one of the operator's replicas at a time, by a Lease.

Another's lease has expired when it has not changed for its duration by the local monotonic clock: clocks of two machines
are never compared. A lease does not fence a paused holder; writes that must be fenced are guarded by resourceVersion.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dynamiq_operator.cluster import errors
from dynamiq_operator.cluster.client import Client
from dynamiq_operator.cluster.resources import LEASES
from dynamiq_operator.model.objects import Manifest

DURATION = 15.0
RENEW_WITHIN = 10.0
RETRY = 2.0
"""Seconds: a lease lasts, its holder goes on without having renewed it, and between two tries."""

log = logging.getLogger(__name__)


class Lease:
    """The Lease `namespace`/`name`, taken or awaited in the name of `identity`."""

    def __init__(self, client: Client, namespace: str, name: str, identity: str) -> None:
        self._client = client
        self._namespace, self._name, self._identity = namespace, name, identity
        self._seen: str | None = None
        self._seen_at = 0.0
        self._raw: Manifest | None = None

    async def acquire(self) -> None:
        """Waits until the lease is ours."""
        waiting_for: str | None = None
        while True:
            try:
                holder = await self._try()
            except errors.ApiError as error:
                log.warning("the lease %s/%s cannot be taken: %s", self._namespace, self._name, error)
                holder = ""
            if holder == self._identity:
                return
            if holder and holder != waiting_for:
                log.info("standing by: %s holds the lease %s/%s", holder, self._namespace, self._name)
                waiting_for = holder
            await asyncio.sleep(RETRY)

    async def hold(self, lost: Callable[[], None]) -> None:
        """Renews the lease until cancelled; calls `lost` once when it is another's or could not be renewed in time."""
        renewed = _monotonic()
        while True:
            await asyncio.sleep(RETRY)
            try:
                holder = await asyncio.wait_for(self._try(), max(renewed + RENEW_WITHIN - _monotonic(), 0.1))
                if holder == self._identity:
                    renewed = _monotonic()
                    continue
                log.error("the lease is held by %s now", holder)
            except (errors.ApiError, TimeoutError) as error:
                if _monotonic() - renewed < RENEW_WITHIN:
                    log.warning("the lease could not be renewed, trying again: %s", error)
                    continue
                log.error("the lease could not be renewed for %.0f s", RENEW_WITHIN)  # noqa: TRY400 - an expected end, no bug
            lost()
            return

    async def release(self) -> None:
        """Gives the lease up, so that another replica takes over at once."""
        if self._raw is None or self._raw["spec"].get("holderIdentity") != self._identity:
            return
        try:
            await self._write({**self._raw["spec"], "holderIdentity": "", "leaseDurationSeconds": 1})
        except errors.ApiError as error:
            log.warning("the lease could not be released: %s", error)

    async def _try(self) -> str:
        """Takes or renews the lease where that is possible; returns who holds it."""
        try:
            self._raw = await self._client.get(LEASES, self._namespace, self._name)
        except errors.NotFound:
            return await self._create()
        spec = self._raw["spec"]
        holder = spec.get("holderIdentity") or ""
        version = self._raw["metadata"]["resourceVersion"]
        if version != self._seen:
            self._seen, self._seen_at = version, _monotonic()
        expired = _monotonic() - self._seen_at > (spec.get("leaseDurationSeconds") or DURATION)
        if holder and holder != self._identity and not expired:
            return str(holder)
        taken = {"leaseTransitions": (spec.get("leaseTransitions") or 0) + 1, "acquireTime": _now()} if holder != self._identity else {}
        try:
            await self._write(
                {**spec, **taken, "holderIdentity": self._identity, "leaseDurationSeconds": int(DURATION), "renewTime": _now()}
            )
        except errors.Conflict:
            return ""
        return self._identity

    async def _create(self) -> str:
        spec = {"holderIdentity": self._identity, "leaseDurationSeconds": int(DURATION), "acquireTime": _now(), "renewTime": _now()}
        manifest: dict[str, Any] = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": spec,
        }
        try:
            self._raw = await self._client.create(LEASES, manifest)
        except errors.AlreadyExists:
            return ""
        return self._identity

    async def _write(self, spec: dict[str, Any]) -> None:
        assert self._raw is not None  # noqa: S101 - for the type checker: it is read before it is written
        path = LEASES.path(self._namespace, self._name)
        self._raw = await self._client.request("PUT", path, body={**self._raw, "spec": spec})


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
