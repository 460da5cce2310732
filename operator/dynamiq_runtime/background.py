"""Executes background runs: claims those of this pod's App and pins from the journal, and saves each node before the next one begins.

A run whose pod dies goes on in another pod, after the last node that was saved. While the journal is away a run waits after its node.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from dynamiq_runtime import callers
from dynamiq_runtime.activity import Activity
from dynamiq_runtime.engine import Engine, PausedError, Report, StoppedError
from dynamiq_runtime.errors import HttpError, bad_request
from dynamiq_runtime.execution import RunExecutor
from dynamiq_runtime.fields import RunRequest
from dynamiq_runtime.journal import NOT_NOW, Journal, JournalAwayError, JournalRefusedError
from dynamiq_runtime.logs import log
from dynamiq_runtime.metrics import JOURNAL_AWAY
from dynamiq_runtime.questions import UNASKED, unasked
from dynamiq_runtime.run import CANCELED, STATUSES, Run
from dynamiq_runtime.segments import FENCED, CallSegment, Segment, pause_of
from dynamiq_runtime.threads import BusyError, CutOffError, RunThreads, TimedOutError

POLL = 25.0  # seconds for which the journal may hold a claim until there is a run
HEARTBEAT = 10.0  # seconds after which a run without news is saved again: its lease has 30
KEPT_WITHIN = 8.0  # seconds for which a call that has to wait is sent to a journal that is away
ASKS_AGAIN = 1.0  # seconds after which it is saved again while a node waits for an answer in its thread
LOOK_PERIOD = 1.0
SOON = 0.1  # seconds for which events wait for others
AGAIN, AGAIN_MOST = 0.2, 3.0  # seconds before what the journal did not take is sent again: doubled up to the second
REFUSED_FOR = 30.0  # seconds without claims after the journal refused one
BATCH = 64  # runs of one save
OUTPUT_LIMIT = 4 << 20  # characters of an output
CLOSE_WITHIN = 0.5  # seconds that a stop waits for the commits of runs that were cut off
HANDS_BACK = 1.5  # seconds that nodes under way at the end of the drain may still take


@dataclass(frozen=True)
class _Outcome:
    """The way in which a claimed run left this process. `output`, JSON, or `error` if it ended; `pause` if it waits; else it is handed back."""

    ended: bool = False
    output: str | None = None
    error: HttpError | None = None
    pause: Mapping[str, Any] | None = None


class BackgroundRuns:
    """The background runs of one pod, on its event loop. `begin` once the flow is loaded; `drain`, `hand_back` and `close` at the end.

    `version`: the digest of the pod's pins, and the hash of its flow. `most`: runs at a time. `timeout`: seconds that a run may keep pods
    busy. `draining`: set once nothing more is claimed.
    """

    def __init__(
        self,
        journal: Journal,
        executor: RunExecutor,
        threads: RunThreads,
        activity: Activity,
        version: tuple[str | None, str | None],
        *,
        most: int,
        timeout: float,
    ) -> None:
        self.journal = journal
        self._executor, self._threads, self._activity = executor, threads, activity
        self._version, self._most, self._timeout = version, most, timeout
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._segments: dict[str, Segment] = {}
        self._is_alone = False
        self.draining = asyncio.Event()
        self._changed, self._dirty, self._urgent = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._marked: set[str] = set()
        self._executing: set[asyncio.Task[None]] = set()
        self._reserved = self._asked = 0
        """Runs that may come by an accept, and by a claim, that is under way."""
        self._claiming: asyncio.Task[None] | None = None
        self._saving: asyncio.Task[None] | None = None

    @property
    def _free(self) -> int:
        """The number of runs that may be claimed now: each begins at once, and none takes the thread that a waiting call needs."""
        if self.draining.is_set() or self._is_alone or self._engine is None:
            return 0
        to_begin = sum(not segment.has_begun for segment in self._segments.values())
        return min(self._most - len(self._segments), self._threads.free - to_begin) - self._reserved

    def begin(self, engine: Engine) -> None:
        """Starts to claim, and to save."""
        self._engine, self._loop = engine, asyncio.get_running_loop()
        self._claiming, self._saving = asyncio.create_task(self._claim_on()), asyncio.create_task(self._save_on())

    def drain(self) -> None:
        """Claims nothing more. Runs under way go on; those that wait for a thread are handed back."""
        self.draining.set()
        self._threads.refuse_patient()
        if self._claiming is not None:
            self._claiming.cancel()  # its connection closes, so the journal gives this pod no run

    async def hand_back(self) -> None:
        """Hands runs back: each after its node, or in the middle of one that takes too long. Returns once the journal has them, or is away."""
        for segment in self._segments.values():
            segment.hand_back()
        if self._executing:
            await asyncio.wait(self._executing, timeout=HANDS_BACK)

    async def close(self) -> None:
        """Ends. A run that the journal does not have by now goes on elsewhere, once its lease is over."""
        if self._executing:
            await asyncio.wait(self._executing, timeout=CLOSE_WITHIN)
        for task in (self._saving, *self._executing):
            if task is not None:
                task.cancel()
        await self.journal.close()

    async def accept(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """Stores a new run, and claims it with the same commit if a thread is free. Returns it, or the one that has its key already.

        Raises HttpError.
        """
        claims = self._free > self._asked
        self._reserved += claims
        try:
            accepted, claim = await self.journal.accept({**run, "claim": claims})
        except (JournalAwayError, JournalRefusedError) as error:
            raise http_error(error) from None
        finally:
            self._reserved -= claims
        if claim is not None:
            self._start(claim)
        self._changed.set()  # until the first run of an App its pods ask rarely
        return accepted

    async def keep(self, run: Mapping[str, Any], segment: CallSegment, resume_at: datetime | None) -> dict[str, Any]:
        """Stores a run that began in its caller's connection, and waits from now on. Returns it. Raises HttpError, and StoppedError."""
        kept = await self._kept({**run, "claim": False, "paused": {**segment.paused(resume_at), "started_at": run["started_at"]}})
        if "awaiting_input" not in kept:  # a journal from before questions would begin it anew
            with contextlib.suppress(JournalAwayError, JournalRefusedError):
                await self.journal.cancel(kept["id"], None)
            raise unasked("no_journal")
        self._changed.set()
        return kept

    async def _kept(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """Sends a run until the journal has it. It may have it although its answer was lost; by its id, the same run again changes nothing."""
        until = time.monotonic() + KEPT_WITHIN
        while True:
            try:
                return (await self.journal.accept(run))[0]
            except JournalAwayError as error:
                if time.monotonic() >= until:
                    raise http_error(error) from None
                await asyncio.sleep(AGAIN)
            except JournalRefusedError as error:
                raise http_error(error) from None

    async def _claim_on(self) -> None:
        pause = AGAIN
        while not self.draining.is_set():
            if (free := self._free) <= 0:
                await self._wait_for_change()
                continue
            self._asked = max(1, free - 1)  # one is left for a run that comes to this pod itself
            try:
                claims, rest = await self.journal.claims(free=self._asked, held=len(self._segments), wait=POLL)
            except JournalAwayError as error:
                if pause == AGAIN:
                    log("the journal does not answer: background runs wait", level="warning", reason=str(error)[:200])
                pause = min(2 * pause, AGAIN_MOST)
                await asyncio.sleep(pause)
                continue
            except JournalRefusedError as error:
                log("the journal refuses claims of this pod", level="error", code=error.code, reason=str(error)[:200])
                await asyncio.sleep(AGAIN_MOST if error.status in NOT_NOW else REFUSED_FOR)
                continue
            finally:
                self._asked = 0
            pause = AGAIN
            for claim in claims:
                self._start(claim)
            if rest:
                await self._wait_for_change(rest)

    async def _wait_for_change(self, within: float = LOOK_PERIOD) -> None:
        """Waits until a run begins or ends here. A thread that a call leaves is no change, so it looks again after a while."""
        try:
            async with asyncio.timeout(within):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    def _start(self, claim: Mapping[str, Any]) -> None:
        run_id = claim["run"]["id"]
        try:
            segment = Segment(claim, partial(self._mark_from_thread, run_id), self._give_way)
        except Exception as error:  # its lease runs out; the other claims of the answer must not be lost with it
            log("a background run cannot be resumed", level="error", run_id=run_id, error=type(error).__name__)
            return
        if (earlier := self._segments.get(run_id)) is not None:
            earlier.lose()
        self._segments[run_id] = segment
        self._is_alone = self._is_alone or bool(claim.get("alone"))
        task = asyncio.create_task(self._execute(claim, segment))
        self._executing.add(task)
        task.add_done_callback(self._executing.discard)
        self._changed.set()

    async def _execute(self, claim: Mapping[str, Any], segment: Segment) -> None:
        """Executes a claimed run until it ends here."""
        run = _run_of(claim, segment)
        try:
            with self._activity.call():
                await self._commit(run, segment, await self._outcome(run, claim, segment))
        except Exception as error:  # its lease runs out, and another process takes it
            log("a background run failed inside the runtime", level="error", run_id=run.id, error=type(error).__name__)
        finally:
            if self._segments.get(run.id) is segment:
                del self._segments[run.id]
            self._is_alone = self._is_alone and bool(self._segments)
            self._changed.set()

    async def _outcome(self, run: Run, claim: Mapping[str, Any], segment: Segment) -> _Outcome:
        """Executes a run, and returns how it left this process."""
        assert self._engine is not None  # noqa: S101 - nothing is claimed before
        if self.draining.is_set():
            return _Outcome()
        began_on = claim["run"].get("pins"), claim["run"].get("workflow_hash")
        if any(of_run and own and of_run != own for of_run, own in zip(began_on, self._version, strict=True)):
            # The engine would resume it without a word: an approval of one flow would be used by another.
            return _failure(run, "other_version", "this pod has another version than the one that the run began with")
        try:
            output, error = await self._executor.finish(run, self._engine, partial(self._in_time, segment))
        except (CutOffError, BusyError):
            return _Outcome()
        except PausedError as paused:
            return _Outcome(pause=pause_of(paused.resume_at))
        except StoppedError:
            if segment.stopped == CANCELED:
                run.outcome = CANCELED
                return _Outcome(ended=True, error=HttpError(409, CANCELED, "the run was canceled"))
            if segment.refused:
                return _failure(run, segment.refused, "the journal cannot keep the states or the events of the run")
            if segment.stopped not in UNASKED:
                return _Outcome()
            return _failure(run, segment.stopped, unasked(segment.stopped).message)
        if output is not None and len(output) > OUTPUT_LIMIT:
            return _failure(run, "output_too_large", f"the output has {len(output)} characters, more than {OUTPUT_LIMIT}")
        return _Outcome(ended=True, output=output, error=error)

    async def _commit(self, run: Run, segment: Segment, outcome: _Outcome) -> None:
        """Commits the end of a run, or its pause, or hands it back."""
        if segment.ended:
            return
        run.ended = time.time_ns()
        end = None
        if outcome.ended:
            end = {
                "status": STATUSES[run.outcome],
                "reason": run.outcome,
                "output": None if outcome.output is None else json.loads(outcome.output),
                "error": None if outcome.error is None else outcome.error.content,
                "record": None if segment.refused else await self._executor.record_of(run, segment.busy_seconds),
            }
        await asyncio.wrap_future(segment.finish(end, outcome.pause))
        if segment.refused:
            run.outcome, run.reason = "failed", segment.refused
        if (outcome.ended or segment.refused) and segment.stopped != FENCED:
            self._executor.close(run, segment.busy_seconds)

    async def _in_time(self, segment: Segment, answer: Awaitable[str]) -> str:
        """Returns the answer. Raises TimedOutError once pods were busy with the run for too long, and the errors of `answer`."""
        segment.start_clock()
        ending = asyncio.ensure_future(answer)
        while (left := self._timeout - segment.busy_seconds) > 0:
            done, _ = await asyncio.wait({ending}, timeout=max(left, SOON))
            if done:
                return ending.result()
        raise TimedOutError

    def _give_way(self, committed: Future[object] | None) -> None:
        """Lets calls use the thread of a run that waits for the journal, or, where there is one thread alone, that is between two nodes.

        It blocks the run's thread.
        """
        assert self._loop is not None  # noqa: S101 - runs begin after it is set
        if committed is not None:
            asyncio.run_coroutine_threadsafe(self._threads.give_way(asyncio.wrap_future(committed, loop=self._loop)), self._loop).result()
        elif self._threads.is_only and self._threads.waiting:
            asyncio.run_coroutine_threadsafe(self._threads.give_way(asyncio.sleep(0)), self._loop).result()

    def _mark_from_thread(self, run_id: str, urgent: bool) -> None:
        assert self._loop is not None  # noqa: S101 - runs begin after it is set
        self._loop.call_soon_threadsafe(self._mark, run_id, urgent)

    def _mark(self, run_id: str, urgent: bool) -> None:
        self._marked.add(run_id)
        self._dirty.set()
        if urgent:
            self._urgent.set()

    async def _save_on(self) -> None:
        """Sends what is new, of all runs at once: one request at a time."""
        while True:
            await self._wait_for_news()
            now = time.monotonic()
            late = {
                run_id
                for run_id, segment in self._segments.items()
                if now - segment.saved_at >= (ASKS_AGAIN if segment.is_asking else HEARTBEAT)
            }
            due = [segment for run_id in self._marked | late if (segment := self._segments.get(run_id)) and not segment.ended]
            batch, self._marked = due[:BATCH], {segment.id for segment in due[BATCH:]}
            if not self._marked:
                self._dirty.clear()
                self._urgent.clear()
            if batch:
                await self._save(batch)

    async def _wait_for_news(self) -> None:
        """Returns once something waits for its commit, has waited for a moment, or some heartbeat may be due."""
        try:
            async with asyncio.timeout(LOOK_PERIOD):
                await self._dirty.wait()
            async with asyncio.timeout(SOON):
                await self._urgent.wait()
        except TimeoutError:
            return

    async def _save(self, batch: list[Segment]) -> None:
        taken = [(segment, *segment.take()) for segment in batch]
        results = await self._sent([save for _, save, _ in taken])
        for (segment, save, waiting), result in zip(taken, results, strict=True):
            segment.answered(save, waiting, result)

    async def _sent(self, saves: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Returns the results of saves, sent until the journal takes or refuses them. Each has its number, so none counts twice."""
        pause = AGAIN
        while True:
            try:
                return await self.journal.saves(saves)
            except JournalAwayError as error:
                code = ""
                if pause == AGAIN:
                    log("the journal does not answer: background runs wait after their nodes", level="warning", reason=str(error)[:200])
            except JournalRefusedError as error:
                code = "" if error.status in NOT_NOW else error.code
            except Exception as error:  # a value that cannot be written
                code = type(error).__name__
            if not code:
                await asyncio.sleep(pause)
                pause = min(2 * pause, AGAIN_MOST)
            elif len(saves) > 1:  # one of them is at fault
                return [(await self._sent([save]))[0] for save in saves]
            else:
                log("the journal cannot take a save", level="error", run_id=saves[0]["id"], code=code)
                return [{"id": saves[0]["id"], "ok": False, "code": code}]


def http_error(error: JournalAwayError | JournalRefusedError) -> HttpError:
    """Returns the error for a caller whose request the journal did not serve."""
    if isinstance(error, JournalRefusedError):
        if error.code == "validation_error":
            return bad_request({name: str(problem) for name, problem in error.details.items()} or {"request": str(error)})
        return HttpError(error.status, error.code, str(error), error.details, retry_after=error.retry_after)
    return HttpError(503, JOURNAL_AWAY, "the journal, which keeps background runs, does not answer: try again", retry_after="1")


def _failure(run: Run, code: str, message: str) -> _Outcome:
    run.outcome, run.reason = "failed", code
    return _Outcome(ended=True, error=HttpError(500, code, message))


def _run_of(claim: Mapping[str, Any], segment: Segment) -> Run:
    """Returns a claimed run, with the nodes of earlier processes."""
    kept = claim["run"]
    facts = {
        callers.SESSION: kept.get("session_id"),
        callers.USER: kept.get("user_id"),
        callers.TRIGGER: kept.get("trigger"),
        callers.TAGS: ",".join(kept.get("tags") or ()),
    }
    headers = {name: value for name, value in facts.items() if value} | dict(claim.get("headers") or {})
    request = RunRequest(kept["input"], stream=False, user=kept.get("user_id"), session=kept.get("session_id"))
    report = Report(nodes=segment.nodes, emit=segment.emit, steps=segment)
    segment.cancel = lambda: report.cancel() if report.cancel is not None else None
    began = int(datetime.fromisoformat(kept["accepted_at"]).timestamp() * 1e9)
    return Run(request, headers, report=report, id=kept["id"], began=began, key=kept.get("key"))
