"""The class of every route of the API: query parameters that it does not have are refused, and a body is parsed once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute
from starlette.responses import Response

from dynamiq_operator.rest.http.errors import HttpProblem

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRoute(APIRoute):
    """A route whose handler gets no query parameter that the OpenAPI document does not list, and none twice."""

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()
        known = {each.alias for each in get_flat_params(self.dependant) if isinstance(each.field_info, Query)}

        async def strict(request: Request) -> Response:
            given = [name for name, _ in request.query_params.multi_items()]
            if wrong := {name: _says(name, known) for name in given if name not in known or given.count(name) > 1}:
                raise HttpProblem(422, "; ".join(f"{name}: {said}" for name, said in wrong.items()), wrong)
            # The middleware has parsed the body: Starlette would do it again, on the event loop.
            if hasattr(request.state, "json"):
                request._json = request.state.json
            return await handler(request)

        return strict


def _says(name: str, known: set[str]) -> str:
    if name in known:
        return "this query parameter is there twice"
    return f"there is no such query parameter; this call has {', '.join(sorted(known)) or 'none'}"
