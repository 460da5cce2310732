"""Serves one flow over HTTP: runs and probes, metrics on their own port, and a stop that lets runs end.

`POST /` returns the workflow's output, `POST /v1/runs` the run around it; either can be streamed as events. Documented calls that are not
served are refused by name. It listens at once and is ready when the flow is loaded. On SIGTERM `/readyz` fails at once; runs and streams
under way end within the drain time, and only then are connections refused. Tracebacks, inputs and keys never leave the process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestHandler

from dynamiq_runtime.activity import Activity
from dynamiq_runtime.bodies import Bodies
from dynamiq_runtime.delivery import deliver, write
from dynamiq_runtime.engine import Engine, PausedError
from dynamiq_runtime.errors import HttpError, bad_request, from_aiohttp, not_served
from dynamiq_runtime.events import HEADERS, ChunkStream
from dynamiq_runtime.execution import RETRY_AFTER, RunExecutor
from dynamiq_runtime.fields import RunRequest
from dynamiq_runtime.frames import Frames, Messages, RunEvents
from dynamiq_runtime.keys import AccessKeys
from dynamiq_runtime.logs import log
from dynamiq_runtime.metrics import Metrics
from dynamiq_runtime.metrics_server import MetricsServer
from dynamiq_runtime.origins import Origins
from dynamiq_runtime.ports import listen
from dynamiq_runtime.relay import Relay
from dynamiq_runtime.requests import ACCESS_KEY, parse_run_request, require_key
from dynamiq_runtime.rows import PASSED_ON, PINS, ROW, ROW_HEADER, check_hop
from dynamiq_runtime.run import Run
from dynamiq_runtime.runs_api import RunsApi
from dynamiq_runtime.segments import CallSegment
from dynamiq_runtime.settings import Settings
from dynamiq_runtime.standby import Standby
from dynamiq_runtime.threads import RunThreads, in_thread
from dynamiq_runtime.uploads import Uploads
from dynamiq_runtime.verification import HEADER, Verification

GRACE = 1.0  # seconds for connections that still write an answer when the drain time is over
LETS_GO = 1.0  # most seconds of waiting for kept connections: each ends with its next answer, or once it is idle
LOOK_PERIOD = 0.02
VERSION_HEADER = "X-Dynamiq-Workflow-Version"
HASH_HEADER = "X-Dynamiq-Workflow-Hash"
RUN_HEADER = "X-Dynamiq-Run-Id"
PROBES = frozenset({"/healthz", "/readyz"})
RUN = web.RequestKey("run", Run)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

UNSERVED = (
    ("POST", "/v1/files"),
    ("GET", "/v1/requirements"),
    ("GET", "/v1/requirements/status"),
    ("DELETE", "/v1/requirements/{id}/connections"),
    ("POST", "/v1/connect/tokens"),
)
"""Documented calls of an App's hostname that this version does not serve."""
BODIES_LEAST = 16
"""Largest bodies that may arrive at once even if fewer runs may: a slow one must not block all others."""


