"""Divides room among senders, of bytes or of whatever is counted: however much one namespace sends, another one finds some."""

from __future__ import annotations

from typing import NamedTuple

from dynamiq_operator.serving.shares import Shares


class Full(Exception):  # noqa: N818
    """A lack of room; the sender may try again."""


class Source(NamedTuple):
    """A sender whose room is counted. `app`: its uid, or the sender's name while the App is unknown.

    `is_pod`: True if a pod of the App reports its own runs.
    """

    namespace: str
    app: str
    is_pod: bool = True

    @property
    def path(self) -> tuple[str, ...]:
        """Returns the path of its share."""
        return (self.namespace, self.app) if self.is_pod else (self.namespace, self.app, "others")


def shares_of(most: int) -> Shares:
    """Returns the shares of a room: of one App at most three eighths, and of its senders that are no pods a quarter.

    Its pods thus find room beside those.
    """
    return Shares(most, most * 3 // 8, most // 4)


def require(has_room: bool) -> None:
    """Raises Full unless there is room."""
    if not has_room:
        raise Full
