"""Records changes of Apps' settings as AppChanges, beside the plans. No decision about an App relies on them, so a failure here delays
nothing.

Settings that the App's status notes as recorded are not compared again, not even after a restart. The AppChanges of any other App are
listed, and not kept: most Apps change seldom, and an AppChange is as large as the App.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import itertools
import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from dynamiq_operator.controller.app_state import AppState, AppStates, SeenSettings
from dynamiq_operator.controller.cached.cache import AppKey, Cache
from dynamiq_operator.controller.observing.stamps import Stamps
from dynamiq_operator.desired.base import is_owned, owner
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APP_CHANGES, APPS, SECRETS
from dynamiq_operator.model import kinds, names, ownership
from dynamiq_operator.model.app_change import AppChangeSpec
from dynamiq_operator.model.app_status import RecordedSettings
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.guard_objects import AppChange
from dynamiq_operator.model.objects import App, Manifest, Unreadable, read
from dynamiq_operator.model.settings_changes import Seen, SettingsKey, next_change

KEY, KEY_BYTES = "key", 32
"""The data's name in the Secret, and the bytes of the key."""
UNAVAILABLE_FOR, UNAVAILABLE_MOST = 60.0, 960.0
"""Seconds until AppChanges that may not be read or written are tried again, and their maximum. They double with each failure."""
DELETED_AT_ONCE, NEXT_AFTER = 20, 1.0
"""AppChanges that are deleted at once, and seconds until the next ones. A limit that was lowered a lot delays nothing else."""
EVERYWHERE = ""

TRIES = 2
"""AppChanges created at most for one change: the first may exist already, from an earlier leader and another moment."""

log = logging.getLogger(__name__)


class _ImpossibleError(Exception):
    """An error: there is no key, or the API server does not serve AppChanges."""


@dataclass(frozen=True)
class _Unavailable:
    """A pause after a failure. `until`: the monotonic time of the next try. `seconds`: the length of the pause."""

    until: float
    seconds: float


