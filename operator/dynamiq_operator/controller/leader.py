"""Who works: one of the operator's replicas at a time, by a Lease.

Another's lease has expired when it has not changed for its duration by the local monotonic clock: clocks of two machines
are never compared. `require` stops a holder that was paused, or cut off, before it writes anything more; a request that was
on its way already is not fenced by a lease, so writes that must be are guarded by resourceVersion as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dynamiq_operator.controller.client import Client
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import LEASES
from dynamiq_operator.model.objects import Manifest

DURATION = 15.0
RENEW_WITHIN = 10.0
RETRY = 2.0
"""Seconds: a lease lasts, its holder goes on without having renewed it, and between two tries."""
RELEASE_TRIES = 3

log = logging.getLogger(__name__)


class Lease:
    """The Lease `namespace`/`name`, taken or awaited in the name of `identity`."""

    def __init__(self, client: Client, namespace: str, name: str, identity: str) -> None:
        self._client = client
        self._namespace, self._name, self.identity = namespace, name, identity
        self._seen: str | None = None
        self._seen_at = 0.0
        self._renewed_at = -DURATION
        self._raw: Manifest | None = None

    def require(self) -> None:
        """Raises errors.LostLease where the lease was not renewed lately: another may hold it by now."""
        if _monotonic() - self._renewed_at > RENEW_WITHIN:
            raise errors.LostLease

    async def acquire(self) -> None:
        """Waits until the lease is ours."""
        waiting_for: str | None = None
        while True:
            try:
                holder = await self._try()
            except errors.ApiError as error:
                log.warning("the lease %s/%s cannot be taken: %s", self._namespace, self._name, error)
                holder = ""
            except Exception:
                log.exception("the lease %s/%s cannot be taken", self._namespace, self._name)
                holder = ""
            if holder == self.identity:
                return
            if holder and holder != waiting_for:
                log.info("standing by: %s holds the lease %s/%s", holder, self._namespace, self._name)
                waiting_for = holder
            await asyncio.sleep(RETRY)

    async def hold(self, lost: Callable[[], None]) -> None:
        """Renews the lease until cancelled; calls `lost` once when it is another's or could not be renewed in time."""
        while True:
            await asyncio.sleep(RETRY)
            try:
                holder = await asyncio.wait_for(self._try(), max(self._renewed_at + RENEW_WITHIN - _monotonic(), 0.1))
                if holder == self.identity:
                    continue
                log.error("the lease is held by %s now", holder)
            except (errors.ApiError, TimeoutError) as error:
                if _monotonic() - self._renewed_at < RENEW_WITHIN:
                    log.warning("the lease could not be renewed, trying again: %s", error)
                    continue
                log.error("the lease could not be renewed for %.0f s", RENEW_WITHIN)  # noqa: TRY400 - an expected end, no bug
            except Exception:  # whoever holds a lease and does not renew it must stop, whatever the cause
                log.exception("the lease could not be renewed")
            lost()
            return

    async def release(self) -> None:
        """Gives the lease up, so that another replica takes over at once."""
        self._renewed_at = -DURATION
        for _ in range(RELEASE_TRIES):
            try:
                # Read anew each time: a renewal that was under way when the work ended may be carried out at any moment.
                self._raw = await self._client.get(LEASES, self._namespace, self._name)
                spec = self._raw.get("spec") or {}
                if spec.get("holderIdentity") == self.identity:
                    await self._write({**spec, "holderIdentity": "", "leaseDurationSeconds": 1})
            except errors.NotFound:
                return
            except errors.Conflict:
                continue
            except errors.ApiError as error:
                log.warning("the lease could not be released: %s", error)
            return

    async def _try(self) -> str:
        """Takes or renews the lease where that is possible; returns who holds it."""
        began = _monotonic()
        holder = await self._take()
        if holder == self.identity:
            self._renewed_at = began
        return holder

    async def _take(self) -> str:
        try:
            self._raw = await self._client.get(LEASES, self._namespace, self._name)
        except errors.NotFound:
            return await self._create()
        spec = self._raw.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        version = self._raw["metadata"]["resourceVersion"]
        if version != self._seen:
            self._seen, self._seen_at = version, _monotonic()
        expired = _monotonic() - self._seen_at > (spec.get("leaseDurationSeconds") or DURATION)
        if holder and holder != self.identity and not expired:
            return str(holder)
        taken = {"leaseTransitions": (spec.get("leaseTransitions") or 0) + 1, "acquireTime": _now()} if holder != self.identity else {}
        try:
            await self._write(
                {**spec, **taken, "holderIdentity": self.identity, "leaseDurationSeconds": int(DURATION), "renewTime": _now()}
            )
        except errors.Conflict:
            return ""
        return self.identity

    async def _create(self) -> str:
        spec = {"holderIdentity": self.identity, "leaseDurationSeconds": int(DURATION), "acquireTime": _now(), "renewTime": _now()}
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
        return self.identity

    async def _write(self, spec: dict[str, Any]) -> None:
        assert self._raw is not None  # noqa: S101 - for the type checker: it is read before it is written
        path = LEASES.path(self._namespace, self._name)
        self._raw = await self._client.request("PUT", path, body={**self._raw, "spec": spec})


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
