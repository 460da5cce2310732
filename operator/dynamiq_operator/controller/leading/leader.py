"""Elects one leader among the operator's replicas, by a Lease of the API. Only the leader reconciles; the others follow. It does none of
the work.

A follower watches the Lease, so it takes over as soon as the lease is released or has expired. A lease has expired when it has not changed
for its duration, by the local monotonic clock: clocks of two machines are never compared. `require_leadership` stops a leader that was
paused or cut off before its next write, and `left_to_write` ends its requests before another replica can lead. A request that has left this
machine may still arrive later: every write names what it was decided from, see `fenced.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dynamiq_operator.controller.leading.lease_watch import LeaseWatch
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import LEASES
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest, format_time, parse_time

RELEASE_ATTEMPTS = 3
WRITES_END_BEFORE = 1.0
"""Seconds before another replica can lead at which all writes of this one must have ended."""
RETRY_LEAST = 0.1
"""The least share of the retry period between two attempts."""
MISSED_RENEWALS = 2
"""Renewals that a follower may miss before it reads the lease: the leader may have died, or the watch."""
EVERYWHERE = "*"
UNATTENDED_AFTER = 2
"""Lease durations without a renewal after which no replica can have worked: a takeover is over long before."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The clock that goes on while the machine is suspended, as a lease does. Linux's monotonic clock stops."""

log = logging.getLogger(__name__)


class LeadershipLost(Exception):  # noqa: N818
    """An error: another replica may lead by now."""


@dataclass(frozen=True)
class Timing:
    """Times in seconds. `lease_duration`: of a lease. `renew_deadline`: for which a leader continues without a renewal. `retry_period`:
    between two attempts. `attempt`: for which an attempt may last.
    """

    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0
    attempt: float = 3.0


