"""Decides whose a conversation is: of the pins that it began with, until these are closed, or another version takes it. It reads no clock."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from dynamiq_recorder.journal.model import MICROSECONDS, Refused

HASH = 16
"""Bytes of the SHA-256 of a conversation's id that are kept."""
STEPS = 64
"""Parts of idleSeconds that reports of pods are rounded up to: a report is then few changes."""


class PlacedRow(msgspec.Struct, frozen=True):
    """The newest row of some pins. `service`: by which other pods of the App reach its pods."""

    sequence: int
    service: str | None = None
    workflow_hash: str | None = None


class Taken(msgspec.Struct, frozen=True):
    """The pins of the row that has taken all conversations that began on other pins before a time."""

    pins: str
    before: int


class Session(msgspec.Struct, frozen=True):
    """A conversation. `sequence`: of the row that its pins had when it began."""

    pins: str
    sequence: int | None
    began_at: int
    last_seen: int


class Placement(msgspec.Struct, frozen=True):
    """The placement of an App's conversations. `rows`: by pins. `closed`: pins that have no conversation any more.

    `epoch`: rises when conversations move. `digest`: None before the operator has sent one.
    """

    live: str | None = None
    rows: Mapping[str, PlacedRow] = {}
    closed: tuple[str, ...] = ()
    taken: Taken | None = None
    epoch: int = 0
    digest: str | None = None

    def row(self, pins: str) -> PlacedRow | None:
        return self.rows.get(pins)

    def service(self, pins: str | None) -> str | None:
        row = self.rows.get(pins or "")
        return row.service if row is not None else None

    def sequence(self, session: Session) -> int | None:
        """Returns the row of a conversation. One that began before its row was known has the row that its pins have now."""
        row = self.rows.get(session.pins)
        return session.sequence if session.sequence is not None or row is None else row.sequence

    def has_moved(self, session: Session) -> bool:
        """Returns True if a conversation does not belong to its pins any more, also before its line is deleted."""
        if session.pins in self.closed:
            return True
        return self.taken is not None and session.pins != self.taken.pins and session.began_at < self.taken.before

    def check_open(self, pins: str) -> None:
        """Raises Refused with the live pins if these have no conversation any more."""
        if pins in self.closed:
            message = "these pins have no conversation any more: send the call on to the live ones"
            raise Refused("moved", message, {"pins": self.live, "service": self.service(self.live)})

    def begun(self, pins: str, now: int) -> Session:
        """Returns a new conversation of these pins."""
        row = self.rows.get(pins)
        return Session(pins, row.sequence if row is not None else None, now, now)

    def after(self, before: Placement, digest: str) -> Placement:
        """Returns it as it follows another one."""
        moves = (set(self.closed), self.taken) != (set(before.closed), before.taken)
        return msgspec.structs.replace(self, epoch=before.epoch + moves, digest=digest)


def hash_of(session_id: str) -> str:
    """Returns what is kept of a conversation's id."""
    return hashlib.sha256(session_id.encode("utf-8", "replace")).digest()[:HASH].hex()


def moments(ages: Mapping[str, int], now: int, idle: int) -> dict[int, list[str]]:
    """Collects conversations by when they had their last turn. `ages`: milliseconds since then. `idle`: idleSeconds.

    Times are rounded up, so that none ends too early. Those of longer ago than `idle` are left out.
    """
    step = max(idle * 1000 // STEPS, 1)
    groups: dict[int, list[str]] = {}
    for session, age in ages.items():
        if age <= idle * 1000:
            groups.setdefault(now - age // step * step * (MICROSECONDS // 1000), []).append(session)
    return groups


def is_fresh(session: Session, now: int, idle: int) -> bool:
    """Returns True if a conversation had a turn so lately that nothing has to be noted: it does not end before its pods report it."""
    return now - session.last_seen < idle * MICROSECONDS // 2
