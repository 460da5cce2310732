"""Executes one run in a thread, from its input to the response's body. Counts, logs, traces and records it; failures become HTTP errors."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from dynamiq_runtime.callers import TRIGGER
from dynamiq_runtime.engine import FAILED, Engine, NodeRun, PausedError, RunFailedError, StoppedError
from dynamiq_runtime.errors import HttpError
from dynamiq_runtime.fields import File
from dynamiq_runtime.logs import log
from dynamiq_runtime.metrics import Metrics
from dynamiq_runtime.questions import UNASKED, unasked
from dynamiq_runtime.run import Run
from dynamiq_runtime.settings import Settings
from dynamiq_runtime.shapes import shape_of
from dynamiq_runtime.threads import BusyError, CutOffError, RunThreads, TimedOutError, in_thread

if TYPE_CHECKING:
    from dynamiq_runtime.recording import Recording
    from dynamiq_runtime.traces import Traces

RETRY_AFTER = "1"


class RunExecutor:
    """Executes runs, each with a given engine."""

    def __init__(
        self, settings: Settings, threads: RunThreads, metrics: Metrics, traces: Traces | None, recording: Recording | None
    ) -> None:
        self._settings = settings
        self._recording = recording
        self._threads = threads
        self._metrics = metrics
        self._traces = traces

    @asynccontextmanager
    async def start(self, run: Run, engine: Engine) -> AsyncIterator[Awaitable[str]]:
        """Yields the response's body, JSON, to await once the run has begun. Raises HttpError, on entering if the run is refused."""
        began = time.perf_counter()
        if not run.verifies:
            self._metrics.begin(run.id)
        try:
            async with self._threads.start(partial(self._answered, run, engine)) as answer:
                run.began_running = True
                try:
                    with self._metrics.in_flight.track_inprogress():
                        yield answer
                    run.outcome = "succeeded"
                except PausedError:
                    run.waits = True
                    raise
                except (RunFailedError, _NotJSONError, TimedOutError, CutOffError, StoppedError) as error:
                    raise self._refusal(run, error) from None
                except ConnectionError:
                    raise  # of the caller's connection: engines raise none
                except Exception as error:
                    run.outcome = "failed"
                    _note_error(run, "internal", type(error).__name__)
                    raise
                finally:
                    if not run.waits:  # the pod that ends it records it, once
                        self._record(run, time.perf_counter() - began)
        except BusyError:
            raise _busy(self._settings) from None
        finally:
            self._metrics.end(run.id)

    async def finish(
        self, run: Run, engine: Engine, in_time: Callable[[Awaitable[str]], Awaitable[str]]
    ) -> tuple[str | None, HttpError | None]:
        """Executes a background run, once a thread is free, until it ends. Returns its output, JSON, or the error that it ended by.

        `in_time`: awaits the answer, or raises TimedOutError. Raises PausedError, StoppedError, CutOffError and BusyError for a run that did not
        end.
        """
        self._metrics.begin(run.id)
        try:
            async with self._threads.start(partial(self._answered, run, engine), patient=True) as answer:
                with self._metrics.in_flight.track_inprogress():
                    output = await in_time(answer)
        except (PausedError, StoppedError, CutOffError, BusyError):
            raise
        except (RunFailedError, _NotJSONError, TimedOutError) as error:
            return None, self._refusal(run, error)
        except Exception as error:
            run.outcome = "failed"
            _note_error(run, "internal", type(error).__name__)
            return None, HttpError(500, "internal", "the runtime failed; its log says more", {"error": type(error).__name__})
        else:
            run.outcome = "succeeded"
            return output, None
        finally:
            self._metrics.end(run.id)
            if not run.was_answered and run.report.cancel:
                run.report.cancel()

    async def record_of(self, run: Run, busy_seconds: float) -> str | None:
        """Returns an ended background run as the recorder takes it: compressed, as base64; None if runs are not recorded."""
        if self._recording is None:
            return None
        recording = self._recording
        encoded = await in_thread(lambda: recording.encoded(run, round(busy_seconds * 1000)))
        return base64.b64encode(encoded).decode()

    def close(self, run: Run, busy_seconds: float) -> None:
        """Counts, logs and traces a background run whose end is committed."""
        self._count(run, busy_seconds)
        self._log(run, busy_seconds, self._traces.record(run) if self._traces else None)

    def refuse(self, run: Run, error: HttpError) -> None:
        """Counts, logs, traces and records a run in its caller's connection that should wait, and could not be stored."""
        run.waits, run.outcome = False, "failed"
        _note_error(run, error.code, error.message)
        self._record(run, (time.time_ns() - run.began) / 1e9)

    def _answered(self, run: Run, engine: Engine) -> str:
        """Returns the response's body, in the run's thread."""
        try:
            output = self._executed(run, engine)
            if run.request.last_only and engine.outputs > 1:
                output = list(output.values())[-1]
            return _as_json({"data": run.data(self._settings.app_id, "succeeded", output)} if run.whole else output)
        except Exception as error:
            # In this thread: patterns take time.
            if run.report.content is not None:
                run.error = run.report.content.error(self._text(error))
            raise

    def _executed(self, run: Run, engine: Engine) -> Any:
        """Returns the output, in the run's thread, and records what it may of input and output."""
        content = run.report.content = None
        if self._recording is not None and not run.verifies:
            run.shape = shape_of(run.given)  # before the flow, which may change its input
            content = run.report.content = self._recording.content()
        if content is None:
            return engine.execute(run.given, run.report)
        run.input = content.of(run.shown)
        output = engine.execute(run.given, run.report)
        run.output = content.of(output)
        return output

    def _refusal(self, run: Run, error: Exception) -> HttpError:
        """Ends a run by an error, and returns the one for its caller."""
        error.__traceback__ = None  # its frames refer to it, and keep the run's files until the next search for garbage
        run.outcome, refusal = self._failed(error)
        refusal.details |= {"run_id": run.id}
        refusal.run = run.data(self._settings.app_id, run.outcome, None) if run.whole else None
        _note_error(run, refusal.code, refusal.message)
        return refusal

    def _record(self, run: Run, seconds: float) -> None:
        if not run.was_answered and run.report.cancel:
            run.report.cancel()
        run.ended = time.time_ns()
        if not run.verifies:
            self._count(run, seconds)
        trace_id = self._traces.record(run) if self._traces else None
        if self._recording is not None and not run.verifies:
            trace_id = self._recording.add(run, trace_id)
        self._log(run, seconds, trace_id)

    def _log(self, run: Run, seconds: float, trace_id: str | None) -> None:
        traced: dict[str, Any] = {"trace_id": trace_id} if trace_id else {}
        if run.verifies:
            traced["verification"] = True
        if run.outcome == "failed":
            traced |= _cause(run.report.nodes)
        version = self._settings.workflow_version
        log("run", run_id=run.id, outcome=run.outcome, milliseconds=round(seconds * 1000, 1), workflow_version=version, **traced)

    def _count(self, run: Run, seconds: float) -> None:
        self._metrics.count(run.outcome, seconds, run.report)
        if trigger := run.headers.get(TRIGGER):
            self._metrics.count_trigger(trigger)

    def _text(self, error: Exception) -> str:
        """Returns the text of an error of a run's thread, for its record."""
        if isinstance(error, (RunFailedError, _NotJSONError)) or str(error) in UNASKED:
            return self._failed(error)[1].message
        return f"{type(error).__name__}: {error}"

    def _failed(self, error: Exception) -> tuple[str, HttpError]:
        if isinstance(error, RunFailedError):
            nodes = [{"id": node.node, "name": node.name, "message": node.message} for node in error.failures]
            if error.input_refused:
                return "refused", HttpError(400, "input_refused", str(error), {"nodes": nodes})
            return "failed", HttpError(500, "node_failed", str(error), {"nodes": nodes})
        if isinstance(error, StoppedError):
            return "failed", unasked(str(error))
        if isinstance(error, TimedOutError):
            message = f"the run did not end within {self._settings.run_timeout:g} s"
            return "timed_out", HttpError(504, "run_timed_out", message)
        if isinstance(error, CutOffError):
            message = f"this pod stops, and the run did not end within the {self._settings.drain:g} s that it had left: try again"
            return "cut_off", HttpError(503, "stopping", message, retry_after=RETRY_AFTER)
        return "failed", HttpError(500, "output_not_json", f"the workflow's output cannot be serialized as JSON: {error}")


