"""Tells the journal, in the background, which open runs to hold or to let go on, since their version was rejected. It decides nothing.

Each call may be repeated: holding runs that are held changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

import aiohttp

from dynamiq_operator.controller.background.journal_writer import JournalWriter
from dynamiq_operator.controller.background.reader import Kept, Pauses
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.plan.workloads.holding import Holding

REASON = "Rejected"
WITHIN = 10.0
"""Seconds for one answer, which comes after the commit."""
PAUSES = Pauses(holds=5.0, first=8.0, most=120.0)
"""The journal's counts show the effect of a call a second later."""
AT_ONCE, OF_NAMESPACE = 4, 2
"""Calls at a time: for all Apps, and for the Apps of one namespace."""
BYTES_MAX = 64 * 1024

log = logging.getLogger(__name__)


@dataclass
class KeptHolds(Kept):
    """The calls about one App. `done`: the last one about pins, by digest, while it is wanted."""

    done: dict[str, Holding] = field(default_factory=dict)


class HoldWriter(JournalWriter):
    """The calls about held runs of all Apps."""

    def __init__(
        self, requeue: Callable[[AppKey], None], access: RecorderAccess | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        super().__init__(requeue, (AT_ONCE, OF_NAMESPACE), PAUSES, access, clock)

    def schedule(self, app: AppKey, app_uid: str, kept: KeptHolds, wanted: tuple[Holding, ...]) -> None:
        """Schedules the calls that are wanted. Runs that a call let go on, and that are still held, are held for another reason."""
        pins = {each.pins for each in wanted}
        kept.done = {digest: each for digest, each in kept.done.items() if digest in pins}
        due = tuple(each for each in wanted if each.holds or kept.done.get(each.pins) != each)
        if not due or self._access is None:
            kept.unschedule()
        else:
            self._schedule(app, kept, partial(self._call, self._access, app, app_uid, kept, due))

    async def _call(self, access: RecorderAccess, app: AppKey, app_uid: str, kept: KeptHolds, due: tuple[Holding, ...]) -> bool:
        try:
            async with self._slots.one_of(app[0]):
                for each in due:
                    await self._post(access, app_uid, each)
                    kept.done[each.pins] = each
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if not kept.failures:
                log.warning("App %s/%s: runs of a rejected version cannot be held, or let go on: %s", *app, error or type(error).__name__)
            return False
        return True

    async def _post(self, access: RecorderAccess, app_uid: str, each: Holding) -> None:
        body = {"pins": each.pins, "reason": REASON} | ({"cancel": True} if each.cancels else {})
        await self._send(access, "POST", f"{app_uid}/{'hold' if each.holds else 'unhold'}", body, WITHIN, BYTES_MAX)