class SettingsRecorder:
    """The recorder of settings. `client` sends nothing once another replica may lead. `namespace`: where the key is kept.

    `now`: the time by the API server's clock.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        states: AppStates,
        stamps: Stamps,
        namespace: str,
        now: Callable[[], datetime],
        make_key: Callable[[int], bytes],
    ) -> None:
        self._client, self._cache, self._states, self._stamps = client, cache, states, stamps
        self._namespace, self._now, self._make_key = namespace, now, make_key
        self._key: SettingsKey | None = None
        self._unavailable: dict[str, _Unavailable] = {}
        """Pauses by namespace, or everywhere: one tenant's quota or rights are not another's."""

    def note(self, key: AppKey) -> None:
        """Notes when a change is first seen, and after which row. A row that came with the change gets its number later in the same pass."""
        raw = self._cache.get(APPS, *key)
        if raw is None:
            return
        state, generation = self._states.of_uid(key, raw["metadata"]["uid"]), raw["metadata"].get("generation", 0)
        seen = state.seen_settings
        if _recorded(raw) == generation:
            state.seen_settings = None
        elif seen is None or seen.generation != generation:
            after = seen.after if seen is not None and not seen.is_recorded else (raw.get("status") or {}).get("lastSequence")
            state.seen_settings = SeenSettings(generation, self._now(), after)

    async def record(self, key: AppKey) -> float | None:
        """Writes what changed since the last AppChange, and deletes AppChanges as retention deleted rows.

        Returns the seconds until the next try if recording is not possible now. Raises errors.ApiError if it may be possible at once.
        """
        raw = self._cache.get(APPS, *key)
        if raw is None:
            return None
        state = self._states.of_uid(key, raw["metadata"]["uid"])
        seen, oldest = state.seen_settings, _oldest_row(raw, state)
        if seen is None and oldest == state.changes_kept_from:
            return None
        if (wait := self._unavailable_now(key, state)) is not None:
            return wait
        app = read(App, raw)
        if isinstance(app, Unreadable) or app.meta.deleting or names.RESTORING_ANNOTATION in app.meta.annotations:
            return None
        try:
            is_done = await self._update(app, raw, state, oldest)
        except _ImpossibleError as error:
            seconds = self._give_up(EVERYWHERE)
            log.warning("changes of Apps' settings are not recorded for %.0f s: %s", seconds, error)
            return seconds
        except (errors.Denied, errors.NotFound) as error:
            seconds = self._give_up(key[0])
            log.warning("namespace %s: changes of Apps' settings are not recorded for %.0f s: %s", key[0], seconds, error)
            return seconds
        except (errors.Invalid, ValueError) as error:
            state.settings_refused_until = self._states.clock() + UNAVAILABLE_FOR
            log.warning("App %s/%s: changes of its settings are not recorded for %.0f s: %s", *key, UNAVAILABLE_FOR, error)
            return UNAVAILABLE_FOR
        if self._unavailable:
            self._unavailable = {each: pause for each, pause in self._unavailable.items() if each not in (EVERYWHERE, key[0])}
        return None if is_done else NEXT_AFTER

    def _unavailable_now(self, key: AppKey, state: AppState) -> float | None:
        """Returns the seconds until an App is tried again; None if now. They differ by App: there may be ten thousand of them."""
        now = self._states.clock()
        if (remaining := state.settings_refused_until - now) > 0:
            return remaining
        for pause in filter(None, map(self._unavailable.get, (EVERYWHERE, key[0]))):
            if pause.until > now:
                return pause.until - now + pause.seconds * (zlib.crc32("/".join(key).encode()) % 1000 / 1000)
        return None

    def _give_up(self, where: str) -> float:
        """Pauses recording; returns for how many seconds."""
        now, before = self._states.clock(), self._unavailable.get(where)
        seconds = min(before.seconds * 2, UNAVAILABLE_MOST) if before is not None else UNAVAILABLE_FOR
        kept = {each: pause for each, pause in self._unavailable.items() if pause.until + UNAVAILABLE_MOST > now}
        self._unavailable = {**kept, where: _Unavailable(now + seconds, seconds)}
        return seconds

    async def _update(self, app: App, raw: Manifest, state: AppState, oldest: int) -> bool:
        """Writes and deletes AppChanges. Returns True if nothing remains to be done."""
        changes = await self._changes(app)
        if state.seen_settings is not None:
            await self._record(app, raw, state.seen_settings, changes)
            # The note fails if the App was changed meanwhile: that change has a time and a row of its own.
            state.seen_settings = replace(state.seen_settings, generation=app.meta.generation, is_recorded=True)
            await self._note_recorded(app, changes[-1])
            state.seen_settings = None
        if is_done := await self._delete_expired(app, changes, oldest):
            state.changes_kept_from = oldest
        return is_done

    async def _record(self, app: App, raw: Manifest, seen: SeenSettings, changes: list[AppChange]) -> None:
        """Creates the AppChanges that lead to these settings, and appends them to `changes`."""
        settings = Seen(
            namespace=app.meta.namespace,
            app=app.meta.name,
            uid=app.meta.uid,
            generation=app.meta.generation,
            spec=raw["spec"],
            at=seen.at,
            after=seen.after,
            stamped_since=await self._stamps.since(names.SETTINGS_POLICY),
            created=app.meta.created,
        )
        key = self._key or await self._read_key()
        for _ in range(TRIES):  # not until nothing differs: the API server may store less than was sent
            change = next_change(settings, key, changes[-1].spec if changes else None)
            if change is None:
                break
            changes.append(await self._create(app, change))

    async def _note_recorded(self, app: App, last: AppChange) -> None:
        """Notes in the App's status that its settings were recorded as they were read.

        Raises errors.Conflict if the App was written since.
        """
        recorded = RecordedSettings(generation=app.meta.generation, sequence=last.spec.sequence)
        if recorded != app.status.settings:
            patch = {"metadata": {"resourceVersion": app.meta.resource_version}, "status": {"settings": recorded.as_json()}}
            with contextlib.suppress(errors.NotFound):  # the App was deleted
                self._cache.update(APPS, await self._client.patch(APPS, app.meta.namespace, app.meta.name, patch, subresource="status"))

    async def _create(self, app: App, change: AppChangeSpec) -> AppChange:
        """Creates an AppChange. If its number exists, it is from an earlier attempt or leader; it is returned, and the next one is created
        after it.

        Raises errors.Conflict if it is of a deleted App of the same name, and ValueError if it is unreadable.
        """
        name = names.app_change(app.meta.name, change.sequence)
        manifest: Manifest = {
            "apiVersion": API_VERSION,
            "kind": kinds.APP_CHANGE.kind,
            "metadata": {"name": name, "namespace": app.meta.namespace, "ownerReferences": [owner(app)]},
            "spec": change.as_json(),
        }
        try:
            created = await self._client.create(APP_CHANGES, manifest)
        except errors.AlreadyExists:
            created = await self._client.get(APP_CHANGES, app.meta.namespace, name)
            if ownership.is_anothers(created, app.meta.uid):
                raise errors.Conflict(f"AppChange {name} of the App that had this name before is being deleted") from None
        return AppChange.of(created)

    async def _changes(self, app: App) -> list[AppChange]:
        """Returns the App's AppChanges, oldest first. The App, if it still exists, becomes the owner of those that were restored."""
        manifests: list[Manifest] = []
        try:
            async for page in self._client.pages(APP_CHANGES, app.meta.namespace, field=f"spec.app={app.meta.name}"):
                manifests += ownership.only_of(app.meta.uid, page["items"])
        except errors.NotFound as error:
            raise _ImpossibleError(f"the API server has no AppChanges: {error}") from error
        if not all(is_owned(raw, app) for raw in manifests):
            await self._require(app)
        owned = [AppChange.of(raw if is_owned(raw, app) else await self._own(app, raw)) for raw in manifests]
        return sorted(owned, key=lambda each: each.spec.sequence)

    async def _require(self, app: App) -> None:
        """Raises errors.Conflict if the App was deleted: AppChanges that it would own would be deleted, too."""
        with contextlib.suppress(errors.NotFound):
            if (await self._client.get(APPS, app.meta.namespace, app.meta.name))["metadata"]["uid"] == app.meta.uid:
                return
        raise errors.Conflict(f"App {app.meta.name} was deleted")

    async def _own(self, app: App, raw: Manifest) -> Manifest:
        meta = raw["metadata"]
        patch = {"metadata": {"resourceVersion": meta["resourceVersion"], "ownerReferences": [owner(app)]}}
        return await self._client.patch(APP_CHANGES, meta["namespace"], meta["name"], patch)

    async def _delete_expired(self, app: App, changes: list[AppChange], oldest: int) -> bool:
        """Deletes AppChanges from before the oldest kept row, oldest first. The newest stays: the next is compared with it.

        Returns True if none remains to be deleted.
        """
        expired = list(itertools.takewhile(lambda each: (each.spec.after or 0) < oldest, changes[:-1]))
        for change in expired[:DELETED_AT_ONCE]:
            await self._client.delete(APP_CHANGES, app.meta.namespace, change.meta.name, change.meta.uid)
        return len(expired) <= DELETED_AT_ONCE

    async def _read_key(self) -> SettingsKey:
        """Returns the key, and creates it if there is none. Raises errors.ApiError, and _ImpossibleError if the key is not available."""
        manifest: Manifest = {
            "apiVersion": SECRETS.api_version,
            "kind": SECRETS.kind,
            "metadata": {"name": names.SETTINGS_KEY, "namespace": self._namespace},
            "data": {KEY: base64.b64encode(self._make_key(KEY_BYTES)).decode()},
        }
        try:
            stored = await self._stored_key(manifest)
        except (errors.Denied, errors.NotFound) as error:
            raise _ImpossibleError(f"Secret {names.SETTINGS_KEY} in namespace {self._namespace}: {error}") from error
        try:
            secret = base64.b64decode((stored.get("data") or {}).get(KEY, ""), validate=True)
        except binascii.Error:
            secret = b""
        if len(secret) < KEY_BYTES:
            raise _ImpossibleError(
                f"Secret {names.SETTINGS_KEY} in namespace {self._namespace} has no key: delete it, and the operator creates it again"
            )
        self._key = SettingsKey(secret)
        return self._key

    async def _stored_key(self, made: Manifest) -> Manifest:
        try:
            return await self._client.get(SECRETS, self._namespace, names.SETTINGS_KEY)
        except errors.NotFound:
            try:
                return await self._client.create(SECRETS, made)
            except errors.AlreadyExists:
                return await self._client.get(SECRETS, self._namespace, names.SETTINGS_KEY)


def _recorded(raw: Manifest) -> int | None:
    generation: int | None = ((raw.get("status") or {}).get("settings") or {}).get("generation")
    return generation


def _oldest_row(raw: Manifest, state: AppState) -> int:
    """Returns the sequence of the oldest kept row, if retention deletes rows and the history has been read; else 0.

    It is 0 with an archive as well: no archive takes AppChanges yet, so none is deleted.
    """
    policy = raw["spec"].get("history") or {}
    limited = policy.get("limit") is not None and not policy.get("archive")
    rows = state.ledger.in_order if limited and state.ledger is not None and state.ledger.known else ()
    return rows[0].sequence if rows and rows[0].sequence > 1 else 0
