"""Reads whose the Secrets of an App's keys are, and which version of the Access Keys the gate has. It keeps no key."""

from __future__ import annotations

from collections.abc import Iterable

from dynamiq_operator.controller.app_state import AppState
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.controller.observing.cached_objects import CachedObjects
from dynamiq_operator.desired.base import is_ours
from dynamiq_operator.desired.gate_keys import owner_of, version_of
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import SECRETS
from dynamiq_operator.model import names, ownership
from dynamiq_operator.model.objects import App, Manifest, Meta, Row, parse_time
from dynamiq_operator.model.row import ConfigType
from dynamiq_operator.plan.children import access_keys, callback_key
from dynamiq_operator.plan.observed.secrets import AccessKeys, CallbackKey, KeysPresence


class AccessKeysReader:
    """A reader of Access Keys. It reads again only when an answer may have changed."""

    def __init__(self, client: Client, gate_namespace: str) -> None:
        self._client, self._gate_namespace = client, gate_namespace

    async def read(self, key: AppKey, app: App, state: AppState, cached: CachedObjects) -> AccessKeys:
        """Returns whose the Secret of the Access Keys is. It is read again until it is the App's, and when a hint that it changed is new."""
        if not access_keys.are_read(app, cached.workloads):
            return AccessKeys(KeysPresence.PRESENT)
        pointers = access_keys.pointers(app, cached.pods, cached.slices, self._client.now())
        is_new = not pointers <= state.access_keys_pointers
        state.access_keys_pointers = pointers
        if not is_new and state.access_keys is not None and state.access_keys.presence is KeysPresence.PRESENT:
            return state.access_keys
        state.access_keys = None  # in case the read fails
        try:
            secret = await self._client.get(SECRETS, key[0], names.access_keys(key[1]))
        except errors.NotFound:
            state.access_keys = AccessKeys(KeysPresence.ABSENT)
            return state.access_keys
        version = secret["metadata"]["resourceVersion"]
        if state.access_keys_since is None or state.access_keys_since[0] != version:
            state.access_keys_since = (version, self._client.now())
        state.access_keys = AccessKeys(_whose_keys(secret, app, cached.records.values()), *state.access_keys_since)
        return state.access_keys

    async def read_callback_key(self, key: AppKey, app: App, state: AppState, cached: CachedObjects, journal: str | None) -> CallbackKey:
        """Returns whose the Secret of the key for callbacks is. It is read again until it is the App's, and when the App's spec changes."""
        if not callback_key.is_read(app, cached.workloads, journal):
            return CallbackKey(KeysPresence.ABSENT)
        known, generation = state.callback_key, app.meta.generation
        if known is not None and known.presence is KeysPresence.PRESENT and state.callback_key_generation == generation:
            return known
        state.callback_key = None  # in case the read fails
        try:
            secret = await self._client.get(SECRETS, key[0], names.callback_key(key[1]))
            state.callback_key = CallbackKey(_whose_keys(secret, app, cached.records.values()), Meta.of(secret).created)
        except errors.NotFound:
            state.callback_key = CallbackKey(KeysPresence.ABSENT)
        state.callback_key_generation = generation
        return state.callback_key

    async def version_at_gate(self, key: AppKey, app: App, cached: CachedObjects, records: Iterable[Row], state: AppState) -> str | None:
        """Returns the version of the Access Keys whose digests the gate has: read once, and only for private Apps with a serverless row.

        Digests of other Apps are deleted sooner or later (`gate_keys.GateKeys.sweep`), so nothing is known of them.
        """
        serverless = any(row.pinned is not None and row.pinned.config.type is ConfigType.SERVERLESS for row in records)
        if not serverless or not access_keys.are_read(app, cached.workloads):
            state.gate_keys = None
            return None
        if state.gate_keys is None:
            state.gate_keys = await _version_at_gate(self._client, self._gate_namespace, key, app.meta.uid)
        return state.gate_keys


async def _version_at_gate(client: Client, namespace: str, app: AppKey, uid: str) -> str | None:
    """Returns the version of the App's Access Keys whose digests the gate has; empty if it has none, None if that may not be read.

    `uid`: the App's. Digests of an earlier App of the same name do not count.
    """
    try:
        secret = await client.get(SECRETS, namespace, names.gate_keys(*app))
        return version_of(secret) if owner_of(secret) == (*app, uid) else ""
    except errors.NotFound:
        return ""
    except errors.Denied:
        return None


def _whose_keys(secret: Manifest, app: App, records: Iterable[Row]) -> KeysPresence:
    """Returns whose the Secret of an App's name is. A Secret of a deleted App of that name is being deleted, and a new one is created then.

    A Secret without an owner was restored, and may not be given an owner. It is this App's if the App was restored, too: then some rows are
    older than the App. Otherwise it may be that of an App that was restored, and deleted since.
    """
    meta = app.meta
    if ownership.is_of_former(secret, meta.name, meta.uid):
        return KeysPresence.ABSENT
    if not is_ours(secret, app):
        return KeysPresence.FOREIGN
    restored = any(row.pinned is not None and parse_time(row.pinned.created_at) < meta.created for row in records)
    is_its_own = ownership.is_owned(secret, meta.uid) or Meta.of(secret).created >= meta.created or restored
    return KeysPresence.PRESENT if is_its_own else KeysPresence.FOREIGN