class Server:
    """One App's server, ready once it has its engine. `start`, `begin`, `drain` and `close` are called once each, on one event loop."""

    def __init__(self, settings: Settings, keys: AccessKeys | None) -> None:
        self._engine: Engine | None = None
        self._settings = settings
        self._keys = keys
        self._threads = RunThreads(settings.run_timeout, settings.concurrent_runs, settings.queued_runs)
        self._metrics = Metrics(settings, lambda: self._threads.waiting)
        self._traces = None
        if settings.traces:
            from dynamiq_runtime.traces import Traces  # a third of a second, which a pod that sends none need not wait for

            self._traces = Traces(settings)
        self._recording = None
        if settings.recorder is not None:
            from dynamiq_runtime.recording import Recording

            self._recording = Recording(settings, settings.recorder, self._metrics.drop_records)
        self._relay = Relay(settings.recorder, settings.app_id)
        self._runs = RunExecutor(settings, self._threads, self._metrics, self._traces, self._recording)
        self._activity = Activity()
        self._durable = None
        if settings.journal is not None and keys is not None:
            from dynamiq_runtime.durable import Durable

            self._durable = Durable(settings, settings.journal, self._runs, self._threads, self._activity, self._metrics)
        self._turns = self._durable.turns if self._durable is not None else None
        self._runs_api = RunsApi(self._durable, keys)
        # As many bytes as the runs under way may have: any more would only wait for one of them.
        self._bodies = Bodies(max(settings.concurrent_runs, BODIES_LEAST) * settings.body_limit)
        self._uploads, self._origins = Uploads(), Origins(settings.origins)
        self._draining = False
        self._standby = Standby(settings.pod_annotations)
        self._verification = Verification(settings.pod_annotations)
        self._following: asyncio.Task[None] | None = None
        app = web.Application(client_max_size=settings.body_limit, middlewares=[self._errors_to_responses])
        app.on_response_prepare.append(self._add_headers)
        app.router.add_post("/", self._answer)
        app.router.add_post("/v1/runs", self._run)
        self._runs_api.add_routes(app.router)
        for method, path in UNSERVED:
            app.router.add_route(method, path, self._unserved)
        app.router.add_post("/v1/traces", self._take_traces)
        app.router.add_get("/v1/verification", self._knows_key)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._web = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE, handle_signals=False)
        self._metrics_server = MetricsServer(self._metrics, self._activity, lambda: self._standby.on)

    async def start(self) -> tuple[int, int]:
        """Listens and returns the ports, for calls and for metrics. Raises PortError."""
        metrics_port = await self._metrics_server.start(self._settings.metrics_port)
        port = await listen(self._web, self._settings.port, "PORT")
        self._following = asyncio.create_task(self._standby.follow(self._connections))
        if self._recording is not None:
            self._recording.start()
        return port, metrics_port

    def begin(self, engine: Engine) -> None:
        """Becomes ready, and runs with `engine`."""
        self._engine = engine
        self._activity.begin()
        if self._durable is not None:
            self._durable.begin(engine)

    async def drain(self) -> None:
        """Reports not ready and waits for the runs in progress, at most the drain time. The remaining callers get an error."""
        self._draining = True
        if self._durable is not None:
            self._durable.drain()
        # Kept connections are closed meanwhile: their callers only move to another pod once their connection has closed.
        if self._following is not None:
            self._following.cancel()
        self._following = asyncio.create_task(self._standby.let_go(self._connections))
        try:
            await asyncio.wait_for(self._activity.wait_until_none(), self._settings.drain)
        except TimeoutError:
            if self._durable is not None:
                await self._durable.runs.hand_back()
            log("runs were cut off: the drain time is over", level="warning", runs=self._activity.in_flight)
            self._threads.cut_off()
            if self._turns is not None:
                self._turns.cut_off()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LETS_GO):
                while self._connections():  # noqa: ASYNC110 - the server does not report a connection that ended
                    await asyncio.sleep(LOOK_PERIOD)

    async def close(self) -> None:
        """Refuses connections from now on, and sends the remaining traces and records."""
        if self._following is not None:
            self._following.cancel()
        if self._durable is not None:
            await self._durable.close()
        await self._web.cleanup()
        await self._metrics_server.close()
        await self._relay.close()
        leaving = [each.close for each in (self._traces, self._recording) if each is not None]
        await asyncio.gather(*(in_thread(close) for close in leaving))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, is_run=False)

    async def _run(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, is_run=True)

    async def _unserved(self, request: web.Request) -> web.StreamResponse:
        require_key(request, self._keys)
        assert request.match_info.route.resource is not None  # noqa: S101 - of a route that matched
        raise not_served({f"{request.method} {request.match_info.route.resource.canonical}": "is not served by this version"})

    async def _take_traces(self, request: web.Request) -> web.StreamResponse:
        # Not a call of the App: tracing runs elsewhere must not keep a pod awake.
        if self._keys is None:
            raise HttpError(
                403, "public_app", "this App is public and has no Access Keys: only those of a private App may send runs from outside"
            )
        require_key(request, self._keys)
        return await self._relay.pass_on(request)

    async def _serve(self, request: web.Request, *, is_run: bool) -> web.StreamResponse:
        check_hop(request, self._settings.app_id, self._settings.pins)
        verifies = self._verification.takes(request)
        if not verifies:
            if HEADER in request.headers:
                raise HttpError(403, "not_verified", "this key is not for a smoke test of this pod")
            require_key(request, self._keys)
        with self._activity.call():
            return await deliver(request, await self._respond(request, partial(self._execute, is_run=is_run, verifies=verifies)))

    async def _knows_key(self, request: web.Request) -> web.Response:
        """Answers 204 if this pod knows the key of the request: it may be verified with it."""
        return web.Response(status=204 if self._verification.takes(request) else 403)

    async def _execute(self, request: web.Request, *, is_run: bool, verifies: bool) -> web.StreamResponse:
        parsed = await parse_run_request(request, self._bodies, self._uploads)
        try:
            if self._engine is None:
                raise HttpError(503, "starting", "the workflow is being loaded: try again", retry_after=RETRY_AFTER)
            if parsed.background:
                return await self._accept(request, parsed, is_run=is_run, verifies=verifies)
            here = partial(self._answered, request, parsed, self._engine, is_run=is_run, verifies=verifies)
            if self._turns is None or verifies:
                return await here()
            return await self._turns.answered(request, parsed, here)
        finally:
            self._uploads.release(parsed.files)

    async def _accept(self, request: web.Request, parsed: RunRequest, *, is_run: bool, verifies: bool) -> web.Response:
        if not is_run and not parsed.is_async:
            raise bad_request({"background": 'is a field of POST /v1/runs: send `execution_mode`: "async"'})
        if verifies:
            raise HttpError(403, "not_verified", "a smoke test has no runs in the background")
        run = await self._runs_api.accept(request, parsed)
        return web.json_response({"data": run} if is_run else {"id": run["id"], "status": "accepted"}, status=202)

    async def _answered(
        self, request: web.Request, parsed: RunRequest, engine: Engine, *, is_run: bool, verifies: bool
    ) -> web.StreamResponse:
        whole = is_run and not parsed.stream
        run = request[RUN] = Run(parsed, request.headers, whole=whole, verifies=verifies, key=request.get(ACCESS_KEY))
        if engine.waits:
            self._let_wait(run)
        if parsed.stream:
            return await self._stream(request, run, engine, RunEvents(run) if is_run else Messages(run, engine.workflow))
        try:
            async with self._runs.start(run, engine) as answer:
                text = await answer
        except PausedError as paused:
            return web.json_response({"data": await self._keep(request, run, paused)}, status=202)
        return web.Response(text=text, content_type="application/json")

    def _let_wait(self, run: Run) -> None:
        """Gives a run the steps by which it can be stored when it has to wait."""
        steps = run.report.steps = self._runs_api.steps(run)
        if isinstance(steps, CallSegment):
            run.report.nodes = steps.nodes
            steps.start_clock()

    async def _stream(self, request: web.Request, run: Run, engine: Engine, frames: Frames) -> web.StreamResponse:
        """Answers with a status of its own until the run begins, and from then on with events."""
        chunks, response = ChunkStream(), web.StreamResponse(headers=HEADERS)
        run.report.emit = chunks.emit
        try:
            try:
                try:
                    async with self._runs.start(run, engine) as answer:
                        await response.prepare(request)
                        if first := frames.begin():
                            await write(response, first)
                        try:
                            last = frames.result(await chunks.relay(response, answer, frames))
                        finally:
                            run.first_chunk = chunks.first_at
                except PausedError as paused:
                    last = frames.paused(await self._keep(request, run, paused))
            except HttpError as error:
                if not response.prepared:
                    raise
                last = frames.error(error)
            except ConnectionError:
                raise
            except Exception as error:
                if not response.prepared:
                    raise
                last = frames.error(_internal(error))
            await write(response, last)
        except ConnectionError:
            # The caller has left, or does not read, and the run ends with it: the buffer is dropped instead of waiting for its reader.
            if request.transport is not None:
                request.transport.abort()
            return response
        finally:
            chunks.close()
        return response

    async def _keep(self, request: web.Request, run: Run, paused: PausedError) -> dict[str, Any]:
        """Stores a run that waits. Returns it as the Runs API has it. Raises HttpError."""
        try:
            return await self._runs_api.keep(request, run, paused.resume_at)
        except HttpError as error:
            self._runs.refuse(run, error)
            raise

    async def _healthz(self, _request: web.Request) -> web.Response:
        if self._threads.stuck:
            return web.json_response({"status": "every thread is stuck in a run that was given up"}, status=503)
        return web.json_response({"status": "ok"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        if self._draining:
            return web.json_response({"status": "draining"}, status=503)
        if self._engine is None:
            return web.json_response({"status": "starting"}, status=503)
        return web.json_response({"status": "ready"})

    @web.middleware
    async def _errors_to_responses(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        with self._standby.request(request):
            return await self._respond(request, partial(self._from_its_origin, handler=handler))

    async def _from_its_origin(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if "websocket" in request.headers.get(hdrs.UPGRADE, "").lower():
            raise not_served({"WebSocket": "is not served by this version: send POST / with `stream`"})
        if hdrs.ORIGIN in request.headers and request.path not in PROBES:
            if (answer := self._origins.preflight(request)) is not None:
                return answer
            self._origins.check(request)
        return await handler(request)

    async def _respond(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except HttpError as error:
            return self._refuse(request, error)
        except web.HTTPException as error:
            return self._refuse(request, from_aiohttp(error, self._settings.body_limit))
        except ConnectionError:
            return web.Response()  # the caller has left: nobody reads it
        except Exception as error:
            return self._refuse(request, _internal(error))

    def _refuse(self, request: web.Request, problem: HttpError) -> web.Response:
        run = request.get(RUN)
        if run is None or not run.ended:
            self._metrics.refuse(problem.status, problem.code)
        return problem.response()

    def _connections(self) -> list[RequestHandler]:
        return [] if self._web.server is None else self._web.server.connections

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        run, passed_on = request.get(RUN), PASSED_ON in request
        if run is not None and run.began_running:
            response.headers[RUN_HEADER] = run.id
        if self._settings.workflow_version and not passed_on:
            response.headers[VERSION_HEADER] = self._settings.workflow_version
        if self._settings.flow_hash and not passed_on:
            response.headers[HASH_HEADER] = self._settings.flow_hash
        if not passed_on and (row := self._row_of(request)) is not None:
            response.headers[ROW_HEADER] = str(row)
        if hdrs.ORIGIN in request.headers:
            response.headers.update(self._origins.headers(request))
        if self._draining or self._standby.on:
            response.force_close()
            response.headers["Connection"] = "close"  # aiohttp has decided on this header already, and would close without announcing it

    def _row_of(self, request: web.Request) -> int | None:
        """Returns the row that an answer names: of the call's conversation, else of this pod's pins; None without conversations."""
        if (row := request.get(ROW)) is not None or self._turns is None or request.path in PROBES:
            return row
        return self._turns.row_of(request.get(PINS, self._settings.pins))


def _internal(error: Exception) -> HttpError:
    log("a request failed inside the runtime", level="error", error=type(error).__name__)
    return HttpError(500, "internal", "the runtime failed; its log says more")
