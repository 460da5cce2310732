"""AppChange: one change of an App's settings. It has names, author and time, but no value that may be secret."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import SEQUENCE_MAX, Digest, DnsLabel, Moment, Part, never_changes, validated


class ChangeKind(StrEnum):
    """The kind of change of a setting."""

    ADDED = "Added"
    REMOVED = "Removed"
    CHANGED = "Changed"


class ChangeReason(StrEnum):
    """Why there is an AppChange. First: the App has none yet. Rekeyed: a new key, so values cannot be compared with earlier ones."""

    FIRST = "First"
    CHANGED = "Changed"
    REKEYED = "Rekeyed"


SHOWN_MAX = 253
"""Characters of a value that is shown; the longest is a hostname."""
NAME_MAX = 128
SETTINGS_MAX = 256
"""Settings of an App: 128 variables, 32 triggers, and its other fields."""
MAC = "^[0-9a-f]{32}$"


class SettingChange(Part):
    """One setting that changed."""

    field: Annotated[str, Field(max_length=NAME_MAX, description="Field of the App's spec, such as variables or hostname.")]
    name: Annotated[str | None, Field(max_length=NAME_MAX, description="Of variables and triggers, the name.")] = None
    change: Annotated[ChangeKind, Field(description="Added, Removed or Changed.")]
    from_: Annotated[
        str | None,
        Field(alias="from", max_length=SHOWN_MAX, description="The value before; only for fields that callers of the App see anyway."),
    ] = None
    to: Annotated[str | None, Field(max_length=SHOWN_MAX, description="The value after.")] = None


class SettingState(Part):
    """A setting at that time: its value if that is shown, else an HMAC. The next AppChange detects changes by it."""

    field: Annotated[str, Field(max_length=NAME_MAX, description="Field of the App's spec.")]
    name: Annotated[str | None, Field(max_length=NAME_MAX, description="Of variables and triggers, the name.")] = None
    value: Annotated[
        str | None, Field(max_length=SHOWN_MAX, description="The value; only for fields that callers of the App see anyway.")
    ] = None
    mac: Annotated[str | None, Field(max_length=32, description="Half of an HMAC-SHA-256 of the value, in hexadecimal digits.")] = None


class Generations(Part):
    """Versions of the App's spec, by its metadata.generation."""

    from_: Annotated[
        int | None, Field(alias="from", description="The generation that the record before describes; none for the first record.")
    ] = None
    to: Annotated[int, Field(description="The generation that this record describes.")]


@validated(never_changes("an AppChange never changes"))
class AppChangeSpec(Part):
    """The changes of an App since the previous AppChange."""

    app: Annotated[DnsLabel, Field(description="The App, in the same namespace.")]
    uid: Annotated[str, Field(max_length=64, description="The App's metadata.uid then; a restore gives it another one.")]
    sequence: Annotated[int, Field(ge=1, le=SEQUENCE_MAX, description="Place among the records of the App's settings, from 1.")]
    reason: Annotated[ChangeReason, Field(description="First, Changed or Rekeyed.")]
    at: Annotated[Moment, Field(description="When the operator saw the change.")]
    after: Annotated[
        int | None,
        Field(ge=1, le=SEQUENCE_MAX, description="Sequence of the newest row at that time; none if there was no row yet."),
    ] = None
    generation: Annotated[Generations, Field(description="The generations of the App that it describes.")]
    by: Annotated[
        str | None,
        Field(max_length=1024, description="Who changed the App's settings last, as the API server stamped it; none without a stamp."),
    ] = None
    by_verified: Annotated[
        bool,
        Field(
            description="True if the API server stamped who changed settings, from before the change on. Always false before Kubernetes 1.36."
        ),
    ] = False
    changes: Annotated[
        tuple[SettingChange, ...], Field(max_length=2 * SETTINGS_MAX, description="What changed; nothing in the first record.")
    ] = ()
    summary: Annotated[str, Field(max_length=1024, description="The change as a sentence.")]
    states: Annotated[tuple[SettingState, ...], Field(max_length=SETTINGS_MAX, description="Every setting at that time.")] = ()
    key: Annotated[str, Field(max_length=16, description="Id of the key of the HMACs.")]
    previous_digest: Annotated[Digest | None, Field(description="Digest of the record before; none for the first.")] = None
    digest: Annotated[Digest, Field(description="SHA-256 over the canonical JSON (RFC 8785) of the spec without this field.")]
