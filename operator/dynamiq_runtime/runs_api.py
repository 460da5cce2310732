"""Answers the Runs API for runs that are stored: those in the background, and those that wait for a person. The journal keeps them.

A public App serves none of it: ids of runs stand in logs and headers, and whoever knows one could read the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from dynamiq_runtime.background import BackgroundRuns, http_error
from dynamiq_runtime.callers import facts_of, tags_of
from dynamiq_runtime.delivery import write
from dynamiq_runtime.engine import Steps, StoppedError
from dynamiq_runtime.errors import HttpError, bad_request, not_served, too_large
from dynamiq_runtime.events import HEADERS, HEARTBEAT, KEEP_ALIVE_PERIOD
from dynamiq_runtime.fields import FILES, RunRequest
from dynamiq_runtime.frames import event_frame
from dynamiq_runtime.journal import JournalAwayError, JournalRefusedError
from dynamiq_runtime.keys import AccessKeys
from dynamiq_runtime.questions import Unasked, unasked
from dynamiq_runtime.requests import ACCESS_KEY, json_object, require_key
from dynamiq_runtime.rows import PINS
from dynamiq_runtime.run import Run
from dynamiq_runtime.segments import CallSegment

if TYPE_CHECKING:
    from dynamiq_runtime.durable import Durable

KEY_HEADER = "Idempotency-Key"
KEY_LIMIT = 256  # characters
INPUT_LIMIT = 1 << 20  # bytes of an input as JSON
ANSWER_LIMIT = 64 << 10  # bytes of a person's answer
STREAMED = 500  # events of one read
PAGE, PAGE_MOST = 20, 100
FILTERS = frozenset({"status", "user_id", "session_id", "page", "page_size", "sort"})
SENT = (
    *("id", "app_id", "status", "reason", "accepted_at", "started_at", "ended_at", "input", "output", "content_omitted", "user_id"),
    *("session_id", "error"),
)
"""Fields of the journal's run that a caller gets."""


