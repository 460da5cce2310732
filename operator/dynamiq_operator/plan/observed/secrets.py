"""The Secrets and ConfigMaps that an App's pods read, as observed: versions and keys, never values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from dynamiq_operator.desired.base import ChildKey


class KeysPresence(Enum):
    """The state of a Secret of an App's keys; FOREIGN: another owner has it."""

    PRESENT = "present"
    ABSENT = "absent"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class AccessKeys:
    """The Secret of Access Keys: its resourceVersion, and since when the operator has known this version."""

    presence: KeysPresence
    version: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class CallbackKey:
    """The Secret with the key for callbacks, and when it was created."""

    presence: KeysPresence
    created: datetime | None = None


@dataclass(frozen=True)
class ObservedSecrets:
    """The Secrets and ConfigMaps that one App's pods read."""

    access_keys: AccessKeys = AccessKeys(KeysPresence.ABSENT)
    gate_keys: str | None = None
    """The version of the Access Keys whose digests the gate has; empty if it has none. None: not needed, or unreadable."""
    callback_key: CallbackKey = CallbackKey(KeysPresence.ABSENT)
    named: Mapping[ChildKey, frozenset[str] | None] = field(default_factory=dict)
    """The keys of each Secret and ConfigMap that the App's variables name, as far as they were read; None for a missing object."""
