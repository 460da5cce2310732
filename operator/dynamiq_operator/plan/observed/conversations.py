"""The open conversations of an App's pins, as the journal counts them. A count that is unknown is never taken for none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Conversations:
    """The open conversations of one set of pins.

    - `recent`: those with a turn lately. `last_turn`: of all of them. `turns_wait`: True if one waits for a pod.
    - `before`: how many needed a pod before, more than after it: each with the time until which they did, the newest last.
    - `ended`: since when there is none.
    """

    total: int = 0
    recent: int = 0
    last_turn: datetime | None = None
    turns_wait: bool = False
    before: tuple[tuple[datetime, int], ...] = ()
    ended: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.total > 0 or self.turns_wait

    @property
    def lively(self) -> int:
        """The conversations that need a pod now."""
        return max(self.recent, int(self.turns_wait))

    def most_since(self, since: datetime) -> int:
        """Returns how many needed a pod at a time, at most, since then."""
        return max((self.lively, *(number for until, number in self.before if until > since)))

    def after(self, earlier: Conversations, now: datetime, keeps: timedelta) -> Conversations:
        """Returns these counts, which follow earlier ones, with a note of what they had more. Notes are kept for `keeps`."""
        noted = (*earlier.before, (now, earlier.lively))
        kept = tuple((until, number) for until, number in noted if number > self.lively and now - until < keeps)
        return replace(self, before=kept, ended=None if self.is_open else earlier.ended or now)


NO_CONVERSATION = Conversations()
