"""The conversations that a placement has moved to another version, as the journal answered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MovedSessions:
    """`count` conversations of one version. `key`: tells this move from others.

    `version`: theirs, empty if unknown. `to`: the one that answers them now, empty if none does. `why`: a clause.
    """

    count: int
    version: str
    to: str
    why: str
    key: str

    @property
    def message(self) -> str:
        some = "1 conversation" if self.count == 1 else f"{self.count} conversations"
        were, to = "was" if self.count == 1 else "were", f" to {self.to}" if self.to else ""
        return f"{some} of {self.version or 'an earlier version'} {were} moved{to}: {self.why}"
