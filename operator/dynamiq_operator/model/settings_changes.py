"""Derives the next AppChange from an App's settings and the previous AppChange: a pure function of both.

Settings are all of `App.spec` except the inputs of rows. Stored values are compared, so fields unknown to this version count.
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
from dynamiq_operator.model.digests import NO_DIGEST, change_digest
from dynamiq_operator.model.manifests import format_time, parse_time

NOT_SETTINGS = frozenset({"deploy", "settingsChangedBy"})
"""Fields of an App's spec that are no settings: rows are made of `deploy`, and `settingsChangedBy` is the author of the rest."""
NAMED = ("variables", "triggers")
"""Lists whose items are settings of their own, by name."""
TOLD = frozenset({"workflow", "displayName", "hostname", "access", "suspend"})
"""Settings whose values are shown: callers of the App, and everyone who may list it, know them anyway."""
SUMMARY_MAX = 1024
Key = tuple[str, str]
"""Field name; and the name of a variable or trigger, else empty."""


@dataclass(frozen=True)
class SettingsKey:
    """The key of the HMACs. No text of this object contains it."""

    secret: bytes

    def __repr__(self) -> str:
        return f"SettingsKey({self.id})"

    @property
    def id(self) -> str:
        """An identifier of the key, which reveals nothing of it."""
        return hashlib.sha256(b"settings key " + self.secret).hexdigest()[:16]

    def mac(self, app: tuple[str, str], key: Key, value: Any) -> str:
        """Returns the HMAC of a value of one App's setting. The same value elsewhere has another."""
        text = json.dumps([*app, *key, value], sort_keys=True, separators=(",", ":"))
        return hmac.new(self.secret, text.encode(), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True)
class Seen:
    """The observed settings of an App. `spec`: as stored. `at`, `after`: when, and after which row, they were first observed."""

    namespace: str
    app: str
    uid: str
    generation: int
    spec: Mapping[str, Any]
    at: datetime
    after: int | None
    stamped_since: datetime | None
    """Since when the API server has stamped who changes settings; None if it does not."""
    created: datetime

    def states(self, key: SettingsKey) -> tuple[SettingState, ...]:
        """Returns every setting, sorted by field and name."""
        settings = sorted(_settings(self.spec), key=lambda each: each[0])
        return tuple(self._state(key, where, value) for where, value in settings)[:SETTINGS_MAX]

    def _state(self, key: SettingsKey, where: Key, value: Any) -> SettingState:
        field, name = where
        shown = _shown_value(field, value)
        if shown is not None:
            return SettingState(field=field, value=shown)
        return SettingState(field=field, name=name or None, mac=key.mac((self.namespace, self.app), where, value))


def next_change(seen: Seen, key: SettingsKey, before: AppChangeSpec | None) -> AppChangeSpec | None:
    """Returns the AppChange that the settings need after `before`; None if nothing has changed since."""
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
        digest=NO_DIGEST,
    )
    return made.model_copy(update={"digest": change_digest(made.as_json())})


def summary(reason: ChangeReason, changes: Sequence[SettingChange], *, is_new: bool = False) -> str:
    """Summarizes changes in a sentence: `variables MODEL changed, KEY added; hostname a.test → b.test`."""
    if reason is ChangeReason.FIRST:
        return "the App was created" if is_new else "recorded from here on"
    text = "; ".join(_summary_parts(changes))
    if reason is ChangeReason.REKEYED:
        lost = "whether other values changed is not known: the key by which they are compared is another one"
        text = f"{text}; {lost}" if text else lost
    return text if len(text) <= SUMMARY_MAX else f"{text[: SUMMARY_MAX - 1]}…"


def _settings(spec: Mapping[str, Any]) -> Iterator[tuple[Key, Any]]:
    for field, value in spec.items():
        if field in NAMED and isinstance(value, list):
            yield from (((field, str(each.get("name"))), each) for each in value if isinstance(each, Mapping))
        elif field not in NOT_SETTINGS:
            yield (field, ""), value


def _shown_value(field: str, value: Any) -> str | None:
    """Returns the value of a setting as text; None if it is not shown."""
    if field not in TOLD:
        return None
    plain = _access_in_words(value) if field == "access" and isinstance(value, Mapping) else value
    if isinstance(plain, bool):
        return str(plain).lower()
    return plain if isinstance(plain, str) and len(plain) <= SHOWN_MAX else None


def _access_in_words(access: Mapping[str, Any]) -> str | None:
    """Returns an App's access as text, such as `private, origins https://app.example.com`; None if it has a field unknown to this version."""
    kind, origins = access.get("type"), access.get("origins") or []
    if not (isinstance(kind, str) and isinstance(origins, list) and access.keys() <= {"type", "origins"}):
        return None
    return f"{kind}, origins {' '.join(map(str, origins))}" if origins else kind


def _changes(before: Sequence[SettingState], now: Sequence[SettingState], comparable: bool) -> Iterator[SettingChange]:
    """Yields the changes, sorted by field and name.

    If the HMACs have different keys, a changed value is detected for shown values only.
    """
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


def _summary_parts(changes: Sequence[SettingChange]) -> Iterator[str]:
    by_field: dict[str, list[SettingChange]] = {}
    for each in changes:
        by_field.setdefault(each.field, []).append(each)
    for field, changes_of_field in by_field.items():
        yield f"{field} {', '.join(map(_in_words, changes_of_field))}"


def _in_words(change: SettingChange) -> str:
    kind = change.change.value.lower()
    if change.name is not None:
        return f"{change.name} {kind}"
    if change.from_ is not None and change.to is not None:
        return f"{change.from_} → {change.to}"
    if change.to is not None:
        return f"set to {change.to}"
    return f"{change.from_} {kind}" if change.from_ is not None else kind


def _verified(seen: Seen, before: AppChangeSpec | None) -> bool:
    """Returns True if the stamping policy existed before the change: since the previous AppChange, or since before the App."""
    since = parse_time(before.at) if before is not None and before.uid == seen.uid else seen.created
    return seen.stamped_since is not None and seen.stamped_since < since and seen.spec.get("settingsChangedBy") is not None
