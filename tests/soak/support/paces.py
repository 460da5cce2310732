"""Sends calls at a steady pace, which waits only while what has to happen meanwhile is late."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.support.waiting import eventually

AHEAD = 20
"""Calls by which callers may be ahead of what happens meanwhile."""
KEPT_UP_WITHIN = 1200.0
CALLERS = 40

Action = Callable[[], None]
Due = tuple[int, Action]
"""An action, and after how many calls it is due."""


@dataclass
class Pace:
    """Calls, each with its number, and how many of them a second. `done`: how many have had their answer. `began`: Unix seconds."""

    count: int
    rate: float
    call: Callable[[int], None]
    done: Callable[[], int]
    began: float = field(default_factory=time.time)
    _due: int = 0

    def spread(self, phase: float, actions: Iterable[Action]) -> Iterator[Due]:
        """Yields actions with the number of calls at which each is due: one in each part of the calls, at its phase."""
        actions = list(actions)
        for number, action in enumerate(actions):
            yield round(self.count * 0.95 * (number + phase) / len(actions)), action

    def keep(self, actions: Iterable[Due], after: Action = lambda: None) -> float:
        """Calls, and takes the actions meanwhile; `after`: is called after each. Returns the seconds until the last answer."""
        with ThreadPoolExecutor(CALLERS) as threads, ThreadPoolExecutor(1) as pace:
            calls: list[Future[None]] = []
            paced = pace.submit(self._send, threads, calls)
            for due, action in sorted(actions, key=lambda each: each[0]):
                self._due = due
                eventually(f"{due} calls are answered", lambda due=due: self.done() >= due or paced.done(), KEPT_UP_WITHIN)  # type: ignore[misc]
                action()
                after()
            self._due = self.count
            paced.result()
            for call in calls:
                call.result()
        return time.time() - self.began

    def _send(self, threads: ThreadPoolExecutor, calls: list[Future[None]]) -> None:
        due = time.monotonic()
        for number in range(self.count):
            eventually("what happens meanwhile keeps up", lambda number=number: self._due + AHEAD > number, KEPT_UP_WITHIN)  # type: ignore[misc]
            due = max(due + 1 / self.rate, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))  # no condition is awaited: this is the pace
            calls.append(threads.submit(self.call, number))
