"""Serves one flow over HTTP: runs, probes and metrics, and a stop that lets runs end.

`POST /` answers with the workflow's output, `POST /v1/runs` with the run around it, either as events where that is asked for.
It listens at once and is ready when the flow is loaded. On SIGTERM `/readyz` fails at once, runs and streams under way end within
the drain time, and only then are connections refused. Tracebacks, inputs and keys never leave the process.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from dynamiq_runtime.engine import Engine
from dynamiq_runtime.errors import HttpError, from_aiohttp
from dynamiq_runtime.events import HEADERS, ChunkStream, encode_event, write
from dynamiq_runtime.execution import RETRY_AFTER, Run, RunExecutor, Serializer
from dynamiq_runtime.keys import AccessKeys
from dynamiq_runtime.logs import log
from dynamiq_runtime.metrics import Metrics
from dynamiq_runtime.requests import parse_run_request, require_key
from dynamiq_runtime.settings import Settings
from dynamiq_runtime.threads import RunThreads, in_thread

GRACE = 1.0  # seconds for connections that are still writing an answer when the drain time is over
VERSION_HEADER = "X-Dynamiq-Workflow-Version"
HASH_HEADER = "X-Dynamiq-Workflow-Hash"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """One App's server, ready once `engine` is set; `start`, `drain` and `close` are called once each, on one event loop."""

    def __init__(self, settings: Settings, keys: AccessKeys | None) -> None:
        self.engine: Engine | None = None
        self._settings = settings
        self._keys = keys
        self._threads = RunThreads(settings.run_timeout, settings.concurrent_runs, settings.queued_runs)
        self._metrics = Metrics(settings, lambda: self._threads.waiting)
        self._traces = None
        if settings.traces:
            from dynamiq_runtime.traces import Traces  # a third of a second, which a pod that sends none need not wait for

            self._traces = Traces(settings)
        self._runs = RunExecutor(settings, self._threads, self._metrics, self._traces)
        self._draining = False
        self._in_progress = 0
        self._idle = asyncio.Event()
        self._idle.set()
        app = web.Application(client_max_size=settings.body_limit, middlewares=[self._errors_to_responses])
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
        """Reports not ready and waits for the runs in progress, at most the drain time; the callers of the others get an error."""
        self._draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), self._settings.drain)
        except TimeoutError:
            log("runs were cut off: the drain time is over", level="warning", runs=self._in_progress)
            self._threads.cut_off()

    async def close(self) -> None:
        """Refuses connections from now on, and sends the traces that are left."""
        await self._web.cleanup()
        if self._traces is not None:
            await in_thread(self._traces.close)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, lambda output, _run: output)

    async def _run(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, lambda output, run: {"data": {**run, "output": output}})

    async def _serve(self, request: web.Request, serialize: Serializer) -> web.StreamResponse:
        with self._counted():
            require_key(request, self._keys)
            wanted = await parse_run_request(request)
            if self.engine is None:
                raise HttpError(503, "starting", "the workflow is being loaded: try again", retry_after=RETRY_AFTER)
            run = Run(wanted.input, serialize, request.headers)
            if wanted.stream:
                return await self._stream(request, run, self.engine)
            async with self._runs.start(run, self.engine) as answer:
                text = await answer
            return web.Response(text=text, content_type="application/json")

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Counts a request from before its body is read, so that a drain waits for it."""
        self._in_progress += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_progress -= 1
            if not self._in_progress:
                self._idle.set()

    async def _stream(self, request: web.Request, run: Run, engine: Engine) -> web.StreamResponse:
        """Answers with a status of its own until the run begins, and from then on with events."""
        chunks, response = ChunkStream(), web.StreamResponse(headers=HEADERS)
        run.report.emit = chunks.emit
        try:
            try:
                async with self._runs.start(run, engine) as answer:
                    await response.prepare(request)
                    last = encode_event("result", await chunks.relay(response, answer))
            except HttpError as error:
                if not response.prepared:
                    raise
                last = encode_event("error", error.body)
            await write(response, last)
        except ConnectionError:
            # The caller has left, or does not read, and the run with it: nothing waits until what is in the buffer has been taken.
            if request.transport is not None:
                request.transport.abort()
            return response
        finally:
            chunks.close()
        await response.write_eof()
        return response

    async def _healthz(self, _request: web.Request) -> web.Response:
        if self._threads.stuck:
            return web.json_response({"status": "every thread is stuck in a run that was given up"}, status=503)
        return web.json_response({"status": "ok"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        if self._draining:
            return web.json_response({"status": "draining"}, status=503)
        if self.engine is None:
            return web.json_response({"status": "starting"}, status=503)
        return web.json_response({"status": "ready"})

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    @web.middleware
    async def _errors_to_responses(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except HttpError as error:
            answer = error
        except web.HTTPException as error:
            answer = from_aiohttp(error, self._settings.body_limit)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            log("a request failed inside the runtime", level="error", error=type(error).__name__)
            answer = HttpError(500, "internal", "the runtime failed; its log says more")
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


async def serve(settings: Settings, load: Callable[[], Engine], keys: AccessKeys | None) -> None:
    """Serves until SIGTERM or SIGINT, then drains. Raises OSError when the port is taken, and what `load` raises."""
    server = Server(settings, keys)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    port = await server.start()
    log("listening", port=port, app=settings.app, workflow_version=settings.workflow_version, engine=settings.engine)
    stopping = asyncio.ensure_future(stop.wait())
    loading = asyncio.ensure_future(in_thread(load))
    await asyncio.wait({stopping, loading}, return_when=asyncio.FIRST_COMPLETED)
    if loading.done():
        server.engine = loading.result()
        log("serving", port=port, nodes=server.engine.nodes)
    if keys is not None and not len(keys):
        log("there is no Access Key yet: every caller is refused", level="warning")
    await stopping
    log("draining", drain_seconds=settings.drain)
    await server.drain()
    await server.close()
    log("stopped")
