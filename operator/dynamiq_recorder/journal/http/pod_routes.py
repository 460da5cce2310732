"""Serves pods: they accept runs, claim those of their pins, and save them. Each is answered after its commit."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from dynamiq_operator.serving.encoding import Json
from dynamiq_recorder.journal import operations
from dynamiq_recorder.journal.http import answers, bodies
from dynamiq_recorder.journal.http.context import Caller, Context, request_context
from dynamiq_recorder.journal.http.errors import disk_full
from dynamiq_recorder.journal.model import MICROSECONDS, Limits, Save
from dynamiq_recorder.journal.operations import Claim
from dynamiq_recorder.journal.reading import Shown
from dynamiq_recorder.journal.tables import NOT_SENT, callbacks_key, is_sendable, unheard_key, work_key

UNUSED_WAITS = 60
"""Seconds after which a pod of an App without runs asks again."""

log = logging.getLogger(__name__)


async def accept(request: Request) -> Response:
    context, uid = request_context(request), request.path_params["uid"]
    caller, place = await context.pod(request, uid)
    if context.is_full:
        raise disk_full()
    limits = Limits(of_app=caller.app.durable.open_most, of_namespace=context.namespace_bytes)
    async with bodies.read(context, request, caller, bodies.RunBody, bodies.SAVES_BODY_MAX) as body:
        began = time.monotonic()
        new = body.new_run(keeps_sessions=caller.app.sessions is not None, hosts=caller.app.durable.callback_hosts)
        operation = partial(operations.accept, place=place, new=new, limits=limits, claims=body.claim)
        accepted = await context.committer.put(place.namespace, operation)
    context.metrics.accept_seconds.observe(time.monotonic() - began)
    if accepted.claim is not None:
        context.metrics.claims.inc()
    wait = caller.app.durable.wait
    shown = Shown(accepted.run, accepted.input, questions=accepted.questions, callbacks=accepted.callbacks)
    content = {
        "data": answers.run(shown, wait, content=True),
        "claim": answers.claim(accepted.claim, wait) if accepted.claim is not None else None,
    }
    return Json(content, 201 if accepted.is_new else 200)


async def claim(request: Request) -> Response:
    context, uid = request_context(request), request.path_params["uid"]
    caller, place = await context.pod(request, uid)
    async with bodies.read(context, request, caller, bodies.ClaimBody, bodies.SMALL_MAX) as body:
        pass  # its room is not held while the poll waits
    key = work_key(uid, place.pins)
    # A thousand pods at rest ask fifty times a second: those that can get nothing cost neither a read nor a commit.
    # One of an App with sessions may get a run of a conversation, which another pod accepted.
    may_get = caller.app.sessions is not None or context.notices.is_quiet(key)
    if not may_get and not await context.read(caller, context.store.has_runs, uid):
        return Json(answers.claims([], 0, UNUSED_WAITS, sessions=False))

    held: int | None = body.held

    async def take() -> list[Claim] | None:
        nonlocal held
        if context.notices.is_quiet(key):
            return None
        operation = partial(operations.claim, place=place, free=body.free, held=held, turns=context.turns)
        held = None  # while the poll waits, runs of the pod end
        return await context.committer.put(place.namespace, operation)

    with context.feed.polling(uid, place.pins):
        # Callbacks of a run that no pod ended end the poll: no save tells a pod of them.
        polling = context.notices.poll(key, body.wait, take, bool, ends=unheard_key(uid))
        taken = await context.poll(request, caller, polling) or []
    context.metrics.claims.inc(len(taken))
    for each in (waited for run in taken for waited in run.answer_waits):
        context.metrics.answers_wait_seconds.observe(each / MICROSECONDS)
    app = context.apps.get(uid) or caller.app  # its sessions may be newer than the poll
    seconds = await callbacks_seconds(context, caller, uid)
    return Json(answers.claims(taken, app.durable.wait, 0, sessions=app.sessions is not None, callbacks_seconds=seconds))


async def callbacks_seconds(context: Context, caller: Caller, uid: str) -> float | None:
    """Returns the seconds until the next callback of an App is due. For an App without callbacks it reads only once in a while."""
    key = callbacks_key(uid)
    if context.notices.is_quiet(key):
        return None

    async def read() -> float | None:
        return await context.read(caller, context.store.next_callback, uid)

    return await context.notices.poll(key, 0, read, lambda seconds: seconds is not None)


async def save(request: Request) -> Response:
    context, uid = request_context(request), request.path_params["uid"]
    caller, place = await context.pod(request, uid)
    async with bodies.read(context, request, caller, bodies.SavesBody, bodies.SAVES_BODY_MAX) as body:
        # A record is decompressed, which takes a while.
        in_thread = any(each.end is not None and each.end.record is not None for each in body.saves)
        saves = await anyio.to_thread.run_sync(_saves, context, body, limiter=context.reading) if in_thread else _saves(context, body)
        results = await context.committer.put(place.namespace, partial(operations.save, place=place, saves=saves))
    context.metrics.fenced.inc(sum(not each.ok for each in results))
    return Json({"data": [answers.saved(each) for each in results]})


def _saves(context: Context, body: bodies.SavesBody) -> Sequence[Save]:
    """Returns the saves of a body. A record that the recorder would never take is left out: the run ends nevertheless.

    Raises HttpProblem 422.
    """
    saves = [each.save() for each in body.saves]
    for place, each in enumerate(saves):
        if each.end is not None and each.end.record is not None and not is_sendable(each.end.record):
            log.error("the recorder does not get run %s: %s", each.id, NOT_SENT)
            context.metrics.refused.inc()
            saves[place] = msgspec.structs.replace(each, end=msgspec.structs.replace(each.end, record=None))
    return saves


class PodRoute(Route):
    """A route by which a request is noted, as it is by FastAPI's own."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self
        await super().handle(scope, receive, send)


# Not FastAPI's: they have no parameters to check, and pods call them all the time, which would cost a third more.
ROUTES = [
    PodRoute("/v1/apps/{uid}/runs", accept, methods=["POST"]),
    PodRoute("/v1/apps/{uid}/claims", claim, methods=["POST"]),
    PodRoute("/v1/apps/{uid}/saves", save, methods=["POST"]),
]
