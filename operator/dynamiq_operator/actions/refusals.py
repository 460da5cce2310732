"""Why something that was asked cannot be done, in a sentence with the next step. What the API server refuses stays its ApiError."""

from __future__ import annotations

from dynamiq_operator.kube.errors import ApiError


class Refusal(Exception):  # noqa: N818 - what is refused is no failure of the program
    """It can't be done as asked. `field`: the part of the request that is wrong, as the record's spec names it, or empty."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Unknown(Refusal):
    """Something that was named does not exist, or the caller may not see it."""


class Taken(Refusal):
    """A name or hostname belongs to something else already."""


class NotAllowed(Refusal):
    """The caller lacks a right, which the message names."""


def refused(error: ApiError) -> Refusal:
    """What the API server found invalid, without the name of an object that was never made."""
    _, found, reason = str(error).partition(" is invalid: ")
    return Refusal(reason if found else str(error))
