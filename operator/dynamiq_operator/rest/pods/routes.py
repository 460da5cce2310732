"""Serves the pods of a deployment with their Events, and the end of their logs, with the caller's own rights."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from dynamiq_operator.kube import errors
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.models import All, One
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.parts.requests import AppId
from dynamiq_operator.rest.pods import responses
from dynamiq_operator.rest.pods.logs import LINES, LINES_MOST, read_tail
from dynamiq_operator.rest.pods.reading import read_pod, read_pods, unknown_pod
from dynamiq_operator.rest.reads.rows import DeploymentId
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1/apps/{app_id}/deployments/{deployment_id}/pods", tags=["pods"], route_class=StrictRoute)
POD = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"


@router.get("", responses=documented(All[responses.PodResponse], 404, 409, 422))
def every_pod(context: ContextOf, session: SessionOf, app_id: AppId, deployment_id: DeploymentId) -> Json:
    """Returns the pods that run what the deployment runs, the newest 50. Deployments that run the same share them."""
    return Json({"data": read_pods(context, session, app_id, deployment_id)})


@router.get("/{pod}/logs", responses=documented(One[responses.PodLog], 404, 409, 422))
def logs(
    context: ContextOf,
    session: SessionOf,
    app_id: AppId,
    deployment_id: DeploymentId,
    pod: Annotated[str, Path(min_length=1, max_length=253, pattern=POD, description="The pod's name.")],
    lines: Annotated[int, Query(ge=1, le=LINES_MOST, description="Number of newest lines, at most 256 KiB together.")] = LINES,
    previous: Annotated[bool, Query(description="Of the container before its last restart.")] = False,
) -> Json:
    """Returns the end of the log of the deployment's pod. Needs the right to `pods/log`."""
    manifest = read_pod(context, session, app_id, deployment_id, pod)
    try:
        tail = read_tail(session, manifest["metadata"]["namespace"], pod, lines, previous=previous)
    except errors.NotFound:
        raise unknown_pod(pod) from None
    return Json({"data": responses.PodLog.read(vars(tail), pod=pod, is_cut=tail.is_cut, previous=previous)})
