"""Asks the recorder for the shapes of an App's runs: which callers sent which fields. The reconcile that pins a row waits for it, but not long."""

from __future__ import annotations

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
"""Seconds for one answer: a row is pinned after it."""
AWAY_FOR = 15.0
"""Seconds without requests, for any App, after the recorder did not answer: rows of other Apps do not wait for it, too."""
AT_ONCE, OF_NAMESPACE = 8, 4
BYTES_MAX = 1024 * 1024


class ShapesReader(RecorderReader):
    """A reader of shapes; without `access` it makes no request."""

    def __init__(
        self, requeue: Callable[[AppKey], None], access: RecorderAccess | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        super().__init__(requeue, (AT_ONCE, OF_NAMESPACE), Pauses(), access, clock)
        self._away, self._away_until = "", 0.0

    async def read(self, app: AppKey, app_uid: str, fields: Sequence[str]) -> Shapes | str:
        """Returns the shapes of these fields, or why they are unknown."""
        if self._clock() < self._away_until:
            return self._away
        params = [("days", str(DAYS)), *(("field", each) for each in fields)]
        try:
            async with self._slots.one_of(app[0]):
                return await self._call(
                    f"{app_uid}/shapes", lambda body: Shapes.of(orjson.loads(body)["data"]), WITHIN, BYTES_MAX, params=params
                )
        except RecorderError as error:
            if error.is_away:
                self._away, self._away_until = str(error), self._clock() + AWAY_FOR
            return str(error)
