"""Asks the recorder for the shapes of an App's runs: which callers sent which fields. The reconcile that pins a row waits for it, but not long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic

import orjson

from dynamiq_operator.controller.background.reader import Pauses
from dynamiq_operator.controller.background.recorder_reader import RecorderError, RecorderReader
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.model.breaking import DAYS
from dynamiq_operator.model.shapes import Shapes

WITHIN = 1.0
"""Seconds for one answer, and for the wait for a slot before it: a row is pinned after them."""
AWAY_FOR, EVERY = 15.0, ""
"""Seconds without requests after one was not answered: of its namespace, or of `EVERY` one while the recorder cannot be reached."""
AT_ONCE, OF_NAMESPACE = 8, 4
BYTES_MAX = 1024 * 1024


class ShapesReader(RecorderReader):
    """A reader of shapes; without `access` it makes no request."""

    def __init__(
        self, requeue: Callable[[AppKey], None], access: RecorderAccess | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        super().__init__(requeue, (AT_ONCE, OF_NAMESPACE), Pauses(), access, clock)
        self._away: dict[str, tuple[str, float]] = {}

    async def read(self, app: AppKey, app_uid: str, fields: Sequence[str]) -> Shapes | str:
        """Returns the shapes of these fields, or why they are unknown."""
        params = [("days", str(DAYS)), *(("field", each) for each in fields)]
        is_asked = False
        try:
            async with asyncio.timeout(WITHIN), self._slots.one_of(app[0]):
                if why := self._why_away(app[0]):
                    return why
                is_asked = True
                return await self._call(
                    f"{app_uid}/shapes", lambda body: Shapes.of(orjson.loads(body)["data"]), WITHIN, BYTES_MAX, params=params
                )
        except TimeoutError:
            error = RecorderError(f"the recorder takes longer than {WITHIN:g} s", is_away=is_asked, is_alone=True)
        except RecorderError as failed:
            error = failed
        if error.is_away:
            self._away[app[0] if error.is_alone else EVERY] = str(error), self._clock() + AWAY_FOR
        return str(error)

    def _why_away(self, namespace: str) -> str:
        """Returns why nothing is asked for a namespace now; empty if it is."""
        for each in (EVERY, namespace):
            why, until = self._away.get(each, ("", 0.0))
            if self._clock() < until:
                return why
        return ""
