"""What callers may have of a gate: numbers that are given, and those that follow from its memory.

Each part of the memory is bounded by itself, and all parts together leave room. docs/capacity.md has the arithmetic, and
`python -m tests.bench.gate_memory` measures what it is made of.
"""

from __future__ import annotations

from dataclasses import dataclass

OWN = 128 << 20
"""Bytes of the gate itself, and of what it knows of Apps: a quarter of its memory, and at least so many."""
CONNECTION = 8 << 10
"""Bytes of a caller that has sent no call yet, without what it has sent."""
CALL = 32 << 10
"""Bytes of a call under way: its two connections, and what is known of it."""
PARSED = 3
"""Bytes that a byte of a head takes once it was read."""
ANSWERED = 8 << 10
"""Bytes of an answer's head that each call counts with; those beyond are counted as they come."""
AHEAD = 320 << 10
"""Bytes that a body takes, at most, which comes faster than it is passed on: most of them are the kernel's."""


@dataclass(frozen=True)
class Limits:
    """What one process takes.

    Calls: `held` of one App, `failing` of one that could not be woken for long, and `under_way` in all, held and forwarded.
    `body`: bytes of one. Bytes of all together: `heads` that have no end yet, `calls` that are under way,
    `answers` that their callers do not take, `runs` that are on their way to the recorder.
    `connections`: of callers, those without a call among them. `head_within`: seconds in which one has to have sent the head of its call.
    `taken_within`: seconds in which one has to take something of an answer that is there, as at an App's runtime.
    `fails_after`: seconds after which an App that has no ready pod counts as one that cannot be woken.
    """

    held: int = 1000
    under_way: int = 5000
    body: int = 1 << 30
    failing: int = 100
    connections: int = 16_384
    heads: int = 54 << 20
    calls: int = 336 << 20
    answers: int = 128 << 20
    runs: int = 64 << 20
    head_within: float = 10.0
    taken_within: float = 30.0
    fails_after: float = 120.0

    @classmethod
    def within(cls, memory: int, held: int, under_way: int, body: int) -> Limits:
        """The limits of a process that has so many bytes."""
        callers = memory - min(max(OWN, memory // 4), memory // 2)
        return cls(
            held,
            under_way,
            body,
            connections=callers // 6 // CONNECTION,
            heads=callers // 14,
            calls=callers * 7 // 16,
            answers=callers // 6,
            runs=callers // 12,
        )

    def cost(self, head: int, body: int | None) -> int:
        """Bytes that a call counts as, with a head and a body of so many, or None. Calls that are `under_way` use up all there are."""
        ahead = AHEAD if body is None else min(body, AHEAD)
        return max(CALL + PARSED * (head + ANSWERED) + ahead, self.calls // self.under_way)
