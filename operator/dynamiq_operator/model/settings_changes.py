"""What changed of an App's settings, decided from the App as it is and the record before: a pure function of both.

Settings are all of `App.spec` but what rows are made of. They are compared as they are stored, so a field that this version does not know counts.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dynamiq_operator.model.app_change import (
    SETTINGS_MAX,
    SHOWN_MAX,
    AppChangeSpec,
    ChangeKind,
    ChangeReason,
    Generations,
    SettingChange,
    SettingState,
)
from dynamiq_operator.model.digests import change_digest
from dynamiq_operator.model.manifests import format_time, parse_time

NOT_SETTINGS = frozenset({"deploy", "settingsChangedBy"})
"""Fields of an App's spec that are none: rows are made of the one, and the other says who changed the rest."""
NAMED = ("variables", "triggers")
"""Lists whose items are settings of their own, by their names."""
TOLD = frozenset({"workflow", "displayName", "hostname", "access", "suspend"})
"""Settings of which the value is told: callers of the App, and whoever may see it in a list, know it anyway."""
SUMMARY_MAX = 1024
Key = tuple[str, str]
"""Field and, of variables and triggers, name; else empty."""
_NO_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class SettingsKey:
    """The key of the HMACs. It is in no text of this object."""

    secret: bytes

    def __repr__(self) -> str:
        return f"SettingsKey({self.id})"

    @property
    def id(self) -> str:
        """By which it is known again; it tells nothing of the key."""
        return hashlib.sha256(b"settings key " + self.secret).hexdigest()[:16]

    def mac(self, app: tuple[str, str], key: Key, value: Any) -> str:
        """Of a value of one App's setting: the same value elsewhere has another."""
        text = json.dumps([*app, *key, value], sort_keys=True, separators=(",", ":"))
        return hmac.new(self.secret, text.encode(), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True)
class Seen:
    """The settings of an App, as they are seen. `spec`: as it is stored. `at`, `after`: when, and after which row, they were first seen."""

    namespace: str
    app: str
    uid: str
    generation: int
    spec: Mapping[str, Any]
    at: datetime
    after: int | None
    stamped_since: datetime | None
    """Since when the API server has stamped who changes settings; None where it does not."""
    created: datetime

    def states(self, key: SettingsKey) -> tuple[SettingState, ...]:
        """Every setting, in the order of field and name."""
        settings = sorted(_settings(self.spec), key=lambda each: each[0])
        return tuple(self._state(key, where, value) for where, value in settings)[:SETTINGS_MAX]

    def _state(self, key: SettingsKey, where: Key, value: Any) -> SettingState:
        field, name = where
        told = _told(field, value)
        if told is not None:
            return SettingState(field=field, value=told)
        return SettingState(field=field, name=name or None, mac=key.mac((self.namespace, self.app), where, value))


def next_change(seen: Seen, key: SettingsKey, before: AppChangeSpec | None) -> AppChangeSpec | None:
    """The record that the settings take, after the record `before`; None where nothing has changed since."""
    states = seen.states(key)
    comparable = before is None or before.key == key.id
    changes = tuple(_changes(before.states, states, comparable)) if before is not None else ()
    if before is not None and comparable and not changes:
        return None
    reason = ChangeReason.FIRST if before is None else ChangeReason.CHANGED if comparable else ChangeReason.REKEYED
    made = AppChangeSpec(
        app=seen.app,
        uid=seen.uid,
        sequence=before.sequence + 1 if before is not None else 1,
        reason=reason,
        at=format_time(seen.at),
        after=seen.after,
        generation=Generations(from_=before.generation.to if before is not None and before.uid == seen.uid else None, to=seen.generation),
        by=seen.spec.get("settingsChangedBy"),
        by_verified=_verified(seen, before),
        changes=changes,
        summary=summary(reason, changes, is_new=seen.generation == 1),
        states=states,
        key=key.id,
        previous_digest=before.digest if before is not None else None,
        digest=_NO_DIGEST,
    )
    return made.model_copy(update={"digest": change_digest(made.as_json())})


def summary(reason: ChangeReason, changes: Sequence[SettingChange], *, is_new: bool = False) -> str:
    """What changed in a sentence: `variables MODEL changed, KEY added; hostname a.test → b.test`."""
    if reason is ChangeReason.FIRST:
        return "the App was created" if is_new else "recorded from here on"
    said = "; ".join(_said(changes))
    if reason is ChangeReason.REKEYED:
        lost = "whether other values changed is not known: the key by which they are compared is another one"
        said = f"{said}; {lost}" if said else lost
    return said if len(said) <= SUMMARY_MAX else f"{said[: SUMMARY_MAX - 1]}…"


def _settings(spec: Mapping[str, Any]) -> Iterator[tuple[Key, Any]]:
    for field, value in spec.items():
        if field in NAMED and isinstance(value, list):
            yield from (((field, str(each.get("name"))), each) for each in value if isinstance(each, Mapping))
        elif field not in NOT_SETTINGS:
            yield (field, ""), value


def _told(field: str, value: Any) -> str | None:
    """The value of a setting as text, where it is told."""
    if field not in TOLD:
        return None
    plain = value.get("type") if field == "access" and isinstance(value, Mapping) and set(value) == {"type"} else value
    if isinstance(plain, bool):
        return str(plain).lower()
    return plain if isinstance(plain, str) and len(plain) <= SHOWN_MAX else None


def _changes(before: Sequence[SettingState], now: Sequence[SettingState], comparable: bool) -> Iterator[SettingChange]:
    """In the order of field and name. Where HMACs are by another key, that a value changed is told of plain ones alone."""
    old, new = _by_key(before), _by_key(now)
    for key in sorted({*old, *new}):
        was, is_ = old.get(key), new.get(key)
        kind = ChangeKind.ADDED if was is None else ChangeKind.REMOVED if is_ is None else ChangeKind.CHANGED
        if was is not None and is_ is not None and (was == is_ or not (comparable or (was.mac is None and is_.mac is None))):
            continue
        values = {"from_": was.value if was is not None else None, "to": is_.value if is_ is not None else None}
        yield SettingChange(field=key[0], name=key[1] or None, change=kind, **values)


def _by_key(states: Sequence[SettingState]) -> dict[Key, SettingState]:
    return {(state.field, state.name or ""): state for state in states}


def _said(changes: Sequence[SettingChange]) -> Iterator[str]:
    """A part for each field."""
    by_field: dict[str, list[SettingChange]] = {}
    for each in changes:
        by_field.setdefault(each.field, []).append(each)
    for field, some in by_field.items():
        yield f"{field} {', '.join(map(_one, some))}"


def _one(change: SettingChange) -> str:
    said = change.change.value.lower()
    if change.name is not None:
        return f"{change.name} {said}"
    if change.from_ is not None and change.to is not None:
        return f"{change.from_} → {change.to}"
    if change.to is not None:
        return f"set to {change.to}"
    return f"{change.from_} {said}" if change.from_ is not None else said


def _verified(seen: Seen, before: AppChangeSpec | None) -> bool:
    """Whether the policy that stamps was there before the change: since the record before it, or since before the App."""
    since = parse_time(before.at) if before is not None and before.uid == seen.uid else seen.created
    return seen.stamped_since is not None and seen.stamped_since < since and seen.spec.get("settingsChangedBy") is not None
