"""Lists the node types that a flow may have here."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import RUNTIMES
from dynamiq_operator.model.completion import newest_runtime
from dynamiq_operator.model.engines import NODE_TYPES
from dynamiq_operator.model.objects import Runtime, Unreadable, read
from dynamiq_operator.model.runtime import Engine
from dynamiq_operator.rest.context import SessionOf
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.pagination import PagingOf
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.workflows.responses import NodeType, NodeTypes
from dynamiq_operator.serving.encoding import Json

router = APIRouter(prefix="/v1/agent-builder", tags=["workflows"], route_class=StrictRoute)
EVERY = "the list has only the types that every engine runs"


@router.get("/nodes", responses=documented(NodeTypes, 422))
def node_types(
    session: SessionOf,
    paging: PagingOf,
    group: Annotated[str | None, Query(max_length=64, description="Only this family, such as tools, utils or llms.")] = None,
) -> Json:
    """Returns the node types that the newest Runtime runs. A flow with others does not go Live on it. `complete` shows if these are all."""
    version, engine, message = _engine(session)
    more = {"runtime": version, "engine": engine, "complete": message is None, "message": message}
    return paging.of([name for name in NODE_TYPES if group is None or f".nodes.{group}." in name], _of_name, **more)


def _of_name(name: str) -> NodeType:
    return NodeType(type=name, name=name.rpartition(".")[2])


def _engine(session: CallerSession) -> tuple[str | None, str | None, str | None]:
    """Returns the version and the engine of the newest Runtime, and why this list is incomplete for it, None if it is complete."""
    try:
        runtime = newest_runtime(
            [each for raw in kube_api.items(session.api, RUNTIMES) if not isinstance(each := read(Runtime, raw), Unreadable)]
        )
    except errors.Forbidden:
        return None, None, f"you may not list Runtimes: {EVERY}"
    if runtime is None:
        return None, None, f"there is no Runtime that is not deprecated: {EVERY}"
    engine = runtime.spec.engine or Engine.TINY
    why = f"further types of the SDK in the image of Runtime {runtime.meta.name} are unknown: {EVERY}"
    return runtime.spec.version, engine.value, None if engine is Engine.TINY else why
