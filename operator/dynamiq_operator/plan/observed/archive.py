"""What the archive has said of rows that retention is about to let go."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Archive:
    """`acknowledged`: uids of rows that the archive has said it has, by their digests. `problem`: why there are others that it has not, in words."""

    acknowledged: frozenset[str] = frozenset()
    problem: str = ""
