"""Keeps what the gate knows of the cluster: sleeping Apps by port, pods of Services, keys of callers, and the gate's replicas."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from dynamiq_operator.desired.gate_keys import DIGESTS, owner_of
from dynamiq_operator.desired.gate_slice import leads_to_gate
from dynamiq_operator.gate import slices
from dynamiq_operator.gate.reflector import Reflector
from dynamiq_operator.gate.slices import Pod, Sleeper, Unusable
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import SECRETS, SLICES, Key, key_of
from dynamiq_operator.model import names
from dynamiq_operator.model.json_lines import FIELDS
from dynamiq_operator.model.objects import Manifest

OWN_SECRETS = replace(SECRETS, label_selector=names.MANAGED_SELECTOR)

log = logging.getLogger(__name__)


class Directory:
    """A watched copy of the slices and Secrets. All reads are answered from memory."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._namespace = namespace
        self._own = (namespace, names.GATE_SERVICE)
        self._listeners: list[Callable[[Key | None], None]] = []
        self._slices = Reflector(client, SLICES, "", self._slice_changed)
        self._secrets = Reflector(client, OWN_SECRETS, namespace, lambda _: self._notify(None))
        self._sleepers: dict[Key, Sleeper] = {}
        self._pods: dict[Key, dict[Key, tuple[Pod, ...]]] = {}
        """Pods by Service, then by slice."""
        self._replicas: dict[Key, frozenset[str]] = {}
        self._services: dict[Key, Key] = {}
        """Services by slice."""

    def on_change(self, call: Callable[[Key | None], None]) -> None:
        """Registers `call`, which runs after each change with the Service concerned; None means any."""
        self._listeners.append(call)

    def _notify(self, service: Key | None) -> None:
        for call in self._listeners:
            call(service)

    def _slice_changed(self, key: Key | None) -> None:
        if key is not None:
            before = self._services.get(key)
            self._read(key, self._slices.get(key))
            self._notify(before or self._services.get(key))
            return
        slices_by_key = {key_of(raw): raw for raw in self._slices}
        for each in self._services.keys() | slices_by_key.keys():
            self._read(each, slices_by_key.get(each))
        self._notify(None)

    def _read(self, key: Key, raw: Manifest | None) -> None:
        """Applies the newest content of a slice; None if it was deleted."""
        self._sleepers.pop(key, None)
        self._replicas.pop(key, None)
        if (before := self._services.pop(key, None)) is not None:
            of_service = self._pods.get(before, {})
            of_service.pop(key, None)
            if not of_service:
                self._pods.pop(before, None)
        if raw is None:
            return
        service = self._services[key] = slices.service_of(raw)
        if leads_to_gate(raw):
            try:
                self._sleepers[key] = slices.sleeper(raw)
            except Unusable as why:
                fields = dict(zip(("namespace", "slice"), key, strict=True))
                log.warning("a slice is left alone: %s", why, extra={FIELDS: fields})
        elif service == self._own:
            self._replicas[key] = frozenset(slices.ready_uids(raw)) - {""}
        else:
            self._pods.setdefault(service, {})[key] = tuple(slices.pods(raw))

    async def run(self) -> None:
        """Watches until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._slices.informer.run())
            group.create_task(self._secrets.informer.run())

    async def until_known(self) -> None:
        """Returns once everything has been listed."""
        await self._slices.informer.listed.wait()
        await self._secrets.informer.listed.wait()

    def note_slice(self, raw: Manifest) -> None:
        """Applies the API server's response to a write."""
        self._slices.note(raw)

    @property
    def sleepers(self) -> Mapping[Key, Sleeper]:
        """The sleeping Apps, by slice."""
        return self._sleepers

    def slice(self, key: Key) -> Manifest | None:
        """Returns a slice; None if unknown."""
        return self._slices.get(key)

    def pods(self, service: Key) -> tuple[Pod, ...]:
        """Returns the pods of a Service that are not terminating, ready or not."""
        return tuple(pod for pods in self._pods.get(service, {}).values() for pod in pods)

    @property
    def ready_replicas(self) -> frozenset[str]:
        """The uids of the gate's pods that Kubernetes reports as ready."""
        return frozenset().union(*self._replicas.values())

    def has_keys(self, of: Sleeper) -> bool:
        """Returns True if the keys of a private App are known."""
        return self._digests(of) is not None

    def allows(self, of: Sleeper, key: str) -> bool | None:
        """Returns True if `key` is one of the App's; None if its keys are unknown."""
        digests = self._digests(of)
        if digests is None:
            return None
        digest_of_key = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        # Each is compared, in constant time: the duration must not reveal how much of the key was right.
        matches = [hmac.compare_digest(digest_of_key, digest) for digest in digests]
        return any(matches)

    def _digests(self, of: Sleeper) -> tuple[bytes, ...] | None:
        raw = self._secrets.get((self._namespace, names.gate_keys(of.namespace, of.app)))
        if raw is None or owner_of(raw) not in (None, (of.namespace, of.app, of.note.app_id)):
            return None  # of a deleted App with the same name: it is about to be rewritten
        try:
            lines = base64.b64decode((raw.get("data") or {})[DIGESTS], validate=True).decode().split()
            return tuple(bytes.fromhex(line) for line in lines)
        except (KeyError, binascii.Error, UnicodeDecodeError, ValueError):
            return None
