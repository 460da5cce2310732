"""Keeps conversations on the version that they began on: asks the journal once whose a conversation is, and remembers the answer.

It follows the App's policy by a long poll, and reports which conversations had a turn. An App without `spec.sessions` costs one request at
the start. It sends no turn anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from dynamiq_runtime.errors import HttpError
from dynamiq_runtime.journal import NOT_NOW, Journal, JournalAwayError, JournalRefusedError
from dynamiq_runtime.logs import log
from dynamiq_runtime.metrics import SESSION_UNKNOWN, Metrics

POLL = 25.0  # seconds for which the journal may hold a read of the policy until it changes
ASK_WITHIN = 5.0  # seconds of a first turn for the journal
AWAY_WITHIN = 1.0  # the same once it was away for all of them: callers must not wait so long through an outage
AT_ONCE = 32  # requests for first turns at the same time, so that a burst of callers is none of connections
AGAIN, AGAIN_MOST = 0.2, 3.0  # seconds before a request that failed is sent again: doubled up to the second
REPORT = 15.0  # most seconds until a turn is reported
REPORTED = 5000  # conversations of one report
LAST_REPORT = 0.5  # seconds of a stop for the last report
WOKEN_FOR = 2.0  # seconds after which pods are woken again: a wake holds for 5
MOST = 40_000
"""Conversations that a pod remembers, at most 480 bytes each with the report of a turn. It asks again for others."""
RETRY_AFTER = "1"


class Place(NamedTuple):
    """The version that answers a turn, and the row of the conversation; None if that is unknown."""

    pins: str
    sequence: int | None


@dataclass(frozen=True)
class Policy:
    """An App's rules for conversations, and the placement of its rows. `idle`: seconds. `taken`: pins, and since when, in seconds since 1970."""

    idle: float
    refuses: bool
    live: str | None
    closed: frozenset[str]
    taken: tuple[str, float] | None
    rows: Mapping[str, int]


class _Known:
    """A conversation. `used`: of a monotonic clock. `began`: seconds since 1970. `epoch`: the one in which its place was certain."""

    __slots__ = ("began", "epoch", "pins", "sequence", "used")

    def __init__(self, pins: str, sequence: int | None, began: float, epoch: int, used: float) -> None:
        self.pins, self.sequence, self.began, self.epoch, self.used = pins, sequence, began, epoch, used