def _cause(nodes: list[NodeRun]) -> dict[str, Any]:
    """Returns the log's fields on the first failed node: never the error's text, which may quote the run's input."""
    failed = next((node for node in list(nodes) if node.status == FAILED), None)
    if failed is None:
        return {}
    line = {} if failed.error_line is None else {"line": failed.error_line}
    return {"node": failed.name, "error_type": failed.error_type, **line}


def _note_error(run: Run, code: str, message: str) -> None:
    """Notes the error of a run, on the event loop."""
    run.reason = code
    # The text of an error of the run's thread is already set. Any other message is a short one of ours.
    if run.report.content is not None and run.error is None:
        run.error = run.report.content.error(message)


def _busy(settings: Settings) -> HttpError:
    limits = {"concurrent_runs": settings.concurrent_runs, "queued_runs": settings.queued_runs}
    message = f"{settings.concurrent_runs} runs are under way and {settings.queued_runs} may wait: try again, or allow more replicas"
    return HttpError(429, "too_many_runs", message, limits, retry_after=RETRY_AFTER)


class _NotJSONError(ValueError):
    """The output cannot be written as JSON."""


def _described(value: Any) -> Any:
    """Returns an uploaded file of an output without its content, which its caller has."""
    if isinstance(value, File):
        return value.described
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"), default=_described)
    except (ValueError, TypeError, RecursionError) as error:
        raise _NotJSONError(str(error)) from None
