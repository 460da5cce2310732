"""Serves one flow over HTTP: runs, probes and metrics, and a stop that lets runs end.

`POST /` answers with the workflow's output, `POST /v1/runs` with the run around it. On SIGTERM `/readyz` fails at once, runs
under way end within the drain time, and only then are connections refused. Tracebacks, inputs and keys never leave the process.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from dynamiq_runtime import engine
from dynamiq_runtime.errors import AnswerError, translated
from dynamiq_runtime.flow import Flow
from dynamiq_runtime.keys import AccessKeys
from dynamiq_runtime.logs import log, now
from dynamiq_runtime.metrics import Metrics
from dynamiq_runtime.requests import read_input, require_key
from dynamiq_runtime.runs import BusyError, Runner, TimedOutError
from dynamiq_runtime.settings import Settings

BODY_LIMIT = 2 << 20
GRACE = 1.0  # seconds for connections that are still writing an answer when the drain time is over
VERSION_HEADER = "X-Dynamiq-Workflow-Version"
HASH_HEADER = "X-Dynamiq-Workflow-Hash"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Shape = Callable[[Any, dict[str, Any]], Any]  # (output, run) to the answer's body


class Server:
    """One App's server; `start`, `drain` and `close` are called once each, on one event loop."""

    def __init__(self, settings: Settings, flow: Flow, keys: AccessKeys | None) -> None:
        self._settings = settings
        self._flow = flow
        self._keys = keys
        self._metrics = Metrics(settings)
        self._runner = Runner(settings.run_timeout)
        self._draining = False
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        app = web.Application(client_max_size=BODY_LIMIT, middlewares=[self._shape_errors])
        app.on_response_prepare.append(self._add_headers)
        app.router.add_post("/", self._answer)
        app.router.add_post("/v1/runs", self._run)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._show_metrics)
        self._web = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE, handle_signals=False)

    async def start(self) -> int:
        """Listens and returns the port, which is the system's choice when the setting is 0."""
        await self._web.setup()
        site = web.TCPSite(self._web, None, self._settings.port, backlog=1024, reuse_address=True)
        await site.start()
        # Port 0 is another port for each address family; callers on loopback mean IPv4's, whose addresses are pairs.
        port: int = min(self._web.addresses, key=len)[1]
        return port

    async def drain(self) -> None:
        """Says that it is not ready and waits for the runs under way, at most the drain time."""
        self._draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), self._settings.drain)
        except TimeoutError:
            log("runs were cut off: the drain time is over", level="warning", runs=self._under_way)

    async def close(self) -> None:
        """Refuses connections from now on."""
        await self._web.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        return await self._serve(request, lambda output, _run: output)

    async def _run(self, request: web.Request) -> web.Response:
        return await self._serve(request, lambda output, run: {"data": {**run, "output": output}})

    async def _serve(self, request: web.Request, shape: Shape) -> web.Response:
        """Counts the run from before its body is read, so that a drain waits for it."""
        self._under_way += 1
        self._idle.clear()
        try:
            require_key(request, self._keys)
            return await self._execute(await read_input(request), shape)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _execute(self, given: dict[str, Any], shape: Shape) -> web.Response:
        run: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "app_id": self._settings.app_id,
            "status": "succeeded",
            "started_at": now(),
        }
        began = time.perf_counter()

        def work() -> str:
            output = engine.execute(self._flow, given)
            return _as_json(shape(output, {**run, "ended_at": now(), "input": given}))

        outcome = "failed"
        try:
            with self._metrics.in_flight.track_inprogress():
                text = await self._runner.call(work)
            outcome = "succeeded"
            return web.Response(text=text, content_type="application/json")
        except (engine.RunFailedError, _NotJSONError, TimedOutError, BusyError) as error:
            outcome, answer = self._failed(error)
            answer.details |= {"run_id": run["id"]}
            raise answer from None
        finally:
            seconds = time.perf_counter() - began
            self._metrics.runs.labels(outcome).inc()
            self._metrics.latency.observe(seconds)
            log("run", run_id=run["id"], outcome=outcome, milliseconds=round(seconds * 1000, 1))

    def _failed(self, error: Exception) -> tuple[str, AnswerError]:
        if isinstance(error, engine.RunFailedError):
            nodes = [{"id": node.node, "name": node.name, "message": node.message} for node in error.failures]
            return "failed", AnswerError(500, "node_failed", str(error), {"nodes": nodes})
        if isinstance(error, TimedOutError):
            message = f"the run did not end within {self._settings.run_timeout:g} s"
            return "timed_out", AnswerError(504, "run_timed_out", message)
        if isinstance(error, BusyError):
            answer = AnswerError(503, "busy", "every thread is taken by another run: try again, or allow more replicas")
            answer.headers["Retry-After"] = "1"
            return "busy", answer
        return "failed", AnswerError(500, "output_not_json", f"the workflow's output has no form in JSON: {error}")

    async def _healthz(self, _request: web.Request) -> web.Response:
        if self._runner.stuck:
            return web.json_response({"status": "every thread is stuck in a run that was given up"}, status=503)
        return web.json_response({"status": "ok"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        if self._draining:
            return web.json_response({"status": "draining"}, status=503)
        return web.json_response({"status": "ready"})

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    @web.middleware
    async def _shape_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except AnswerError as error:
            answer = error
        except web.HTTPException as error:
            answer = translated(error, BODY_LIMIT)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            log("a request failed inside the runtime", level="error", error=type(error).__name__)
            answer = AnswerError(500, "internal", "the runtime failed; its log says more")
        if "run_id" not in answer.details:
            self._metrics.refused.labels(answer.code).inc()
        return answer.response()

    async def _add_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        if self._settings.workflow_version:
            response.headers[VERSION_HEADER] = self._settings.workflow_version
        if self._settings.flow_hash:
            response.headers[HASH_HEADER] = self._settings.flow_hash
        if self._draining:
            response.force_close()


class _NotJSONError(ValueError):
    """The output can't be written as JSON."""


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError) as error:
        raise _NotJSONError(str(error)) from None


async def serve(settings: Settings, flow: Flow, keys: AccessKeys | None) -> None:
    """Serves until SIGTERM or SIGINT, then drains. Raises OSError when the port is taken."""
    server = Server(settings, flow, keys)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    port = await server.start()
    version = settings.workflow_version
    log("serving", port=port, app=settings.app, workflow_version=version, engine=settings.engine, nodes=len(flow.nodes))
    if keys is not None and not len(keys):
        log("there is no Access Key yet: every caller is refused", level="warning")
    await stop.wait()
    log("draining", drain_seconds=settings.drain)
    await server.drain()
    await server.close()
    log("stopped")