class Conversations:
    """The conversations of one App as one pod knows them, for its event loop. `pins`: the pod's own."""

    def __init__(self, journal: Journal, pins: str, metrics: Metrics) -> None:
        self.policy: Policy | None = None
        self.pins = pins
        self._journal, self._metrics = journal, metrics
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._turns: Counter[bytes] = Counter()
        self._used: dict[bytes, float] = {}
        """Conversations to report, with their last turn."""
        self._services: dict[str, str] = {}
        self._epoch, self._is_away = 0, False
        self._asking: dict[bytes, asyncio.Task[Place | None]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._woken: dict[str, float] = {}
        self._many = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_asked = asyncio.Event()
        """Set once the journal has been asked for the policy, with or without an answer."""
        self._mentioned = asyncio.Event()
        """Set by an answer that says that the App has conversations."""
        journal.hears.append(lambda answer: self._mentioned.set() if answer.get("sessions") is True else None)

    def begin(self) -> None:
        """Reads the policy, and follows it if there is one."""
        self._spawn(self._follow())
        self._spawn(self._report_on())

    async def close(self) -> None:
        """Ends, and reports the last turns."""
        for task in (*self._tasks, *self._asking.values()):
            task.cancel()
        if self.policy is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_REPORT):
                    await self._report(self.policy)

    def row_of(self, pins: str | None) -> int | None:
        """Returns the newest row of some pins; None if it is unknown, or there are no conversations."""
        return None if self.policy is None or pins is None else self.policy.rows.get(pins)

    def service_of(self, pins: str) -> str | None:
        return self._services.get(pins)

    def is_closed(self, pins: str) -> bool:
        """Returns True if no conversation may go on with these pins."""
        return self.policy is not None and pins in self.policy.closed

    @contextmanager
    def turn(self, session: bytes) -> Iterator[None]:
        """Keeps a conversation from becoming idle while the block runs."""
        self._turns[session] += 1
        try:
            yield
        finally:
            self._turns[session] -= 1
            if not self._turns[session]:
                del self._turns[session]
            self._use(session, time.monotonic())

    async def may_be_kept(self) -> bool:
        """Returns True if the App has conversations. A call that comes before a new pod could ask waits for that, but not for a journal that is away."""
        if not self._has_asked.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_WITHIN):
                    await self._has_asked.wait()
        return self.policy is not None

    async def place(self, session: bytes) -> Place:
        """Returns where a turn is answered. A new conversation belongs to this pod's pins from now on. Raises HttpError 503 if it is unknown."""
        policy, now = self.policy, time.monotonic()
        if policy is None:
            return Place(self.pins, None)
        known = self._known.get(session)
        if known is not None and known.epoch == self._epoch and now - known.used < policy.idle / 2:
            place: Place | None = Place(known.pins, known.sequence)
        else:
            place = await self._asked(session)
        self._use(session, now)
        return place or self._unknown(session, policy)

    def forget(self, session: bytes) -> None:
        """Drops what is known of a conversation: it was wrong."""
        self._known.pop(session, None)

    def wake(self, pins: str) -> None:
        """Tells the journal that a turn waits for a pod of these pins, unless it has been told just now."""
        now = time.monotonic()
        if now - self._woken.get(pins, -WOKEN_FOR) >= WOKEN_FOR:
            self._woken = {each: at for each, at in self._woken.items() if now - at < WOKEN_FOR} | {pins: now}
            self._spawn(self._wake(pins))

    async def _wake(self, pins: str) -> None:
        with contextlib.suppress(JournalAwayError, JournalRefusedError):  # refused: the policy will say that they are closed
            await self._journal.wake(pins)

    def _use(self, session: bytes, now: float) -> None:
        known = self._known.get(session)
        if known is None:
            return
        known.used = now
        self._known.move_to_end(session)
        is_one_more = session not in self._used
        if len(self._used) < MOST or not is_one_more:
            self._used[session] = now
        if is_one_more and len(self._used) == REPORTED:  # once: a journal that is away is not told again with each turn
            self._many.set()

    def _unknown(self, session: bytes, policy: Policy) -> Place:
        """Returns where a turn is answered while the journal cannot be asked. Raises HttpError 503 if the App refuses it."""
        known = self._known.get(session)
        if known is not None and time.monotonic() - known.used < policy.idle and not _has_moved(known, policy):
            return Place(known.pins, known.sequence)
        self._metrics.count_unknown_session()
        if policy.refuses:
            message = "the journal, which knows the version of this conversation, does not answer: try again"
            raise HttpError(503, SESSION_UNKNOWN, message, retry_after=RETRY_AFTER)
        pins = policy.live if self.is_closed(self.pins) and policy.live else self.pins
        return Place(pins, policy.rows.get(pins))

    async def _asked(self, session: bytes) -> Place | None:
        """Asks the journal, once for all turns that wait for the same answer. Returns None if it cannot be asked."""
        if (asking := self._asking.get(session)) is None:
            asking = self._asking[session] = asyncio.create_task(self._ask(session))
            asking.add_done_callback(lambda _: self._asking.pop(session, None))
        return await asyncio.shield(asking)

    async def _ask(self, session: bytes) -> Place | None:
        was_away = self._is_away
        try:
            async with asyncio.timeout(AWAY_WITHIN if was_away else ASK_WITHIN), self._places:
                while True:
                    try:
                        return self._learn(session, await self._journal.session(session.hex()))
                    except JournalAwayError:
                        if was_away:
                            return None
                    except JournalRefusedError as error:
                        if error.status not in NOT_NOW:
                            return self._refused(error)
                    await asyncio.sleep(AGAIN)
        except TimeoutError:
            self._is_away = True
            return None

    def _learn(self, session: bytes, answer: Mapping[str, Any]) -> Place:
        data, self._is_away = answer["data"], False
        self._note_epoch(answer)
        place = Place(sys.intern(data["pins"]), data["sequence"])
        self._note_service(place.pins, data["service"])
        # An answer of an epoch that has passed is asked for again by the next turn.
        epoch = self._epoch if answer["epoch"] == self._epoch else answer["epoch"]
        self._known[session] = _Known(*place, _seconds(data["began_at"]), epoch, time.monotonic())
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return place

    def _refused(self, error: JournalRefusedError) -> Place | None:
        self._is_away = False
        if error.code == "no_sessions":  # the policy will follow
            return Place(self.pins, None)
        pins = error.details.get("pins")
        if error.code == "moved" and isinstance(pins, str):
            self._note_service(pins, error.details.get("service"))
            return Place(pins, self.row_of(pins))
        log("the journal refuses a conversation", level="error", code=error.code, reason=str(error)[:200])
        return None

    def _note_service(self, pins: str, service: object) -> None:
        if isinstance(service, str):
            self._services[pins] = service

    def _note_epoch(self, answer: Mapping[str, Any]) -> None:
        """Notes that conversations have moved: each is asked for once more. The policy, which says which, may come a moment later."""
        self._epoch = max(self._epoch, answer["epoch"])

    async def _follow(self) -> None:
        """Reads the policy while there is one, each time it changes. Without one it waits until the journal mentions conversations."""
        version, pause = None, AGAIN
        while True:
            try:
                answer = await self._journal.sessions_policy(version, POLL if self.policy is not None else 0)
                self._apply(answer)
                self._has_asked.set()
                version, pause, self._is_away = str(answer["version"]), AGAIN, False
            except JournalRefusedError as error:
                self._has_asked.set()
                if error.status not in NOT_NOW:  # a journal from before conversations
                    self.policy = None
                else:
                    await asyncio.sleep(AGAIN_MOST)
                    continue
            except JournalAwayError:
                self._has_asked.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, AGAIN_MOST)
                continue
            if self.policy is None:
                version = None
                self._mentioned.clear()
                await self._mentioned.wait()

    def _apply(self, answer: Mapping[str, Any]) -> None:
        self._epoch = answer["epoch"]
        if (rules := answer["policy"]) is None:
            self.policy = None
            self._known.clear()
            self._used.clear()
            return
        taken = answer["taken"]
        self._services = {pins: service for pins, service in answer["services"].items() if service}
        self.policy = Policy(
            idle=float(rules["idle"]),
            refuses=rules["when_unknown"] == "Refuse",
            live=answer["live"],
            closed=frozenset(answer["closed"]),
            taken=None if taken is None else (taken["pins"], _seconds(taken["before"])),
            rows=answer["rows"],
        )

    async def _report_on(self) -> None:
        while True:
            every = REPORT if self.policy is None else min(self.policy.idle / 4, REPORT)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await self._many.wait()
            self._many.clear()
            if self.policy is not None:
                await self._report(self.policy)

    async def _report(self, policy: Policy) -> None:
        """Reports conversations that had a turn, or have one. The rest is reported next time, unless it is idle by then."""
        now = time.monotonic()
        for session in self._turns:
            self._use(session, now)
        used, self._used = self._used, {}
        sessions = [(session, at) for session, at in used.items() if now - at < policy.idle]
        for start in range(0, len(sessions), REPORTED):
            part = sessions[start : start + REPORTED]
            try:
                answer = await self._journal.seen({session.hex(): round((now - at) * 1000) for session, at in part})
            except (JournalAwayError, JournalRefusedError):
                self._used = dict(sessions[start:]) | self._used
                return
            self._is_away = False
            self._note_epoch(answer)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _has_moved(known: _Known, policy: Policy) -> bool:
    """Returns True if a conversation was moved off its pins."""
    if known.pins in policy.closed:
        return True
    return policy.taken is not None and known.pins != policy.taken[0] and known.began < policy.taken[1]


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
