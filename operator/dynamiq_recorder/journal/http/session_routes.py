"""Serves conversations: pods ask whose one is and report turns, the operator places them, and users read the counts. No answer has an id."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from dynamiq_operator.model.journal import placement_digest
from dynamiq_operator.serving.encoding import Json
from dynamiq_operator.serving.problems import HttpProblem, invalid_field
from dynamiq_recorder.http.errors import unknown
from dynamiq_recorder.identity.apps import KnownApp, Sessions
from dynamiq_recorder.journal import sessions
from dynamiq_recorder.journal.http import answers, bodies
from dynamiq_recorder.journal.http.context import Caller, Context, ContextOf, request_context
from dynamiq_recorder.journal.http.errors import disk_full
from dynamiq_recorder.journal.http.pod_routes import PodRoute
from dynamiq_recorder.journal.model import Place
from dynamiq_recorder.journal.placement import is_fresh
from dynamiq_recorder.journal.sessions import Owned
from dynamiq_recorder.journal.tables import placement_key
from dynamiq_recorder.store.database import pieces

HASH = re.compile("[0-9a-f]{32}")
POLL_MOST = 25.0
"""Most seconds of a long poll for the policy."""
AGAIN = 2.5
"""Seconds before its end at which a turn that waits is noted again."""

router = APIRouter(prefix="/v1/apps/{uid}")


async def whose(request: Request) -> Response:
    context, session = request_context(request), request.path_params["session"]
    caller, place, kept = await _pod(context, request)
    if not HASH.fullmatch(session):
        raise invalid_field("session", "must be the first 16 bytes of the SHA-256 of its id, as 32 hexadecimal digits")
    async with bodies.read(context, request, caller, bodies.SessionBody, bodies.SMALL_MAX):
        pass
    # Most calls are about a conversation that goes on, and change nothing.
    placement, known = await context.read(caller, context.store.session, place.app_uid, session)
    if known is not None and not placement.has_moved(known):
        if is_fresh(known, context.store.clock(), kept.idle):
            return Json(answers.whose(Owned(known, placement)))
    elif context.is_full:
        raise disk_full()
    return Json(answers.whose(await context.committer.put(place.namespace, partial(sessions.whose, place=place, session=session))))


async def seen(request: Request) -> Response:
    context = request_context(request)
    caller, place, kept = await _pod(context, request)
    async with bodies.read(context, request, caller, bodies.SeenBody, bodies.SEEN_MAX) as body:
        ages = sorted(body.sessions.items(), key=lambda each: each[1])
        # In pieces, between which other requests go on. Turns of one time are in one piece, as far as they fit: it is few changes.
        for part in pieces(ages):
            await context.committer.put(
                place.namespace, partial(sessions.note_seen, app_uid=place.app_uid, ages=dict(part), idle=kept.idle)
            )
    return Json({"epoch": (await context.read(caller, context.store.placement, place.app_uid)).epoch})


async def wake(request: Request) -> Response:
    context = request_context(request)
    caller, place, _ = await _pod(context, request)
    async with bodies.read(context, request, caller, bodies.WakeBody, bodies.SMALL_MAX) as body:
        pass
    # Each waiting call of each pod asks several times a second.
    if await context.read(caller, context.store.turn_waits, place.app_uid, body.pins, AGAIN):
        (await context.read(caller, context.store.placement, place.app_uid)).check_open(body.pins)
    else:
        await context.committer.put(place.namespace, partial(sessions.wake, place=place, pins=body.pins))
    return Json({})


async def _pod(context: Context, request: Request) -> tuple[Caller, Place, Sessions]:
    """Returns a pod of an App with sessions.

    Raises HttpProblem 404 for other Apps, and what `Context.pod` raises.
    """
    caller, place = await context.pod(request, request.path_params["uid"])
    kept = _current(context, caller).sessions
    if kept is None:
        raise HttpProblem(404, "the App has no sessions: spec.sessions is not set", code="no_sessions")
    return caller, place, kept


def _current(context: Context, caller: Caller) -> KnownApp:
    return context.apps.get(caller.app.uid) or caller.app


@router.get("/sessions/policy")
async def policy(
    request: Request, context: ContextOf, uid: str, after: str = "", wait: Annotated[float, Query(ge=0, le=POLL_MOST)] = 0
) -> Response:
    caller, _ = await context.pod(request, uid)

    async def read() -> dict[str, Any]:
        placement = await context.read(caller, context.store.placement, uid)
        return answers.policy(_current(context, caller).sessions, placement)

    polling = context.notices.poll(placement_key(uid), wait, read, lambda found: found["version"] != after)
    return Json(await context.poll(request, caller, polling))


@router.put("/sessions-placement")
async def place(request: Request, context: ContextOf, uid: str) -> Response:
    caller = await context.require_all_namespaces(request, "update")
    if context.apps.get(uid) is None:
        context.apps.check_listed()
        raise unknown("App", uid)
    async with bodies.read(context, request, caller, msgspec.Raw, bodies.PLACEMENT_MAX) as raw:
        text = bytes(raw)
    placement = bodies.parsed(text, bodies.PlacementBody).placement()
    digest = placement_digest(msgspec.json.decode(text or b"{}"))
    put = context.committer.put
    # This commit moves them. The rest only deletes lines that nobody reads any more.
    await put("", partial(sessions.put_placement, app_uid=uid, new=placement, digest=digest))
    return Json({"digest": digest, "moved": await end_moved(context, uid)})


async def end_moved(context: Context, uid: str) -> dict[str, int]:
    """Deletes the conversations that have moved, in pieces between which other requests go on. Returns how many of which pins."""
    moved, more = Counter[str](), True
    while more:
        piece, more = await context.committer.put("", partial(sessions.end_moved, app_uid=uid))
        moved.update(piece)
    context.metrics.sessions_moved.inc(moved.total())
    return dict(moved)


@router.get("/sessions")
async def list_sessions(request: Request, context: ContextOf, uid: str) -> Response:
    caller = await context.caller(request, uid, "list")
    kept = _current(context, caller).sessions or Sessions()
    counts = await context.read(caller, context.store.conversations, {uid: kept.warm}, uid)
    return Json(answers.conversations(counts, await context.read(caller, context.store.placement, uid)))


ROUTES = [
    PodRoute("/v1/apps/{uid}/sessions/seen", seen, methods=["POST"]),
    PodRoute("/v1/apps/{uid}/sessions/wake", wake, methods=["POST"]),
    PodRoute("/v1/apps/{uid}/sessions/{session}", whose, methods=["PUT"]),
]
