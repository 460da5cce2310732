"""Tells the journal, in the background, where the conversations of each App belong, until it says that it knows. It decides nothing.

Each call may be repeated: the same placement moves nothing twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Annotated

import msgspec

from dynamiq_operator.controller.background.journal_writer import JournalWriter
from dynamiq_operator.controller.background.reader import Kept, Pauses
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.kube.journal import FAILURES, OpenAnswer
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.plan.observed.moved import MovedSessions
from dynamiq_operator.plan.workloads.placement import Placing

WITHIN = 30.0
"""Seconds for one answer, which comes after all that moves is deleted. The change itself is the first thing that is done."""
PAUSES = Pauses(holds=5.0, first=1.0, most=8.0)
"""The journal's feed shows the effect of a call a second later."""
AT_ONCE, OF_NAMESPACE = 8, 4
"""Calls at a time: for all Apps, and for the Apps of one namespace."""
BYTES_MAX = 256 * 1024
MOVED_MOST = 100
"""Moves that are kept until the App is planned again."""

log = logging.getLogger(__name__)


class PlacedAnswer(msgspec.Struct):
    """The answer to a placement. `moved`: how many conversations of which pins."""

    digest: str
    moved: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}


@dataclass
class KeptPlacing(Kept):
    """The calls about one App. `sent`: the digest of the last placement that was sent. `moved`: what was moved, and is not planned yet."""

    sent: str = ""
    moved: tuple[MovedSessions, ...] = ()

    def take_moved(self) -> tuple[MovedSessions, ...]:
        """Returns what was moved since the last time."""
        moved, self.moved = self.moved, ()
        return moved


class PlacementWriter(JournalWriter):
    """The calls about placements of all Apps."""

    def __init__(
        self, requeue: Callable[[AppKey], None], access: RecorderAccess | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        super().__init__(requeue, (AT_ONCE, OF_NAMESPACE), PAUSES, access, clock)
        self._known: dict[str, tuple[AppKey, str | None]] = {}

    def hear(self, answer: OpenAnswer) -> None:
        """Notes which placements the journal has, and requeues the Apps of which it has another one than before."""
        before = self._known
        self._known = {each.app_uid: ((each.namespace, each.app), each.placement) for each in answer.apps}
        for uid, known in self._known.items():
            if before.get(uid) != known:
                self._requeue(known[0])

    def schedule(self, app: AppKey, app_uid: str, kept: KeptPlacing, wanted: Placing | None) -> None:
        """Schedules the call if the journal has another placement. One that does not know the App yet lists it as soon as it does."""
        known = self._known.get(app_uid)
        if wanted is None or self._access is None or known is None or known[1] == wanted.digest:
            kept.unschedule()
            return
        if kept.sent != wanted.digest and not kept.failures:
            kept.not_before = 0.0  # a change waits for no earlier one: a rejected version must get no turn
        self._schedule(app, kept, partial(self._call, self._access, app, app_uid, kept, wanted))

    async def _call(self, access: RecorderAccess, app: AppKey, app_uid: str, kept: KeptPlacing, wanted: Placing) -> bool:
        try:
            async with self._slots.one_of(app[0]):
                answer = await self._put(access, app_uid, wanted)
        except FAILURES as error:
            if not kept.failures:
                log.warning("App %s/%s: its conversations cannot be placed: %s", *app, error or type(error).__name__)
            return False
        kept.sent = wanted.digest
        kept.moved = (*kept.moved, *wanted.moved(answer.moved, f"{wanted.digest}/{self._clock()}"))[-MOVED_MOST:]
        return True

    async def _put(self, access: RecorderAccess, app_uid: str, wanted: Placing) -> PlacedAnswer:
        content = await self._send(access, "PUT", f"{app_uid}/sessions-placement", wanted.body, WITHIN, BYTES_MAX)
        return msgspec.json.decode(content, type=PlacedAnswer)
