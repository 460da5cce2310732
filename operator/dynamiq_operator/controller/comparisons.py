"""Asks the recorder, in the background, for the comparison of a row during the watch after its deploy. It decides nothing: an observation
takes the last answer. Each request requeues its App.

The recorder may be slow, away, or not ours: an answer counts only within limits of time and size. Without an answer nothing is decided.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp

from dynamiq_operator.controller.background import Background, body_of
from dynamiq_operator.controller.cache import AppKey
from dynamiq_operator.controller.recorder_access import RecorderAccess as RecorderAccess
from dynamiq_operator.kube.trust import trust_of
from dynamiq_operator.plan.observed.comparison import Comparison
from dynamiq_operator.plan.revert.comparing import Question

WITHIN = 2.0
"""Seconds for one answer, from the connection to its last byte."""
EVERY = timedelta(seconds=5)
"""The time between two requests about one row: it has new runs every second."""
EVERY_IN_VAIN = timedelta(seconds=8)
"""The same after a request without an answer. The recorder caches the operator's rights for ten seconds; a busy API server is slow to
return them."""
AT_ONCE, OF_NAMESPACE = 8, 4
"""Requests at a time: of all Apps, and of the Apps of one namespace."""
BYTES_MAX = 256 * 1024

log = logging.getLogger(__name__)


class _NoAnswerError(Exception):
    """A missing answer. The message is the reason, in words that stay the same."""


@dataclass
class Asking:
    """The last answer about one App's row. `row`: the row's uid. `problem`: why the last request had no answer."""

    row: str | None = None
    said: Comparison | None = None
    problem: str = ""
    not_before: datetime | None = None
    is_asking: bool = False
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    def about(self, row: str | None) -> None:
        """Sets the row, and drops what is known of another one. None changes nothing."""
        if row is not None and row != self.row:
            self.row, self.said, self.problem, self.not_before = row, None, "", None


class ComparisonReader(Background):
    """A background reader of comparisons; without `access` it makes no request. Use it as an async context manager.

    `now`: the time. `requeue`: called with an App after each request.
    """

    def __init__(self, now: Callable[[], datetime], requeue: Callable[[AppKey], None], access: RecorderAccess | None = None) -> None:
        self._now, self._requeue, self._access = now, requeue, access
        super().__init__(AT_ONCE, OF_NAMESPACE)

    def schedule(self, app: AppKey, app_uid: str, asking: Asking, question: Question | None) -> None:
        """Schedules the next request about a row; none without a question. It replaces what was scheduled for the App before."""
        asking.about(question.row if question is not None else None)
        if asking.timer is not None:
            asking.timer.cancel()
            asking.timer = None
        if question is None or self._access is None or asking.is_asking:
            return
        due = asking.not_before or self._now()
        seconds = max((due - self._now()).total_seconds(), 0.0)
        asking.timer = asyncio.get_running_loop().call_later(seconds, self._begin, app, app_uid, asking, question)

    def _begin(self, app: AppKey, app_uid: str, asking: Asking, question: Question) -> None:
        asking.timer = None
        if self._is_closed or self._access is None:
            return
        asking.is_asking = True
        self._start(self._ask(app, app_uid, asking, question, self._access))

    async def _ask(self, app: AppKey, app_uid: str, asking: Asking, question: Question, access: RecorderAccess) -> None:
        comparison, problem, row = None, "", question.row
        try:
            async with self._slots.one_of(app[0]):
                comparison = await self._answer(f"{access.url}/v1/apps/{app_uid}/deployments/{row}/comparison", question.unended, access)
        except _NoAnswerError as error:
            problem = str(error)
            log.debug("App %s/%s: no comparison: %s", *app, problem)
        finally:
            asking.is_asking = False
        if comparison is not None and comparison.row != row:
            comparison, problem = None, "it answered for another row"
        if asking.row == row:
            asking.said, asking.problem = comparison or asking.said, problem
            asking.not_before = self._now() + (EVERY_IN_VAIN if problem else EVERY)
        self._requeue(app)

    async def _answer(self, url: str, unended: int | None, access: RecorderAccess) -> Comparison:
        # An older recorder refuses the second parameter, but none of its answers leads to a question with it.
        params = {"baseline": "previous"} | ({"unended": str(unended)} if unended is not None else {})
        headers = {"Accept": "application/json", "Authorization": f"Bearer {_token(access.token_file)}"}
        try:
            async with self._opened(access).get(url, params=params, headers=headers, allow_redirects=False) as response:
                if response.status != 200:
                    raise _NoAnswerError(f"status {response.status}")
                return Comparison.of(await body_of(response, BYTES_MAX), unended)
        except TimeoutError:
            raise _NoAnswerError(f"it takes longer than {WITHIN:.0f} s") from None
        except (aiohttp.ClientError, OSError):
            raise _NoAnswerError("it cannot be reached") from None
        except ValueError:
            raise _NoAnswerError("its answer cannot be read") from None

    def _opened(self, access: RecorderAccess) -> aiohttp.ClientSession:
        """Returns the HTTP session, which the first request opens."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=AT_ONCE, ssl=trust_of(access.url, access.ca)),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=WITHIN),
            )
        return self._session


def _token(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, ValueError):
        raise _NoAnswerError("the operator has no token for it") from None
