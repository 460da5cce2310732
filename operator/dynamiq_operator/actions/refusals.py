"""Why something that was asked cannot be done, in a sentence with the next step: one vocabulary for every surface.

REST translates each class into a status (`rest/http/errors.py`), the plugin into a sentence and an exit code. What the API server
refuses stays its `kube.errors.ApiError`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from dynamiq_operator.kube.errors import ApiError


class Refusal(Exception):  # noqa: N818 - what is refused is no failure of the program
    """It can't be done as asked.

    `field`: the part of the request that is wrong, as the object's spec names it, or empty. `reason`: what is said of that field, the
    whole message where nothing shorter is given.
    """

    def __init__(self, message: str, field: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.field, self.reason = field, reason or message


class InvalidField(Refusal):
    """A field of the request has a value that it can't have."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}", field, reason)


class BrokenFlow(InvalidField):
    """A flow that no engine runs as it is meant."""

    def __init__(self, reason: str) -> None:
        super().__init__("flow", reason)


class Unknown(Refusal):
    """Something that was named does not exist, or the caller may not see it."""


class Taken(Refusal):
    """A name or hostname belongs to something else already."""


class NotNow(Refusal):
    """It would be valid at another time: the state that the object is in, or the writes of others, do not allow it at this moment."""


class Difference(NamedTuple):
    """A part of what would be deployed: its value as it was confirmed, and as it is now."""

    field: str
    confirmed: Any
    now: Any


class Changed(Refusal):
    """What would be done now is not what was confirmed. Nothing was done. `what` changed, in words."""

    def __init__(self, differences: Sequence[Difference], what: str = "what would be deployed") -> None:
        said = "; ".join(f"{each.field} was {_shown(each.confirmed)} and is {_shown(each.now)} now" for each in differences)
        super().__init__(f"nothing was done, since {what} has changed after the preview: {said}")
        self.differences = tuple(differences)


class Need(NamedTuple):
    """What a variable reads, and is not in a namespace. `is_there`: whether the object is, and its key alone is not."""

    kind: str
    name: str
    namespace: str
    key: str
    variable: str
    is_there: bool

    def __str__(self) -> str:
        what = f"key {self.key} of {self.kind} {self.name}" if self.is_there else f"{self.kind} {self.name} with a key {self.key}"
        return f"variable {self.variable} needs {what}"


class Lacks(Refusal):
    """An environment lacks what the pods of an App need to start. `needs`: what, at least one; all of one namespace."""

    def __init__(self, environment: str, needs: Sequence[Need]) -> None:
        super().__init__(f"{environment} lacks something in namespace {needs[0].namespace}: {'; '.join(map(str, needs))}")
        self.needs = tuple(needs)


class NotAllowed(Refusal):
    """The caller lacks a right, which the message names."""


class LeftBehind(Refusal):
    """An action failed halfway. `cause`: why; `left`: what it had made and could not delete again, with its `uid`."""

    def __init__(self, cause: ApiError | Refusal, left: str, uid: str) -> None:
        super().__init__(f"{cause}; {left}")
        self.cause, self.left, self.uid = cause, left, uid


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def unknown_object(what: str, uid: str) -> Unknown:
    """Of an object named by its id: what the caller may not see is refused in the same words."""
    return Unknown(f"no {what} has the id {uid}, or you may not see it")


def said_by_admission(error: ApiError) -> str:
    """The sentence of the admission policy that refused a request; empty where none did."""
    return str(error).partition(" denied request: ")[2]


def refused(error: ApiError) -> Refusal:
    """What the API server found invalid, without the name of an object that was never made."""
    if said := said_by_admission(error):
        return Refusal(said)
    _, found, reason = str(error).partition(" is invalid: ")
    return Refusal(reason if found else str(error))