class RunsApi:
    """The calls of one App's hostname. `durable`: None without a journal. `keys`: None for a public App."""

    def __init__(self, durable: Durable | None, keys: AccessKeys | None) -> None:
        self._background = durable.runs if durable is not None else None
        self._callbacks = durable.callbacks if durable is not None else None
        self._keys = keys

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/v1/runs", self._list)
        router.add_get("/v1/runs/{id}", self._get)
        router.add_post("/v1/runs/{id}/cancel", self._cancel)
        router.add_post("/v1/runs/{id}/input", self._input)
        router.add_get("/v1/runs/{id}/events", self._events)
        router.add_get("/v1/runs/{id}/stream", self._stream)

    async def accept(self, request: web.Request, parsed: RunRequest) -> dict[str, Any]:
        """Returns the run once it is stored, which then ends whatever dies. Raises HttpError."""
        background = self._served()
        if parsed.callbacks and not (self._callbacks is not None and self._callbacks.can_sign):
            raise _no_callbacks("are not served: this pod has no key for their signatures yet. Restart the App's pods if this stays so")
        if parsed.last_only:
            raise not_served({"last_node_output": "is not served for a run in the background"})
        if parsed.files:
            raise not_served({FILES: "are not taken by a run in the background yet: send their content in `input`"})
        if _size(parsed.input) > INPUT_LIMIT:
            raise too_large(INPUT_LIMIT)
        run = await background.accept(self._new(request, parsed, str(uuid.uuid4()), key=_idempotency_key(request)))
        if parsed.callbacks and "callbacks" not in run:  # a journal from before callbacks does not store them, and does not say so
            with contextlib.suppress(JournalAwayError, JournalRefusedError):
                await background.journal.cancel(run["id"], None)
            raise _no_callbacks("are not served: the journal is older than they are")
        if run.get("pins"):
            request[PINS] = run["pins"]  # of its conversation, which may be on another version
        return _shown(run)

    def steps(self, run: Run) -> Steps:
        """Returns the steps of a run in its caller's connection whose flow may ask a person, or wait."""
        if run.verifies:
            return Unasked("verification")
        if self._keys is None:
            return Unasked("public_app")
        if self._background is None:
            return Unasked("no_journal")
        if run.request.files:
            return Unasked("files")
        return CallSegment(run.id) if _size(run.given) <= INPUT_LIMIT else Unasked("input_too_large")

    async def keep(self, request: web.Request, run: Run, resume_at: datetime | None) -> dict[str, Any]:
        """Stores a run that waits from now on, and then ends whatever dies. Returns it as its caller gets it. Raises HttpError."""
        segment, background = run.report.steps, self._background
        assert background is not None and isinstance(segment, CallSegment)  # noqa: S101, PT018 - no other steps let a run wait
        # Its nodes have run already, so a key that says "once" comes too late.
        new = {**self._new(request, run.request, run.id, key=None), "started_at": run.started_at}
        try:
            return _shown(await background.keep(new, segment, resume_at))
        except StoppedError as error:
            raise unasked(str(error)) from None

    def _new(self, request: web.Request, parsed: RunRequest, run_id: str, *, key: str | None) -> dict[str, Any]:
        """Returns a run as the journal accepts it. `key`: the idempotency key."""
        given = json.dumps(parsed.input, separators=(",", ":"), sort_keys=True)
        caller = facts_of(request.headers, parsed.user, parsed.session)
        callbacks = [each.as_json() for each in parsed.callbacks]
        of_request = json.dumps([given, caller.user, caller.session, *([callbacks] if callbacks else [])])
        trace = request.headers.get("traceparent")
        return {
            "id": run_id,
            "key": request.get(ACCESS_KEY, ""),
            "idempotency_key": key,
            "request_hash": hashlib.sha256(of_request.encode()).hexdigest() if key else None,
            "input": parsed.input,
            "user_id": caller.user,
            "session_id": caller.session,
            "trigger": caller.trigger,
            "tags": tags_of(caller.tags),
            "headers": {"traceparent": trace[:128]} if trace else {},
            **({"callbacks": callbacks} if callbacks else {}),
        }

    async def _list(self, request: web.Request) -> web.Response:
        background = self._for_caller(request)
        if unknown := sorted(request.query.keys() - FILTERS):
            raise bad_request(dict.fromkeys(unknown, "is no filter of runs"))
        _number(request, "page", 1, 1, 1 << 31), _number(request, "page_size", PAGE, 1, PAGE_MOST)
        try:
            page = await background.journal.runs(list(request.query.items()))
        except (JournalAwayError, JournalRefusedError) as error:
            raise http_error(error) from None
        return web.json_response({"data": [_shown(run) for run in page["data"]], "pagination": page["pagination"]})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response({"data": _shown(await self._known(request))})

    async def _cancel(self, request: web.Request) -> web.Response:
        background = self._for_caller(request)
        try:
            await background.journal.cancel(_id(request), request.get(ACCESS_KEY, ""))
        except (JournalAwayError, JournalRefusedError) as error:
            raise http_error(error) from None
        return web.json_response({"message": "canceled"})

    async def _input(self, request: web.Request) -> web.Response:
        """Takes a person's answer to a question of a run. The journal checks it."""
        background = self._for_caller(request)
        body = await json_object(request, ANSWER_LIMIT)
        answer = {"type": body.get("type"), "data": body.get("data"), "by": request.get(ACCESS_KEY, "")}
        try:
            await background.journal.answer(_id(request), answer)
        except (JournalAwayError, JournalRefusedError) as error:
            raise http_error(error) from None
        return web.json_response({"message": "ok"})

    async def _events(self, request: web.Request) -> web.Response:
        """Answers with a page of events, which have their place by their sequence."""
        background = self._for_caller(request)
        page, size = _number(request, "page", 1, 1, 1 << 31), _number(request, "page_size", PAGE_MOST, 1, STREAMED)
        try:
            run = await background.journal.run(_id(request))
            events, _ = await background.journal.events(_id(request), (page - 1) * size, most=size)
        except (JournalAwayError, JournalRefusedError) as error:
            raise http_error(error) from None
        total = run["last_sequence"]
        pagination = {"page": page, "page_size": size, "page_count": -(-total // size), "total_count": total}
        return web.json_response({"data": [_event(run["id"], each) for each in events], "pagination": pagination})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Answers with the events after a sequence, each once and in order, until the run has ended. A pod that ends cuts the stream off."""
        background = self._for_caller(request)
        after = _number(request, "after_sequence", 0, 0, 1 << 53)
        run = await self._known(request)
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        draining = asyncio.ensure_future(background.draining.wait())
        ended = False
        try:
            while not ended and not draining.done():
                reading = asyncio.ensure_future(background.journal.events(run["id"], after, most=STREAMED, wait=KEEP_ALIVE_PERIOD))
                await asyncio.wait({reading, draining}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    reading.cancel()
                    break
                events, ended = reading.result()
                for each in events:
                    await write(response, event_frame(_event(run["id"], each)))
                    after = each["sequence"]
                if not events:
                    await write(response, HEARTBEAT)
        except (ConnectionError, JournalAwayError, JournalRefusedError):
            ended = False
        finally:
            draining.cancel()
        if ended:
            await response.write_eof()
        elif request.transport is not None:
            request.transport.abort()  # a complete answer would mean that the run has no more events
        return response

    async def _known(self, request: web.Request) -> dict[str, Any]:
        background = self._for_caller(request)
        try:
            return await background.journal.run(_id(request))
        except (JournalAwayError, JournalRefusedError) as error:
            raise http_error(error) from None

    def _for_caller(self, request: web.Request) -> BackgroundRuns:
        require_key(request, self._keys)
        return self._served()

    def _served(self) -> BackgroundRuns:
        if self._keys is None:
            raise HttpError(403, "public_app", "this App is public: runs in the background need an App with Access Keys")
        if self._background is None:
            raise HttpError(
                501,
                "no_journal",
                "no journal is installed, or this pod is older than it: `background` is not served",
                {"background": "no_journal"},
            )
        return self._background


def _no_callbacks(problem: str) -> HttpError:
    return HttpError(501, "no_callbacks", f"`callbacks` {problem}", {"callbacks": problem})


def _id(request: web.Request) -> str:
    """Returns the run's id of a path. Raises HttpError 404 for a text that is no id."""
    try:
        return str(uuid.UUID(request.match_info["id"]))
    except ValueError:
        raise HttpError(404, "not_found", f"there is no run {request.match_info['id'][:64]}") from None


def _idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get(KEY_HEADER)
    if key is not None and not (1 <= len(key) <= KEY_LIMIT and key.isprintable()):
        raise bad_request({KEY_HEADER: f"has {len(key)} characters, not 1 to {KEY_LIMIT} printable ones"})
    return key


def _number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise bad_request({name: f"is {text[:32]!r}, not a number from {least} to {most}"})
    return int(text)


def _shown(run: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a run as the product's Runs API has it, with what it lacks: when it was accepted, and the error."""
    shown = {name: run.get(name) for name in SENT}
    return {**shown, "awaiting_input": bool(run.get("awaiting_input")), "input_requests": run.get("input_requests") or []}


def _size(given: Mapping[str, Any]) -> int:
    """Returns the bytes of an input as JSON."""
    return len(json.dumps(given, separators=(",", ":")).encode())


def _event(run_id: str, event: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": str(uuid.uuid5(uuid.UUID(run_id), str(event["sequence"]))), **event}
