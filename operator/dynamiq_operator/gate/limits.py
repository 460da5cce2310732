"""Defines what callers may use of a gate: configured numbers, and numbers derived from its memory.

Each part of the memory has its own limit, and all parts together leave room. docs/capacity.md has the arithmetic, and
`python -m tests.bench.gate_memory` measures its constants.
"""

from __future__ import annotations

from dataclasses import dataclass

from dynamiq_operator.serving.limits import HEAD_WITHIN, TAKEN_WITHIN

OWN = 128 << 20
"""Bytes of the gate itself and of its data on Apps: a quarter of its memory, at least this."""
CONNECTION = 8 << 10
"""Bytes of a caller that has sent no call yet, without the bytes it sent."""
CALL = 32 << 10
"""Bytes of a call under way: its two connections and its state."""
PARSED = 3
"""Bytes that a byte of a head takes once it is parsed."""
ANSWERED = 8 << 10
"""Bytes of a response's head that each call is charged in advance. More bytes are counted as they arrive."""
AHEAD = 320 << 10
"""Most bytes that a body takes if it arrives faster than it is forwarded. Most of them are the kernel's."""


@dataclass(frozen=True)
class Limits:
    """The limits of one process.

    Calls: `held` of one App, `failing` of one that could not be woken for long, and `under_way` in all, held and forwarded.
    `body`: bytes of one body. Bytes of all together: `heads` that are incomplete, `calls` under way, `answers` that callers do not take,
    `runs` on their way to the recorder. `connections`: of callers, with or without a call.
    `head_within`: seconds in which a caller must send its head. `taken_within`: seconds in which a caller must take some of a response that
    is ready, like at an App's runtime. `fails_after`: seconds without a ready pod after which an App counts as failing to wake.
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
    head_within: float = HEAD_WITHIN
    taken_within: float = TAKEN_WITHIN
    fails_after: float = 120.0

    @classmethod
    def within(cls, memory: int, held: int, under_way: int, body: int) -> Limits:
        """Returns the limits of a process with `memory` bytes."""
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
        """Returns the bytes that a call is charged, for a head and a body of these bytes; a body of None is of unknown size.

        At this cost, `under_way` calls use up all bytes.
        """
        ahead = AHEAD if body is None else min(body, AHEAD)
        return max(CALL + PARSED * (head + ANSWERED) + ahead, self.calls // self.under_way)
