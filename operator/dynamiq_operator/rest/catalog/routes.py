"""Serves lists that clients request and that are empty here. A 404 would read as a client too new or a wrong address."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from dynamiq_operator.kube.resources import NAMESPACES
from dynamiq_operator.rest.catalog.responses import ResourceProfile, Service
from dynamiq_operator.rest.context import ContextOf, SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.errors import unknown_id
from dynamiq_operator.rest.http.models import Id, Many
from dynamiq_operator.rest.http.pagination import PAGE_SIZE, PageOf, PageSizeOf, Paging, PagingOf
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.kube.visibility import may_read
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1", tags=["catalog"], route_class=StrictRoute)


@router.get("/resource-profiles", responses=documented(Many[ResourceProfile], 422))
def resource_profiles(
    purpose: Annotated[str, Query(max_length=64, description="What for: service, inference or fine_tuning.")] = "service",  # noqa: ARG001 - clients send it
    page: PageOf = 1,
    page_size: PageSizeOf = PAGE_SIZE,
    sort: Annotated[Literal["sort_order", "created_at", "-created_at"], Query(description="Taken, and without effect.")] = "sort_order",  # noqa: ARG001
) -> Json:
    """Returns the sizes of machines that the product rents out: always none. Here a deployment's `resources` limit a pod."""
    return Paging(page=page, page_size=page_size).of((), str)


@router.get("/services", responses=documented(Many[Service], 404, 422))
def services(
    context: ContextOf,
    session: SessionOf,
    paging: PagingOf,
    project_id: Annotated[Id | None, Query(description="Services of this project alone.")] = None,
) -> Json:
    """Returns the containers that the product runs beside Apps: always none. Here they are Deployments of Kubernetes."""
    if project_id is not None and not may_read(session.api, context.find(NAMESPACES, project_id, "project_id").name):
        raise unknown_id("project", project_id, "project_id")
    return paging.of((), str)
