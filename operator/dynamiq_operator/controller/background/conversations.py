"""Keeps what the journal counts of conversations, and what pins needed a moment before. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from math import ceil

from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.kube.journal import OpenAnswer, with_sessions
from dynamiq_operator.plan.observed.conversations import NO_CONVERSATION, Conversations
from dynamiq_operator.plan.observed.open_runs import PodLimit

KEPT = timedelta(minutes=10)
"""How long notes are kept. Decisions look back for one minute."""

_Facts = dict[str, tuple[int | bool, ...]]


class ConversationCounts:
    """The conversations of each App, by the digest of pins; also of pins whose last one ended not long ago."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._by_app: dict[str, tuple[AppKey, dict[str, Conversations]]] = {}

    def of(self, app_uid: str) -> Mapping[str, Conversations]:
        return self._by_app[app_uid][1] if app_uid in self._by_app else {}

    def apps(self) -> set[AppKey]:
        return {key for key, _ in self._by_app.values()}

    def take(self, answer: OpenAnswer, limits: Mapping[str, Mapping[str, PodLimit]]) -> Iterator[AppKey]:
        """Replaces the counts, and yields each App of which they may change a decision. `limits`: by uid, how pods share them."""
        before, now = self._by_app, self._now()
        counted: dict[str, tuple[AppKey, dict[str, Conversations]]] = {}
        for each in with_sessions(answer):
            _, own = counted.setdefault(each.app_uid, ((each.namespace, each.app), {}))
            own[each.pins] = Conversations(each.sessions, each.recent_sessions, each.last_turn, each.turns_wait)
        self._by_app = {}
        for uid in before.keys() | counted.keys():
            key, now_open = counted.get(uid) or (before[uid][0], {})
            known = before[uid][1] if uid in before else {}
            noted = {
                pins: now_open.get(pins, NO_CONVERSATION).after(known.get(pins, NO_CONVERSATION), now, KEPT)
                for pins in known.keys() | now_open.keys()
            }
            kept = {pins: each for pins, each in noted.items() if each.ended is None or now - each.ended < KEPT}
            if kept:
                self._by_app[uid] = key, kept
            if _facts(known, limits.get(uid, {})) != _facts(now_open, limits.get(uid, {})):
                yield key


def _facts(talks: Mapping[str, Conversations], limits: Mapping[str, PodLimit]) -> _Facts:
    """Returns the part of the counts that may change a decision: an App is not reconciled for each turn."""
    # Pods of pins without a limit, such as the live ones, are not counted by conversations.
    return {
        pins: (ceil(each.lively / limits[pins].talks) if pins in limits else 0, each.total > 0, each.turns_wait)
        for pins, each in talks.items()
        if each.is_open
    }
