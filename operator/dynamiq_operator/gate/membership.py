"""Keeps the gate's addresses in the slices of sleeping Apps: its own while it serves them, and none of a dead replica.

Each replica decides by itself, and only overwrites the version that it has seen. It joins a slice once its port is bound and, for a private
App, once the keys are known. The last address of a slice is never removed: something may still answer there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from ipaddress import ip_address
from time import monotonic, time
from typing import Any

from dynamiq_operator.desired.endpoints import is_ready
from dynamiq_operator.gate.directory import Directory
from dynamiq_operator.gate.front import GATHERS, Front
from dynamiq_operator.gate.slices import Sleeper, pod_uid
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import SLICES, Key
from dynamiq_operator.model import names
from dynamiq_operator.model.json_lines import FIELDS
from dynamiq_operator.model.objects import Manifest

DEAD_AFTER = 3.0
"""Seconds for which a replica is not ready before its address is removed. It joins again by itself."""
REFUSED_EVERY = 30
"""Seconds between two reports of refused keys of an App."""
CHECKED_EVERY = 0.5
WRITES_AT_ONCE = 16

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Replica:
    """This pod of the gate. `addresses`: one for each IP family that it has."""

    namespace: str
    name: str
    uid: str
    addresses: tuple[str, ...]
    node: str

    def endpoint(self, address_type: str) -> Manifest | None:
        """Returns this pod as an endpoint of a slice; None if it has no address of that family."""
        version = {"IPv4": 4, "IPv6": 6}.get(address_type)
        address = next((each for each in self.addresses if ip_address(each).version == version), None)
        if address is None:
            return None
        return {
            "addresses": [address],
            "conditions": {"ready": True},
            "targetRef": {"kind": "Pod", "namespace": self.namespace, "name": self.name, "uid": self.uid},
            "nodeName": self.node,
        }


class Membership:
    """The writer of gate slices' endpoints. `clock`: monotonic seconds; `wall`: seconds since 1970."""

    def __init__(
        self,
        client: Client,
        directory: Directory,
        front: Front,
        replica: Replica,
        dead_after: float = DEAD_AFTER,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        self._client, self._directory, self._front, self._replica = client, directory, front, replica
        self._dead_after, self._clock, self._wall = dead_after, clock, wall
        self._missing: dict[tuple[str, str], float] = {}
        """Since when a replica in a slice has not been ready, by slice and pod."""
        self._refused: dict[str, str] = {}
        """When a key was last refused in a slice, by its uid; in the form of the hostname of this replica's endpoint."""
        self._was_ready = False
        self._is_leaving = False
        self._news = asyncio.Event()
        self.is_settled = False
        """True if this replica was once in every slice that it could join."""
        directory.on_change(lambda _: self._news.set())
        front.on_bound(self._news.set)
        front.on_wrong_key(self._note_wrong_key)

    async def run(self) -> None:
        """Writes changed endpoints until it is cancelled."""
        await self._front.bound.wait()
        while True:
            self._news.clear()
            writes = self._pending_writes()
            self.is_settled = self.is_settled or not writes
            slots = asyncio.Semaphore(WRITES_AT_ONCE)
            failed = not all(await asyncio.gather(*(self._write(key, endpoints, slots) for key, endpoints in writes.items())))
            await asyncio.sleep(CHECKED_EVERY if failed else GATHERS)
            if failed:
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECKED_EVERY):
                    await self._news.wait()

    def _note_wrong_key(self, app: Sleeper) -> None:
        """Reports to the operator that the App's keys may have changed, through the slice: the operator may not watch Secrets."""
        note = f"refused-{int(self._wall()) // REFUSED_EVERY}"
        if self._refused.get(app.uid) != note:
            self._refused[app.uid] = note
            self._news.set()

    def leave(self) -> None:
        """Removes this replica's address from now on, wherever there is another one."""
        self._is_leaving = True
        self._news.set()

    @property
    def is_in_no_slice(self) -> bool:
        """True if no slice routes callers here."""
        return not any(self._is_in(key) for key in self._directory.sleepers)

    def _is_in(self, key: Key) -> bool:
        raw = self._directory.slice(key)
        return raw is not None and any(pod_uid(each) == self._replica.uid for each in raw.get("endpoints") or [])

    def _pending_writes(self) -> dict[Key, list[Manifest]]:
        ready = self._directory.ready_replicas
        self._was_ready = self._was_ready or self._replica.uid in ready
        seen: dict[tuple[str, str], float] = {}
        writes = {}
        for key, app in self._directory.sleepers.items():
            if (raw := self._directory.slice(key)) is None:
                continue
            current = raw.get("endpoints") or []
            desired = self._endpoints(app, current, self._dead(app, current, ready, seen))
            if desired is not None and _essence(desired) != _essence(current):
                writes[key] = desired
        self._missing = seen
        uids = {app.uid for app in self._directory.sleepers.values()}
        self._refused = {uid: note for uid, note in self._refused.items() if uid in uids}
        return writes

    def _dead(self, app: Sleeper, current: list[Manifest], ready: Set[str], seen: dict[tuple[str, str], float]) -> set[str]:
        """Returns the uids of other replicas in a slice that have not been ready for too long; none while no replica is ready."""
        dead = set()
        for uid in map(pod_uid, current):
            if ready and uid not in ready and uid != self._replica.uid:
                since = seen[app.uid, uid] = self._missing.get((app.uid, uid), self._clock())
                if self._clock() - since >= self._dead_after:
                    dead.add(uid)
        return dead

    def _endpoints(self, app: Sleeper, current: list[Manifest], dead: set[str]) -> list[Manifest] | None:
        """Returns the endpoints that a slice should have; None to leave them."""
        mine = self._mine(app, current)
        own = [] if mine is None else mine["addresses"]
        others = [each for each in current if pod_uid(each) != self._replica.uid and each.get("addresses") != own]
        alive = [each for each in others if pod_uid(each) not in dead]
        is_in = any(pod_uid(each) == self._replica.uid for each in current)
        if self._is_leaving:
            desired = alive
        elif mine is not None and (self._may_join(app) or (is_in and self._front.serves(app))):
            desired = [*alive, mine]
        else:
            # This replica does not serve the slice: its address there dates from a time when it did.
            desired = alive
        return desired or None  # an address has to stay until another replica, or the App itself, answers

    def _mine(self, app: Sleeper, current: list[Manifest]) -> Manifest | None:
        """Returns this replica as an endpoint, with its latest note on refused keys."""
        mine = self._replica.endpoint(app.address_type)
        before = next((each.get("hostname") for each in current if pod_uid(each) == self._replica.uid), None)
        note = self._refused.get(app.uid, before)
        return mine if mine is None or note is None else {**mine, "hostname": note}

    def _may_join(self, app: Sleeper) -> bool:
        if not self._front.serves(app) or (app.note.private and not self._directory.has_keys(app)):
            return False
        # Others removed its address when they saw it as not ready. It waits until Kubernetes reports it as ready.
        return not self._was_ready or self._replica.uid in self._directory.ready_replicas

    async def _write(self, key: Key, endpoints: list[Manifest], slots: asyncio.Semaphore) -> bool:
        """Writes a slice. Returns False if the write has to be repeated."""
        raw = self._directory.slice(key)
        if raw is None:
            return True
        patch = {"metadata": {"resourceVersion": raw["metadata"]["resourceVersion"]}, "endpoints": endpoints}
        fields = {"namespace": key[0], "slice": key[1]}
        async with slots:
            try:
                written = await self._client.patch(SLICES, *key, patch, manager=names.GATE_MANAGER)
            except (errors.Conflict, errors.NotFound):
                return True  # the watch is about to deliver the newer version
            except errors.ApiError as error:
                log.warning("a slice could not be written, trying again: %s", error, extra={FIELDS: fields})
                return False
        self._directory.note_slice(written)
        replicas = sorted(str((each.get("targetRef") or {}).get("name", "")) for each in endpoints)
        log.info("a slice leads to replicas", extra={FIELDS: {**fields, "replicas": replicas}})
        return True


def _essence(endpoints: list[Mapping[str, Any]] | list[Manifest]) -> list[tuple[Any, ...]]:
    """Returns the relevant parts of endpoints, sorted: the API server may add fields."""
    return sorted(
        (
            tuple(each.get("addresses") or ()),
            pod_uid(each),
            is_ready(each),
            each.get("hostname") or "",
        )
        for each in endpoints
    )
