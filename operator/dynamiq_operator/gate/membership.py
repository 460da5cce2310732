"""Keeps the gate's addresses in the slices of sleeping Apps: its own while it serves them, and no other replica's that is dead.

Each replica looks at every slice by itself, and writes only over the version that it has seen. It joins a slice once its port is bound, and,
of a private App, once it knows who may call. The last address of a slice is never taken away: while it is there somebody may still answer.
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
from dynamiq_operator.gate.slices import Key, Sleeper, pod_uid
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import SLICES
from dynamiq_operator.model import names
from dynamiq_operator.model.json_lines import FIELDS
from dynamiq_operator.model.objects import Manifest

DEAD_AFTER = 3.0
"""Seconds for which a replica in a slice is not ready before its address is taken away; it comes back by itself."""
REFUSED_EVERY = 30
"""Seconds for which nothing more is said of refused keys of an App."""
LOOKED_EVERY = 0.5
WRITES_AT_ONCE = 16

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Replica:
    """This pod of the gate. `addresses`: one of each family that it has."""

    namespace: str
    name: str
    uid: str
    addresses: tuple[str, ...]
    node: str

    def endpoint(self, address_type: str) -> Manifest | None:
        """This pod as an endpoint of a slice, None where it has no address of that family."""
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
    """Writes the endpoints of gate slices. `clock`: monotonic seconds, `wall`: those since 1970."""

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
        """By slice and pod: since when a replica in it has not been ready."""
        self._refused: dict[str, str] = {}
        """By a slice's uid, when a key was refused there last, as the hostname of this replica's endpoint says it."""
        self._was_ready = False
        self._is_leaving = False
        self._news = asyncio.Event()
        self.is_settled = False
        """Whether this replica was in every slice that it could be in, at some time."""
        directory.on_change(lambda _: self._news.set())
        front.on_bound(self._news.set)
        front.on_wrong_key(self._note_wrong_key)

    async def run(self) -> None:
        """Writes what is to be written, until it is cancelled."""
        await self._front.bound.wait()
        while True:
            self._news.clear()
            writes = self._wanted()
            self.is_settled = self.is_settled or not writes
            slots = asyncio.Semaphore(WRITES_AT_ONCE)
            failed = not all(await asyncio.gather(*(self._write(key, endpoints, slots) for key, endpoints in writes.items())))
            await asyncio.sleep(LOOKED_EVERY if failed else GATHERS)
            if failed:
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOKED_EVERY):
                    await self._news.wait()

    def _note_wrong_key(self, app: Sleeper) -> None:
        """Tells the operator, by what it watches anyway, that the App's keys may have changed: it may not watch Secrets."""
        said = f"refused-{int(self._wall()) // REFUSED_EVERY}"
        if self._refused.get(app.uid) != said:
            self._refused[app.uid] = said
            self._news.set()

    def leave(self) -> None:
        """Takes this replica's address away from now on, wherever another one is."""
        self._is_leaving = True
        self._news.set()

    @property
    def is_in_no_slice(self) -> bool:
        """Whether nobody is led here any more."""
        return not any(self._is_in(key) for key in self._directory.sleepers)

    def _is_in(self, key: Key) -> bool:
        raw = self._directory.slice(key)
        return raw is not None and any(pod_uid(each) == self._replica.uid for each in raw.get("endpoints") or [])

    def _wanted(self) -> dict[Key, list[Manifest]]:
        """The slices whose endpoints are to be written, with what they are to be."""
        ready = self._directory.ready_replicas
        self._was_ready = self._was_ready or self._replica.uid in ready
        seen: dict[tuple[str, str], float] = {}
        found = {}
        for key, app in self._directory.sleepers.items():
            if (raw := self._directory.slice(key)) is None:
                continue
            there = raw.get("endpoints") or []
            wanted = self._endpoints(app, there, self._dead(app, there, ready, seen))
            if wanted is not None and _essence(wanted) != _essence(there):
                found[key] = wanted
        self._missing = seen
        there_are = {app.uid for app in self._directory.sleepers.values()}
        self._refused = {uid: said for uid, said in self._refused.items() if uid in there_are}
        return found

    def _dead(self, app: Sleeper, there: list[Manifest], ready: Set[str], seen: dict[tuple[str, str], float]) -> set[str]:
        """Uids of other replicas in a slice that have not been ready for long enough. While no replica is, nothing is known of any."""
        dead = set()
        for uid in map(pod_uid, there):
            if ready and uid not in ready and uid != self._replica.uid:
                since = seen[app.uid, uid] = self._missing.get((app.uid, uid), self._clock())
                if self._clock() - since >= self._dead_after:
                    dead.add(uid)
        return dead

    def _endpoints(self, app: Sleeper, there: list[Manifest], dead: set[str]) -> list[Manifest] | None:
        """The endpoints that a slice is to have, None where they stay as they are."""
        mine = self._mine(app, there)
        own = [] if mine is None else mine["addresses"]
        others = [each for each in there if pod_uid(each) != self._replica.uid and each.get("addresses") != own]
        alive = [each for each in others if pod_uid(each) not in dead]
        is_in = any(pod_uid(each) == self._replica.uid for each in there)
        if self._is_leaving:
            wanted = alive
        elif mine is not None and (self._may_join(app) or (is_in and self._front.serves(app))):
            wanted = [*alive, mine]
        else:
            # A slice that this replica does not serve: its own address there is of a time in which it did.
            wanted = alive
        return wanted or None  # somebody has to answer until another replica, or the App itself, does

    def _mine(self, app: Sleeper, there: list[Manifest]) -> Manifest | None:
        """This replica as an endpoint, with what it has to say of refused keys, or has said."""
        mine = self._replica.endpoint(app.address_type)
        before = next((each.get("hostname") for each in there if pod_uid(each) == self._replica.uid), None)
        said = self._refused.get(app.uid, before)
        return mine if mine is None or said is None else {**mine, "hostname": said}

    def _may_join(self, app: Sleeper) -> bool:
        if not self._front.serves(app) or (app.note.private and not self._directory.has_keys(app)):
            return False
        # Once others have seen this replica as not ready they take its address away: it waits until Kubernetes thinks better of it.
        return not self._was_ready or self._replica.uid in self._directory.ready_replicas

    async def _write(self, key: Key, endpoints: list[Manifest], slots: asyncio.Semaphore) -> bool:
        """Whether it was written, or there is something newer to decide from."""
        raw = self._directory.slice(key)
        if raw is None:
            return True
        patch = {"metadata": {"resourceVersion": raw["metadata"]["resourceVersion"]}, "endpoints": endpoints}
        fields = {"namespace": key[0], "slice": key[1]}
        async with slots:
            try:
                written = await self._client.patch(SLICES, *key, patch, manager=names.GATE_MANAGER)
            except (errors.Conflict, errors.NotFound):
                return True  # the watch is about to tell of what came in between
            except errors.ApiError as error:
                log.warning("a slice could not be written, trying again: %s", error, extra={FIELDS: fields})
                return False
        self._directory.note_slice(written)
        replicas = sorted(str((each.get("targetRef") or {}).get("name", "")) for each in endpoints)
        log.info("a slice leads to replicas", extra={FIELDS: {**fields, "replicas": replicas}})
        return True


def _essence(endpoints: list[Mapping[str, Any]] | list[Manifest]) -> list[tuple[Any, ...]]:
    """What of endpoints matters, in an order: the API server may fill in more."""
    return sorted(
        (
            tuple(each.get("addresses") or ()),
            pod_uid(each),
            is_ready(each),
            each.get("hostname") or "",
        )
        for each in endpoints
    )
