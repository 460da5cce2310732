"""Lists the Runtimes among which a deployment chooses."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import RUNTIMES
from dynamiq_operator.model.names import natural
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.context import SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.models import Many
from dynamiq_operator.rest.http.pagination import PagingOf
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.runtimes import responses
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1/runtimes", tags=["runtimes"], route_class=StrictRoute)


@router.get("", responses=documented(Many[responses.RuntimeResponse], 422))
def every_runtime(
    session: SessionOf,
    paging: PagingOf,
    include_deprecated: Annotated[bool, Query(description="False: without those that are deprecated.")] = True,
) -> Json:
    """Returns the Runtimes of the cluster, newest first. A first deployment that names none gets the first that is not deprecated."""
    try:
        runtimes = kube_api.items(session.api, RUNTIMES)
    except errors.Forbidden as error:
        raise HttpProblem(403, f"{error}: ask for the role dynamiq-runtimes, bound by a ClusterRoleBinding") from None
    chosen = [raw for raw in runtimes if include_deprecated or not raw["spec"].get("deprecated")]
    return paging.of(sorted(chosen, key=_age, reverse=True), responses.RuntimeResponse.of)


def _age(raw: Manifest) -> tuple[object, ...]:
    """Returns the sort key of a Runtime, as `Runtime.age` is."""
    return raw["metadata"]["creationTimestamp"], natural(raw["spec"]["version"])
