"""Defines faults of the proxy: what can go wrong between an operator and its API server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.support.faults.proxy import Answer, Call, Cut, Fault


@dataclass
class Kill(Fault):
    """Ends a process (SIGKILL) at the `nth` request of a name: before the API server gets it, or after it was carried out."""

    name: str
    nth: int
    after_it: bool
    process: Callable[[], int]
    done: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    async def before(self, call: Call) -> Answer | None:
        if not self.after_it and self._is_it(call):
            self._kill()
        return None

    async def after(self, call: Call) -> None:
        if self.after_it and self._is_it(call):
            self._kill()

    def _is_it(self, call: Call) -> bool:
        return not self.done.is_set() and (call.name, call.nth) == (self.name, self.nth)

    def _kill(self) -> None:
        os.kill(self.process(), signal.SIGKILL)
        self.done.set()
        raise Cut


@dataclass
class KillAtEachKind(Fault):
    """Ends a process (SIGKILL) at the first write of each kind, alternately before the API server gets it and after it was carried out.

    `kind_of` names the kind of a write, or None for one that passes. `killed`: the kinds, with True if it was after the write.
    """

    kind_of: Callable[[Call], str | None]
    process: Callable[[], int]
    killed: dict[str, bool] = field(default_factory=dict)
    at: Call | None = None

    async def before(self, call: Call) -> Answer | None:
        kind = self.kind_of(call)
        if kind is not None and kind not in self.killed and self.at is None:
            self.killed[kind] = len(self.killed) % 2 == 1
            if not self.killed[kind]:
                self._kill()
            self.at = call
        return None

    async def after(self, call: Call) -> None:
        if self.at is call:
            self._kill()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # a request of a process that was ended meanwhile
            os.kill(self.process(), signal.SIGKILL)
        self.at = None
        raise Cut


@dataclass
class KillAtWrite(Fault):
    """Ends a process (SIGKILL) at the `nth` write from now on, Events and Leases not counted. `name`: the write's, once it has occurred."""

    nth: int
    after_it: bool
    process: Callable[[], int]
    name: str = ""
    seen: list[Call] = field(default_factory=list)

    async def before(self, call: Call) -> Answer | None:
        if call.is_write and not (call.is_event or call.is_lease):
            self.seen.append(call)
            if not self.after_it and self._is_it(call):
                self._kill(call)
        return None

    async def after(self, call: Call) -> None:
        if self.after_it and self._is_it(call):
            self._kill(call)

    def _is_it(self, call: Call) -> bool:
        return not self.name and 0 < self.nth <= len(self.seen) and self.seen[self.nth - 1] is call

    def _kill(self, call: Call) -> None:
        os.kill(self.process(), signal.SIGKILL)
        self.name = call.name
        raise Cut


class Fails(Fault):
    """Answers a share of all requests with one of some errors, by a seeded chance."""

    def __init__(self, share: float, *answers: Answer, seed: int = 0) -> None:
        self._share, self._answers = share, answers
        self._chance = random.Random(seed)  # noqa: S311
        self.count = 0

    async def before(self, call: Call) -> Answer | None:
        if self._chance.random() >= self._share:
            return None
        self.count += 1
        return self._chance.choice(self._answers)


INTERNAL = Answer(500, "InternalError")
TOO_MANY = Answer(429, "TooManyRequests", {"Retry-After": "1"})
UNAVAILABLE = Answer(503, "ServiceUnavailable")
CONFLICT = Answer(409, "Conflict")


class LosesAnswers(Fault):
    """Cuts the connection after a share of the writes: the API server carried them out, and the operator gets no answer."""

    def __init__(self, share: float, seed: int = 0) -> None:
        self._share, self._chance = share, random.Random(seed)  # noqa: S311
        self.count = 0

    async def after(self, call: Call) -> None:
        if call.is_write and self._chance.random() < self._share:
            self.count += 1
            raise Cut


class CutsWatches(Fault):
    """Cuts every watch this many seconds after it began."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.count = 0

    async def watching(self, call: Call) -> None:
        await asyncio.sleep(self._seconds)
        self.count += 1


class Down(Fault):
    """Answers 503 to everything for some seconds."""

    def __init__(self) -> None:
        self.is_down = threading.Event()
        self.count = 0

    @contextlib.contextmanager
    def for_seconds(self, seconds: float) -> Iterator[None]:
        """Is down while the block runs, and for at least so many seconds."""
        began = time.monotonic()
        self.is_down.set()
        try:
            yield
            time.sleep(max(seconds - (time.monotonic() - began), 0))
        finally:
            self.is_down.clear()

    async def before(self, call: Call) -> Answer | None:
        if not self.is_down.is_set():
            return None
        self.count += 1
        return UNAVAILABLE


class HidesDeletions(Fault):
    """Hides deletions of a resource from watches."""

    def __init__(self, resource: str) -> None:
        self._resource = f"/{resource}"
        self.count = 0

    def passes(self, call: Call, line: bytes) -> bool:
        if not call.path.endswith(self._resource) or json.loads(line)["type"] != "DELETED":
            return True
        self.count += 1
        return False


class Holds(Fault):
    """Holds the first request of a name until it is let go: a request with a long transit."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.held, self.let_go = threading.Event(), threading.Event()
        self.call: Call | None = None

    async def before(self, call: Call) -> Answer | None:
        if call.name == self._name and not self.held.is_set():
            self.call = call
            self.held.set()
            await asyncio.to_thread(self.let_go.wait)
        return None


class Wrong(Fault):
    """While it is switched on, gives its requests `answer`; with None it never answers."""

    def __init__(self, answer: Answer | None, about: Callable[[Call], bool] = lambda _: True) -> None:
        self._answer, self._about = answer, about
        self.is_on = threading.Event()

    async def before(self, call: Call) -> Answer | None:
        if not self.is_on.is_set() or not self._about(call):
            return None
        self.count += 1
        if self._answer is None:
            await asyncio.Event().wait()  # also after it is switched off: a hanging connection does not recover
        return self._answer


class WrongLists(Wrong):
    """Does the same to lists. Watches are too old meanwhile, so that lists follow."""

    def __init__(self, answer: Answer | None) -> None:
        super().__init__(answer, lambda call: call.method == "GET" and not call.is_watch and "limit=" in call.query)

    async def before(self, call: Call) -> Answer | None:
        if self.is_on.is_set() and call.is_watch:
            return Answer(410, "Expired")
        return await super().before(call)


class Resets(Wrong):
    """Cuts the connection, before the API server gets the request, or after it has carried it out."""

    def __init__(self, *, after_it: bool, about: Callable[[Call], bool] = lambda _: True) -> None:
        super().__init__(None, about)
        self._after_it = after_it

    async def before(self, call: Call) -> Answer | None:
        if not self._after_it:
            self._cut(call)
        return None

    async def after(self, call: Call) -> None:
        if self._after_it:
            self._cut(call)

    def _cut(self, call: Call) -> None:
        if self.is_on.is_set() and self._about(call):
            self.count += 1
            raise Cut


class Silent(Wrong):
    """Silences watches that were open while it was on: they never send anything again, not even their end."""

    def __init__(self) -> None:
        super().__init__(None, lambda _: False)
        self._silenced: set[int] = set()

    def silences(self, call: Call) -> bool:
        if self.is_on.is_set() and id(call) not in self._silenced:
            self._silenced.add(id(call))
            self.count += 1
        return id(call) in self._silenced
