"""Cleans text so that every database takes it: no NUL, no half of a surrogate pair. Senders decide what is in their names."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from dynamiq_recorder.model import Run, Span

S = TypeVar("S", bound=msgspec.Struct)

FOLDED = 2_000
"""Most characters of an error's text that are searched."""
_ENCODER = msgspec.json.Encoder()
_NUL = rb"\u0000"
_RUN = tuple(field.name for field in msgspec.structs.fields(Run) if field.name not in ("id", "spans") and "str" in str(field.type))
_SPAN = tuple(field.name for field in msgspec.structs.fields(Span) if "str" in str(field.type))


def storable(run: Run) -> Run:
    """Returns the run, with what no database takes replaced."""
    try:
        if _NUL not in _ENCODER.encode(run):  # one call checks all of it, since nearly every run is fit
            return run
    except UnicodeEncodeError:
        pass
    return msgspec.structs.replace(_cleaned(run, _RUN), spans=tuple(_cleaned(span, _SPAN) for span in run.spans))


def clean(text: str) -> str:
    return text if _fits(text) else text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def folded(error: str) -> str:
    """Returns an error's text as it is searched, ignoring case."""
    return clean(error)[:FOLDED].casefold()


def _fits(text: str) -> bool:
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _cleaned(part: S, names: tuple[str, ...]) -> S:
    changed: dict[str, object] = {}
    for name in names:
        value = getattr(part, name)
        if isinstance(value, str) and value.__class__ is str:
            changed[name] = clean(value)
        elif isinstance(value, tuple):
            changed[name] = tuple(map(clean, value))
    return msgspec.structs.replace(part, **changed)
