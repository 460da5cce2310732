"""Defines the refusals of actions: one exception for each cause, with a sentence that has the next step.

REST translates each class into a status (`rest/http/errors.py`), the plugin into a sentence and an exit code. An error of the API
server stays its `kube.errors.ApiError`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from dynamiq_operator.kube.errors import ApiError


class Refusal(Exception):  # noqa: N818 - what is refused is no failure of the program
    """A request that cannot be performed.

    `field`: the wrong part of the request, as the object's spec names it, or empty. `reason`: the message on that field, by default the
    whole message.
    """

    def __init__(self, message: str, field: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.field, self.reason = field, reason or message


class InvalidField(Refusal):
    """A field of the request with an invalid value."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}", field, reason)


class BrokenFlow(InvalidField):
    """A flow that no engine runs as intended."""

    def __init__(self, reason: str) -> None:
        super().__init__("flow", reason)


class Unknown(Refusal):
    """A named object that does not exist, or that the caller may not see."""


class Taken(Refusal):
    """A name or hostname that another object has."""


class NotNow(Refusal):
    """A request that the object's state, or the writes of others, prevent at this moment. It may be valid later."""


class Difference(NamedTuple):
    """A field of a deploy, with its confirmed value and its value now."""

    field: str
    confirmed: Any
    now: Any


class Changed(Refusal):
    """A confirmed request that would now do something else. Nothing was done. `what`: the thing that changed, in words."""

    def __init__(self, differences: Sequence[Difference], what: str = "what would be deployed") -> None:
        changes = "; ".join(f"{each.field} was {_shown(each.confirmed)} and is {_shown(each.now)} now" for each in differences)
        super().__init__(f"nothing was done, since {what} has changed after the preview: {changes}")
        self.differences = tuple(differences)


class Need(NamedTuple):
    """An object that a variable reads and that a namespace lacks. `is_there`: the object exists, and only its key is missing."""

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
    """An environment without the objects that the pods of an App need to start. `needs`: at least one, all of one namespace."""

    def __init__(self, environment: str, needs: Sequence[Need]) -> None:
        super().__init__(f"{environment} lacks something in namespace {needs[0].namespace}: {'; '.join(map(str, needs))}")
        self.needs = tuple(needs)


class NotAllowed(Refusal):
    """A right that the caller lacks. The message names it."""


class LeftBehind(Refusal):
    """An action that failed halfway. `cause`: why. `left`: the object that it made and could not delete again, with its `uid`."""

    def __init__(self, cause: ApiError | Refusal, left: str, uid: str) -> None:
        super().__init__(f"{cause}; {left}")
        self.cause, self.left, self.uid = cause, left, uid


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def unknown_object(what: str, uid: str) -> Unknown:
    """Returns the refusal of an object that is named by its id."""
    # The same words for an object that is missing and for one that the caller may not see: they must not reveal that it exists.
    return Unknown(f"no {what} has the id {uid}, or you may not see it")


def admission_message(error: ApiError) -> str:
    """Returns the message of the admission policy that refused a request; empty if none did."""
    return str(error).partition(" denied request: ")[2]


def refused(error: ApiError) -> Refusal:
    """Returns the refusal of a request that the API server found invalid, without the name of an object that was never created."""
    if message := admission_message(error):
        return Refusal(message)
    _, separator, reason = str(error).partition(" is invalid: ")
    return Refusal(reason if separator else str(error))
