"""Serves callbacks of ended runs: pods claim those that are due and report each try, and users have them sent again."""

from __future__ import annotations

from collections import Counter
from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from dynamiq_operator.serving.encoding import Json
from dynamiq_recorder.journal import callbacks
from dynamiq_recorder.journal.callback import Settled
from dynamiq_recorder.journal.http import answers, bodies
from dynamiq_recorder.journal.http.callback_bodies import AgainBody, CallbackClaimBody, DeliveriesBody
from dynamiq_recorder.journal.http.context import ContextOf, request_context
from dynamiq_recorder.journal.http.pod_routes import PodRoute, callbacks_seconds
from dynamiq_recorder.journal.http.run_routes import caller_of, one

router = APIRouter(prefix="/v1/apps/{uid}/runs")


async def claim(request: Request) -> Response:
    context, uid = request_context(request), request.path_params["uid"]
    caller, place = await context.pod(request, uid)
    durable = caller.app.durable
    async with bodies.read(context, request, caller, CallbackClaimBody, bodies.SMALL_MAX) as body:
        operation = partial(callbacks.claim, app_uid=uid, free=body.free, hosts=durable.callback_hosts)
    chosen, failed = await context.committer.put(place.namespace, operation)
    context.metrics.callbacks_failed.inc(failed)
    claimed = await context.read(caller, context.store.claimed_callbacks, chosen) if chosen else []
    seconds = await callbacks_seconds(context, caller, uid)
    return Json(answers.callback_claims(claimed, durable.wait, durable.callback_hosts, seconds))


async def settle(request: Request) -> Response:
    context, uid = request_context(request), request.path_params["uid"]
    caller, place = await context.pod(request, uid)
    async with bodies.read(context, request, caller, DeliveriesBody, bodies.SMALL_MAX) as body:
        results = [each.delivery() for each in body.results]
    operation = partial(callbacks.settle, app_uid=uid, results=results, limits_egress=caller.app.limits_egress)
    outcomes = await context.committer.put(place.namespace, operation)
    counted = Counter(outcomes)
    context.metrics.callbacks_delivered.inc(counted[Settled.DELIVERED])
    context.metrics.callbacks_failed.inc(counted[Settled.FAILED])
    seconds = await callbacks_seconds(context, caller, uid)
    return Json({"data": [{"ok": each is not None} for each in outcomes], "callbacks_seconds": seconds})


@router.post("/{run_id}/callbacks")
async def send_again(request: Request, context: ContextOf, uid: str, run_id: str) -> Response:
    caller, identity, missing = await caller_of(context, request, uid, run_id, "update", only_users=True)
    async with bodies.read(context, request, caller, AgainBody, bodies.SMALL_MAX) as body:
        operation = partial(callbacks.send_again, app_uid=uid, run_id=identity, n=body.n)
    if await context.committer.put(caller.app.namespace, operation) is None:
        raise missing
    return await one(context, caller, uid, identity, missing)


ROUTES = [
    PodRoute("/v1/apps/{uid}/callbacks/claims", claim, methods=["POST"]),
    PodRoute("/v1/apps/{uid}/callbacks/results", settle, methods=["POST"]),
]
