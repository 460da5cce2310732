"""Reads from the journal, in the background, which Apps have open background runs and conversations: one long poll for all of them. It decides nothing.

Until the first answer, and while the journal is away for longer than AWAY, counts are unknown. The last ones are kept all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic

from dynamiq_operator.controller.background.conversations import ConversationCounts
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.kube.errors import backoff
from dynamiq_operator.kube.journal import FAILURES, OpenAnswer, journal_session, read_open, usable, with_callbacks
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.plan.observed.open_runs import NONE_OPEN, OpenCount, OpenRuns, PodLimit

EVERY = 1.0
"""Seconds between two answers at least."""
AWAY = 10.0
"""Seconds of failures after which counts are unknown."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 5.0
ENDED_KEPT = 600.0
"""Seconds for which it is kept when the last run of pins ended, or fewer pods were needed. Decisions look back for one minute."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _OfApp:
    """The counts of one App, by the digest of pins."""

    key: AppKey
    counts: dict[str, OpenCount]

    def facts(self, limits: Mapping[str, PodLimit]) -> dict[str, tuple[int | bool, ...]]:
        """Returns the part of the counts that may change a decision: an App with many runs is not reconciled for each."""
        return {
            pins: (
                limits.get(pins, PodLimit()).pods(count),
                *(count.queued > 0, count.running > 0, count.waiting > 0, count.held > 0, count.polled, count.questions > 0),
            )
            for pins, count in self.counts.items()
        }


class OpenRunsReader:
    """The journal's counts. `requeue`: called with each App whose plan they may change. `now`: the API server's clock.

    `hear`: called with each answer. Without `access` there is no journal, and every count stays unknown.
    """

    def __init__(
        self,
        requeue: Callable[[AppKey], None],
        now: Callable[[], datetime],
        access: RecorderAccess | None = None,
        clock: Callable[[], float] = monotonic,
        hear: Callable[[OpenAnswer], None] = lambda _: None,
    ) -> None:
        self._requeue, self._now, self._access, self._clock, self._hear = requeue, now, access, clock, hear
        self._by_app: dict[str, _OfApp] = {}
        self._unsent: dict[str, AppKey] = {}
        """The Apps, by uid, whose callbacks no pod sends."""
        self._talks = ConversationCounts(now)
        self._ended: dict[str, dict[str, tuple[datetime, float]]] = {}
        self._fewer: dict[str, dict[str, dict[int, tuple[datetime, float]]]] = {}
        self._limits: dict[str, Mapping[str, PodLimit]] = {}
        self._version = ""
        self._known_since: datetime | None = None
        self._failing_since: float | None = None

    def of(self, app_uid: str) -> OpenRuns:
        """Returns the last counts of an App."""
        own = self._by_app.get(app_uid)
        ended = {pins: at for pins, (at, _) in self._ended.get(app_uid, {}).items()}
        fewer = {pins: {pods: at for pods, (at, _) in each.items()} for pins, each in self._fewer.get(app_uid, {}).items()}
        counts, talks = own.counts if own is not None else {}, self._talks.of(app_uid)
        made = OpenRuns.by_digest(counts, self._known_since, ended, fewer, is_away=self._is_away, talks=talks)
        return replace(made, callbacks_wait=True) if app_uid in self._unsent else made

    def limit(self, app_uid: str, limits: Mapping[str, PodLimit]) -> None:
        """Sets how pods share the runs and conversations of the App's pins: it is requeued when they need another number of pods."""
        self._limits[app_uid] = limits

    @property
    def _is_away(self) -> bool:
        return self._access is None or (self._failing_since is not None and self._clock() - self._failing_since >= AWAY)

    async def run(self) -> None:
        """Reads until it is cancelled; never ends by itself."""
        if self._access is None:
            await asyncio.Event().wait()
            return
        async with journal_session(self._access) as session:
            failures = 0
            while True:
                begun = self._clock()
                try:
                    # After a failure the counts are asked for at once: a change may have been missed.
                    after = self._version if self._failing_since is None else ""
                    self._take(await read_open(session, self._access, after))
                    failures = 0
                except FAILURES as error:
                    failures += 1
                    self._note_failure(f"{type(error).__name__}: {error}")
                except Exception:
                    failures += 1
                    log.exception("reading the journal's counts has failed, and begins again")
                    self._note_failure("an error of the operator's own")
                pause = backoff(failures, FIRST_PAUSE, LONGEST_PAUSE) if failures else EVERY - (self._clock() - begun)
                await asyncio.sleep(max(pause, 0.0))

    def _take(self, answer: OpenAnswer) -> None:
        """Replaces the counts, and requeues the Apps that they concern."""
        was_known, before = self._known_since is not None, self._by_app
        self._version, self._failing_since = answer.version, None
        self._hear(answer)
        unsent, self._unsent = self._unsent, _unsent(answer)
        self._known_since = self._known_since or self._now()
        self._by_app = _by_app(answer)
        self._note_ended(before)
        self._note_fewer(before)
        talking = set(self._talks.take(answer, self._limits)) | (set(unsent.values()) ^ set(self._unsent.values()))
        self._limits = {uid: each for uid, each in self._limits.items() if uid in self._by_app or self._talks.of(uid)}
        if not was_known:
            log.info("the journal answers: %d Apps have open background runs", len(self._by_app))
            talking |= self._talks.apps()
        for uid in before.keys() | self._by_app.keys():
            one, other, limits = before.get(uid), self._by_app.get(uid), self._limits.get(uid, {})
            facts = [each.facts(limits) if each is not None else {} for each in (one, other)]
            if not was_known or facts[0] != facts[1]:
                talking |= {each.key for each in (one, other) if each is not None}
        for key in talking:
            self._requeue(key)

    def _note_ended(self, before: dict[str, _OfApp]) -> None:
        """Notes which pins have no open run any more, and forgets those of long ago."""
        now, moment = self._now(), self._clock()
        kept = {uid: {pins: each for pins, each in ended.items() if moment - each[1] < ENDED_KEPT} for uid, ended in self._ended.items()}
        for uid, own in before.items():
            counts = self._by_app[uid].counts if uid in self._by_app else {}
            gone = {pins: (now, moment) for pins in own.counts if pins not in counts}
            if gone:
                kept[uid] = {**kept.get(uid, {}), **gone}
        self._ended = {uid: ended for uid, ended in kept.items() if ended}

    def _note_fewer(self, before: dict[str, _OfApp]) -> None:
        """Notes since when fewer pods are needed for pins, and forgets what is long ago."""
        noted, moment = (self._now(), self._clock()), self._clock()
        kept = {
            uid: {pins: {pods: at for pods, at in each.items() if moment - at[1] < ENDED_KEPT} for pins, each in own.items()}
            for uid, own in self._fewer.items()
        }
        for uid, own in before.items():
            now, limits = self._by_app[uid].counts if uid in self._by_app else {}, self._limits.get(uid, {})
            for pins, count in own.counts.items():
                limit = limits.get(pins, PodLimit())
                for pods in range(limit.pods(now.get(pins, NONE_OPEN)) + 1, limit.pods(count) + 1):
                    kept.setdefault(uid, {}).setdefault(pins, {})[pods] = noted
        self._fewer = {uid: some for uid, own in kept.items() if (some := {pins: each for pins, each in own.items() if each})}

    def _note_failure(self, why: str) -> None:
        """Notes that the journal does not answer; after AWAY nothing is known, and the Apps concerned are requeued."""
        if self._failing_since is None:
            self._failing_since = self._clock()
            log.warning("the journal's counts of open runs cannot be read: %s", why)
        if self._known_since is not None and self._is_away:
            self._known_since = None
            for key in {own.key for own in self._by_app.values()} | self._talks.apps():
                self._requeue(key)


def _unsent(answer: OpenAnswer) -> dict[str, AppKey]:
    awake = {each.app_uid for each in answer.data if each.polled}
    return {each.app_uid: (each.namespace, each.app) for each in with_callbacks(answer) if each.app_uid not in awake}


def _by_app(answer: OpenAnswer) -> dict[str, _OfApp]:
    made: dict[str, _OfApp] = {}
    for each in usable(answer):
        own = made.setdefault(each.app_uid, _OfApp((each.namespace, each.app), {}))
        counts = (each.queued, each.running, each.waiting, each.held)
        own.counts[each.pins] = OpenCount(*counts, each.oldest, each.polled, each.due, questions=each.questions, asked=each.waiting_since)
    return made