class LeaderElection:
    """An election by the Lease `namespace`/`name`, with this replica as the candidate `identity`. `clock`: monotonic seconds.

    `serves`: the namespaces that it serves, the same for all candidates of one election; `*` is all. The Lease notes it.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        timing: Timing = Timing(),
        clock: Callable[[], float] = lambda: time.clock_gettime(_CLOCK),
        serves: str = EVERYWHERE,
    ) -> None:
        self._client = client
        self._namespace, self._name, self.identity = namespace, name, identity
        self._timing, self._clock, self._serves = timing, clock, serves
        self._observed_version: str | None = None
        self._observed_at = self._observed_duration = 0.0
        self._observed_holder = ""
        self._changed = asyncio.Event()
        self._renewed_at: float | None = None
        self._raw: Manifest | None = None
        self.notes: Callable[[], Mapping[str, str]] = dict
        """Called at each renewal for annotations of the Lease, which cost no request of their own."""

    def require_leadership(self) -> None:
        """Raises LeadershipLost if the lease was not renewed within the deadline: another replica may lead by now."""
        if not self.leads:
            raise LeadershipLost

    @property
    def leads(self) -> bool:
        """True while no other replica can lead."""
        return self._since_renewal() <= self._timing.renew_deadline

    def left_to_write(self) -> float:
        """Returns the seconds within which a write that is sent now has to end.

        Raises LeadershipLost.
        """
        self.require_leadership()
        return self._timing.lease_duration - WRITES_END_BEFORE - self._since_renewal()

    @property
    def unattended_until(self) -> datetime | None:
        """When a replica led again after a time in which none could; None if there was no such time. The Lease notes it."""
        return _time(self.annotations.get(names.UNATTENDED_ANNOTATION))

    @property
    def annotations(self) -> Mapping[str, str]:
        """Annotations of the Lease, as it was read or written last."""
        return (self._raw or {}).get("metadata", {}).get("annotations") or {}

    async def acquire(self) -> None:
        """Returns when this replica leads."""
        following: str | None = None
        watch = LeaseWatch(self._client, self._namespace, self._name, self._timing.retry_period, self._observe)
        watching: asyncio.Task[None] | None = None
        try:
            while True:
                began = self._clock()
                if (leader := await self._try()) == self.identity:
                    return
                if leader and leader != following:
                    log.info("following: %s holds the lease %s/%s", leader, self._namespace, self._name)
                    self._compare_scopes(leader)
                    following = leader
                watching = watching or asyncio.create_task(watch.run())
                await self._wait(leader, watch, self._clock() - began)
        finally:
            if watching is not None:
                watching.cancel()

    def _compare_scopes(self, leader: str) -> None:
        """Logs an error if the leader serves other namespaces: what only this replica would do is not done."""
        serves = self.annotations.get(names.SERVES_ANNOTATION, self._serves)  # an older version notes none
        if serves != self._serves:
            log.error(
                "%s serves other namespaces (%s) than this replica (%s), so only one of the two works at a time. Give operators of"
                " different namespaces a lease each (--lease-name)",
                *(leader, serves, self._serves),
            )

    async def _try(self) -> str:
        """Returns who holds the lease after an attempt to take it; empty if that is unknown."""
        try:
            return await self._acquire_or_renew()
        except errors.ApiError as error:
            log.warning("the lease %s/%s cannot be taken: %s", self._namespace, self._name, error)
        except Exception:
            log.exception("the lease %s/%s cannot be taken", self._namespace, self._name)
        return ""

    async def _wait(self, leader: str, watch: LeaseWatch, took: float) -> None:
        """Waits until the lease is released, has expired, or was not renewed for some time. Without a watch or a leader, it waits for a
        retry period.

        `took`: seconds of the attempt before, which count towards that period.
        """
        retry = self._timing.retry_period
        silence = retry * MISSED_RENEWALS if leader and watch.is_open else max(retry - took, retry * RETRY_LEAST)
        while not leader or self._observed_holder:
            until_expired = self._observed_at + self._observed_duration - self._clock() if leader else silence
            self._changed.clear()
            try:
                async with asyncio.timeout(max(min(silence, until_expired), 0)):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _observe(self, raw: Manifest) -> None:
        """Notes a state of the lease, and when it was first seen."""
        spec = raw.get("spec") or {}
        if (version := raw["metadata"]["resourceVersion"]) == self._observed_version:
            return
        self._observed_version, self._observed_at = version, self._clock()
        self._observed_holder = spec.get("holderIdentity") or ""
        self._observed_duration = spec.get("leaseDurationSeconds") or self._timing.lease_duration
        self._changed.set()

    async def renew_until_lost(self, on_lost: Callable[[], None]) -> None:
        """Renews the lease until cancelled; calls `on_lost` once if another replica holds it or it was not renewed in time."""
        while True:
            await asyncio.sleep(self._timing.retry_period)
            try:
                remaining = self._timing.renew_deadline - self._since_renewal()
                leader = await asyncio.wait_for(self._acquire_or_renew(), max(remaining, 0.1))
                if leader == self.identity:
                    continue
                if not leader and remaining > 0:
                    log.warning("another replica wrote the lease at the same time, trying again")
                    continue
                log.error("the lease is held by %s now", leader or "an unknown holder")
            except (errors.ApiError, TimeoutError) as error:
                if self._since_renewal() < self._timing.renew_deadline:
                    log.warning("the lease could not be renewed, trying again: %s", error)
                    continue
                log.error("the lease could not be renewed for %.0f s", self._timing.renew_deadline)  # noqa: TRY400 - an expected end, no bug
            except Exception:  # a leader that does not renew its lease must stop, whatever the cause
                log.exception("the lease could not be renewed")
            self._renewed_at = None  # what is under way writes nothing more, however lately the lease was renewed
            on_lost()
            return

    async def release(self) -> None:
        """Releases the lease, so that another replica leads at once."""
        self._renewed_at = None
        for _ in range(RELEASE_ATTEMPTS):
            try:
                # Read anew each time: a renewal that was under way when the work ended may arrive at any moment.
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

    def _since_renewal(self) -> float:
        return float("inf") if self._renewed_at is None else self._clock() - self._renewed_at

    async def _acquire_or_renew(self) -> str:
        """Takes or renews the lease if that is possible; returns who holds it, empty if that is unknown."""
        began = self._clock()
        try:
            async with asyncio.timeout(self._timing.attempt):
                leader = await self._take()
        except TimeoutError as error:
            raise errors.Unavailable(f"the lease {self._namespace}/{self._name}: no answer") from error
        if leader == self.identity:
            self._renewed_at = began
        return leader

    async def _take(self) -> str:
        try:
            self._raw = await self._client.get(LEASES, self._namespace, self._name)
        except errors.NotFound:
            return await self._create()
        self._observe(self._raw)
        spec = self._raw.get("spec") or {}
        leader = spec.get("holderIdentity") or ""
        expired = self._clock() - self._observed_at > self._observed_duration
        if leader and leader != self.identity and not expired:
            return str(leader)
        taken = {"leaseTransitions": (spec.get("leaseTransitions") or 0) + 1, "acquireTime": _now()} if leader != self.identity else {}
        self._note_unattended(spec.get("renewTime"))
        try:
            await self._write({**spec, **taken, **self._held()})
        except errors.Conflict:
            return ""
        return self.identity

    def _note_unattended(self, renewed: str | None) -> None:
        """Notes on the lease, for the next write, that no replica could work until now, if it was not renewed for long."""
        assert self._raw is not None  # noqa: S101 - for the type checker: it is read before it is written
        now = datetime.now(UTC)
        known = _time(renewed)
        if known is not None and (now - known).total_seconds() < UNATTENDED_AFTER * self._timing.lease_duration:
            return
        meta = self._raw["metadata"]
        noted = {**(meta.get("annotations") or {}), names.UNATTENDED_ANNOTATION: format_time(now)}
        self._raw = {**self._raw, "metadata": {**meta, "annotations": noted}}

    async def _create(self) -> str:
        manifest: dict[str, Any] = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {
                "name": self._name,
                "namespace": self._namespace,
                "annotations": {
                    names.UNATTENDED_ANNOTATION: format_time(datetime.now(UTC)),
                    names.SERVES_ANNOTATION: self._serves,
                },
            },
            "spec": {"acquireTime": _now(), **self._held()},
        }
        try:
            self._raw = await self._client.create(LEASES, manifest)
        except errors.AlreadyExists:
            return ""
        return self.identity

    def _held(self) -> Manifest:
        return {"holderIdentity": self.identity, "leaseDurationSeconds": int(self._timing.lease_duration), "renewTime": _now()}

    async def _write(self, spec: dict[str, Any]) -> None:
        assert self._raw is not None  # noqa: S101 - for the type checker: it is read before it is written
        path = LEASES.path(self._namespace, self._name)
        meta = self._raw["metadata"]
        noted = {**(meta.get("annotations") or {}), names.SERVES_ANNOTATION: self._serves, **self.notes()}
        self._raw = await self._client.request("PUT", path, body={**self._raw, "metadata": {**meta, "annotations": noted}, "spec": spec})


def _time(text: str | None) -> datetime | None:
    """Returns a time of the Lease; None if it is missing, or another writer made it unreadable."""
    with contextlib.suppress(ValueError):
        return parse_time(text) if text else None
    return None


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
