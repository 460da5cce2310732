"""Serves POST /v1/traces: runs by OTLP, JSON or protobuf, and as the SDK sends them. It answers after the commit."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from dynamiq_operator.model.journal import PINS_HEADER
from dynamiq_operator.model.runs import APP_ID_HEADER
from dynamiq_operator.serving.bodies import announced
from dynamiq_operator.serving.encoding import Json
from dynamiq_operator.serving.limits import RUNS_MAX
from dynamiq_operator.serving.problems import CLOSES, HttpProblem, unavailable
from dynamiq_recorder.http import body
from dynamiq_recorder.http.arriving import OF_A_POD, OF_ONE
from dynamiq_recorder.http.context import Context, ContextOf, lane_of
from dynamiq_recorder.http.errors import FULL_FOR
from dynamiq_recorder.identity.senders import Sender
from dynamiq_recorder.identity.tokens import User
from dynamiq_recorder.identity.writers import Forbidden
from dynamiq_recorder.ingest import otlp, sdk, spans
from dynamiq_recorder.ingest.parsed import Parsed
from dynamiq_recorder.ingest.shares import Source
from dynamiq_recorder.model import Batch

PROTOBUF, JSON = "application/x-protobuf", "application/json"
NOT_TAKEN = "a run of this id exists from its App's pod or another sender, or was deleted: it is not changed"
router = APIRouter()
log = logging.getLogger(__name__)


@router.post("/v1/traces")
async def take(request: Request, context: ContextOf) -> Response:
    user = await context.user(request)
    named = request.headers.get(APP_ID_HEADER)
    sender = await context.writers.sender(user, named, request.headers.get(PINS_HEADER))
    if sender is None and named:
        sender = await context.writers.account(user, named)
    _require_room(context, sender)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (PROTOBUF, JSON):
        raise HttpProblem(415, f"send runs as {JSON} or {PROTOBUF}", headers=CLOSES)
    source = _source(user, sender)
    with context.arriving.room(source) as came:
        packed = await _read_body(context, request, user, sender, came)
        began = time.monotonic()
        async with context.parsers.slot(source.namespace):
            small = await anyio.to_thread.run_sync(body.unpacked, request.headers, packed, body.LARGE)
        if small is None and sender is None:
            raise _unnamed()
        async with contextlib.nullcontext() if small is not None else context.large.slot(source.namespace):
            parsed = await _store(context, request, packed, small, kind, user, sender, source)
    context.metrics.ack_seconds.observe(time.monotonic() - began)
    if parsed.rejected:
        context.metrics.refused.inc(parsed.rejected)
    return _answer(kind, parsed)


def _source(user: User, sender: Sender | None) -> Source:
    """Returns whose room a body takes: its App's, or the sender's while the App is unknown."""
    if sender is None:
        return Source(lane_of(user), user.username, is_pod=False)
    return Source(sender.namespace, sender.app_uid, is_pod=sender.is_own)


async def _read_body(context: Context, request: Request, user: User, sender: Sender | None, came: Callable[[int], None]) -> bytes:
    """Reads a body. A sender whose right is not yet known may send only a small one."""
    most = OF_A_POD if user.is_ours and sender is not None else OF_ONE
    with context.arriving.count_body((user.username, user.pod, sender.app_uid if sender else ""), most):
        if sender is not None:
            return await body.read(request.headers, request.receive, came=came)
        if (announced(request.headers) or 0) > body.LARGE:
            raise _unnamed()
        return await body.read(request.headers, request.receive, body.LARGE, came)


def _unnamed() -> HttpProblem:
    says = f"send the header {APP_ID_HEADER} to send more than {body.LARGE} bytes, decompressed, at once"
    return HttpProblem(413, says, headers=CLOSES)


async def _store(
    context: Context, request: Request, packed: bytes, small: bytes | None, kind: str, user: User, sender: Sender | None, source: Source
) -> Parsed:
    """Parses a body and commits its runs. Returns the result. `small`: the body unpacked, if it is small."""
    async with context.parsers.slot(source.namespace):
        raw = small if small is not None else await anyio.to_thread.run_sync(body.unpacked, request.headers, packed, RUNS_MAX)
        if raw is None:
            raise body.too_large(RUNS_MAX)
        size = len(raw)
        decoded = await anyio.to_thread.run_sync(_read, raw, kind)
        del raw
        if sender is None:
            sender = await context.writers.account(user, _claimed_app(decoded))
            _require_room(context, sender)
        await _check_instance(context, sender, decoded, user)
        parsed = await anyio.to_thread.run_sync(_parse, decoded, sender, context)
        del decoded
    if parsed.batch.runs or parsed.batch.instances:
        refused = await context.queue.put(_without_spans_if_full(context, sender, parsed.batch), size, source)
        context.active[sender.app_uid] = None
        if refused:
            parsed.rejected += refused
            parsed.says = "; ".join(filter(None, (parsed.says, NOT_TAKEN)))
    return parsed


class _Decoded(msgspec.Struct):
    """A decoded body: spans by their resources, or runs of the SDK."""

    groups: list[spans.Group] = []
    runs: list[dict[str, Any]] = []


class _Form(msgspec.Struct):
    """The part of a JSON body that shows its format."""

    resourceSpans: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 - OTLP's own name


def _read(raw: bytes, kind: str) -> _Decoded:
    """Decodes a body. Raises NotReadable."""
    if kind == PROTOBUF:
        return _Decoded(groups=spans.from_protobuf(raw))
    is_otlp = b'"resourceSpans"' in raw
    if is_otlp and b'"runs"' in raw:
        with contextlib.suppress(msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            is_otlp = msgspec.json.decode(raw, type=_Form).resourceSpans is not msgspec.UNSET
    return _Decoded(groups=spans.from_json(raw)) if is_otlp else _Decoded(runs=sdk.from_json(raw))


def _parse(decoded: _Decoded, sender: Sender, context: Context) -> Parsed:
    now = time.time_ns() // 1000
    oldest = context.keep.runs_from(now)
    if decoded.groups:
        return otlp.parse(decoded.groups, sender, context.prices, now, oldest)
    return sdk.parse(decoded.runs, sender, context.prices, now, oldest)


def _claimed_app(decoded: _Decoded) -> str | None:
    """Returns the one App that the resources name; None if they name none or several."""
    app_ids = {group.resource.get("dynamiq.app.id") for group in decoded.groups}
    only = app_ids.pop() if len(app_ids) == 1 else None
    return only if isinstance(only, str) else None


async def _check_instance(context: Context, sender: Sender, decoded: _Decoded, user: User) -> None:
    """Checks that a pod sends as one process, which is its own: forged numbers would hide missing runs.

    Raises Forbidden for another pod's process, and NotReadable for several processes at once.
    """
    if sender.pod_uid is None or not (instances := otlp.instances_of(decoded.groups)):
        return
    if len(instances) > 1:
        raise spans.NotReadable("send the runs of each process of a pod in a request of its own")
    instance = instances.pop()
    owner = await context.owner_of(instance, sender.pod_uid)
    if owner != sender.pod_uid:
        log.warning("a pod of %s sends in the name of another pod's process", user.username)
        raise Forbidden(f"the instance {instance} belongs to another pod")


def _require_room(context: Context, sender: Sender | None) -> None:
    """Checks that the disk has room for the sender's runs. Raises HttpProblem 503."""
    if context.is_full():
        raise unavailable("the disk of the store is full: runs are accepted again once there is room", FULL_FOR)
    if sender is not None and context.is_full(sender.app_uid):
        raise unavailable(
            "the store is nearly full, and the Apps of this namespace exceed their share of it: the oldest runs of the largest are deleted",
            FULL_FOR,
        )


def _without_spans_if_full(context: Context, sender: Sender, batch: Batch) -> Batch:
    """Returns the batch, without spans and content while the disk is nearly full. If Apps exceed their share, only their runs lose them."""
    fullness, over = context.health.fullness, context.health.over
    if fullness is None or fullness < context.no_spans_at or (over and sender.app_uid not in over):
        return batch
    context.metrics.spans_left_out.inc(sum(len(run.spans) for run in batch.runs))
    bare = tuple(msgspec.structs.replace(run, spans=(), input=None, output=None, error=None, extra=None) for run in batch.runs)
    return msgspec.structs.replace(batch, runs=bare)


def _answer(kind: str, parsed: Parsed) -> Response:
    if kind == PROTOBUF:
        return Response(spans.protobuf_answer(parsed.rejected, parsed.says), media_type=PROTOBUF)
    rejected = {"rejectedSpans": str(parsed.rejected), "errorMessage": parsed.says} if parsed.rejected else {}
    return Json({"partialSuccess": rejected})
