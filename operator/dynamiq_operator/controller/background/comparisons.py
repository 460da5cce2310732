"""Asks the recorder, in the background, for the comparison of a row during the watch after its deploy. It decides nothing: an observation
takes the last answer. Without an answer nothing is decided.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic

from dynamiq_operator.controller.background.reader import Kept, Pauses
from dynamiq_operator.controller.background.recorder_reader import RecorderError, RecorderReader
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.plan.observed.comparison import RecordedComparison
from dynamiq_operator.plan.revert.comparing import Question

WITHIN = 2.0
"""Seconds for one answer, from the connection to its last byte."""
PAUSES = Pauses(holds=5.0, first=8.0, most=8.0)
"""A row has new runs every second. The recorder caches the operator's rights for ten seconds; a busy API server is slow to return them."""
AT_ONCE, OF_NAMESPACE = 8, 4
"""Requests at a time: of all Apps, and of the Apps of one namespace."""
BYTES_MAX = 256 * 1024

log = logging.getLogger(__name__)


@dataclass
class KeptComparison(Kept):
    """The last answer about one App's row. `row`: the row's uid. `problem`: why the last request had no answer."""

    row: str | None = None
    answer: RecordedComparison | None = None
    problem: str = ""

    def about(self, row: str | None) -> None:
        """Sets the row, and drops what is known of another one. None changes nothing."""
        if row is not None and row != self.row:
            self.stop()
            self.row, self.answer, self.problem = row, None, ""


class ComparisonReader(RecorderReader):
    """A background reader of comparisons; without `access` it makes no request."""

    def __init__(
        self, requeue: Callable[[AppKey], None], access: RecorderAccess | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        super().__init__(requeue, (AT_ONCE, OF_NAMESPACE), PAUSES, access, clock)

    def schedule(self, app: AppKey, app_uid: str, kept: KeptComparison, question: Question | None) -> None:
        """Schedules the next request about a row; none without a question."""
        kept.about(question.row if question is not None else None)
        if question is None or self._access is None:
            kept.unschedule()
        else:
            self._schedule(app, kept, partial(self._read, app, app_uid, kept, question))

    async def _read(self, app: AppKey, app_uid: str, kept: KeptComparison, question: Question) -> bool:
        # An older recorder refuses the second parameter, but none of its answers leads to a question with it.
        params = {"baseline": "previous"} | ({"unended": str(question.unended)} if question.unended is not None else {})
        path = f"{app_uid}/deployments/{question.row}/comparison"
        try:
            async with self._slots.one_of(app[0]):
                comparison = await self._call(
                    path, lambda body: RecordedComparison.of(body, question.unended), WITHIN, BYTES_MAX, params=params
                )
        except RecorderError as error:
            kept.problem = str(error)
            log.debug("App %s/%s: no comparison: %s", *app, kept.problem)
            return False
        if comparison.row != question.row:
            kept.problem = "the recorder answered for another row"
            return False
        kept.answer, kept.problem = comparison, ""
        return True
