"""Delivers a batch: repeats it until the recorder accepts it, refuses it for good, or time is up.

No error on the way ends the thread that delivers: it is logged, and the batch is sent again.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from dataclasses import dataclass
from enum import Enum

from dynamiq_runtime.logs import log
from dynamiq_runtime.recorder_client import Recorder, RecorderAnswer, RecorderConnection
from dynamiq_runtime.records import Record, has_content

ANSWER_WITHIN = 10.0  # seconds
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds from one attempt to the next, doubled each time
UNWELCOME_FIRST, UNWELCOME_LONGEST = 5.0, 60.0  # the same, while the recorder answers and does not know this pod
CLOSING_WAIT = 0.1
SAID_EVERY = 60.0  # seconds between two log lines with the same message
REFUSED_FOR_GOOD = (400, 413, 415, 422)
TOO_LARGE = 413
BUSY = 429
SERVER_ERROR = 500
HEADERS = {"Content-Type": "application/json", "Content-Encoding": "gzip"}


class Outcome(Enum):
    """The result of a delivery. REFUSED: for good. TOO_LARGE: must be split or stripped. LATE: time is up."""

    TAKEN = 1
    REFUSED = 2
    TOO_LARGE = 3
    LATE = 4


@dataclass(frozen=True)
class Batch:
    """An encoded request. `runs`: those in it. `is_last`: it reports the end of the process. `is_full`: it has no room for more."""

    body: bytes
    runs: list[Record]
    is_last: bool
    is_full: bool

    @property
    def may_shrink(self) -> bool:
        """True if its content can be sent as something smaller."""
        return len(self.runs) > 1 or any(has_content(run) for run in self.runs)


class Delivery:
    """A sender of batches. For one thread, except for `hurry`."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._connection = RecorderConnection(recorder)
        self._until: float | None = None
        self._hurried = threading.Event()
        self._logged_at: dict[str, float] = {}

    def hurry(self, until: float) -> None:
        """Sets the time, by the monotonic clock, after which delivery ends. May be called from any thread."""
        self._until = until
        self._hurried.set()

    @property
    def is_over(self) -> bool:
        """True if time is up."""
        return self._until is not None and time.monotonic() >= self._until

    def deliver(self, batch: Batch) -> Outcome:
        """Delivers a batch; returns whether the recorder took it, refused it, or time is up."""
        wait, unwelcome = FIRST_WAIT, UNWELCOME_FIRST
        while not self.is_over:
            answer = self._attempt(batch)
            if answer is not None and 200 <= answer.status < 300:
                return Outcome.TAKEN
            if answer is not None and answer.status == TOO_LARGE and batch.may_shrink:
                return Outcome.TOO_LARGE
            if answer is not None and answer.status in REFUSED_FOR_GOOD:
                self._log_rarely(f"the recorder refuses a batch of runs ({answer.status}): it is dropped", runs=len(batch.runs))
                return Outcome.REFUSED
            known = (answer.retry_after if answer is not None else None) or 0.0
            if answer is not None and answer.status != BUSY and answer.status < SERVER_ERROR:
                self._pause(max(known, unwelcome))
                unwelcome = min(unwelcome * 2, UNWELCOME_LONGEST)
                continue
            self._pause(max(known, wait * random.uniform(0.5, 1.0)))  # noqa: S311 - pods that were refused together must not return together
            wait = min(wait * 2, LONGEST_WAIT)
        return Outcome.LATE

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _attempt(self, batch: Batch) -> RecorderAnswer | None:
        """Returns the answer; None without one, and the log has the reason."""
        within = ANSWER_WITHIN if self._until is None else max(0.05, min(ANSWER_WITHIN, self._until - time.monotonic()))
        try:
            headers = self._recorder.headers()
        except (OSError, ValueError) as error:
            self._log_rarely(f"the recorder's token cannot be read: {type(error).__name__}")
            return None
        try:
            answer = self._connection.post(batch.body, {**HEADERS, **headers}, within)
        except (OSError, http.client.HTTPException) as error:
            self._log_rarely(f"the recorder does not answer ({type(error).__name__}): runs wait")
            return None
        except Exception as error:
            self._connection.close()
            self._log_rarely(f"the recorder cannot be asked ({type(error).__name__}): runs wait")
            return None
        if answer.status >= 300 and answer.status not in REFUSED_FOR_GOOD:
            self._log_rarely(f"the recorder answers {answer.status}: runs wait")
        return answer

    def _pause(self, seconds: float) -> None:
        if self._hurried.is_set():
            time.sleep(CLOSING_WAIT)
        else:
            self._hurried.wait(seconds)

    def _log_rarely(self, message: str, **fields: float) -> None:
        now = time.monotonic()
        if now - self._logged_at.get(message, -SAID_EVERY) >= SAID_EVERY:
            self._logged_at[message] = now
            log(message, level="warning", **fields)
