"""The class of every route of the API. It refuses unknown query parameters, and has a body parsed only once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, get_origin

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from dynamiq_operator.rest.http.body import SMALL
from dynamiq_operator.rest.http.errors import invalid_body, invalid_request
from dynamiq_operator.rest.http.raw_body import check_names

FIELDS_MAX = 1000
"""Fields of a body, at most. Each wrong field is an error of its own, created on the event loop."""
FREE = frozenset({"flow", "flow_ui"})
"""Fields that hold any JSON, and are validated as one value."""
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRoute(APIRoute):
    """A route that refuses query parameters missing from the OpenAPI document, and duplicates of those that are not lists."""

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()
        parameters = [each for each in get_flat_params(self.dependant) if isinstance(each.field_info, Query)]
        known = {each.alias for each in parameters}
        once = {each.alias for each in parameters if get_origin(each.field_info.annotation) is not list}

        async def strict(request: Request) -> Response:
            counts = Counter(name for name, _ in request.query_params.multi_items())
            if wrong := [
                (name, _wrong_parameter(name, known)) for name, times in counts.items() if name not in known or (times > 1 and name in once)
            ]:
                raise invalid_request(wrong)
            # The middleware has read and parsed the body: Starlette would do it again, on the event loop.
            request._body = getattr(request.state, "body", b"")
            if hasattr(request.state, "json"):
                if _has_too_many_fields(request.state.json):
                    raise invalid_body(f"the body has more than {FIELDS_MAX} fields besides the flow and its layout, which no call has")
                if isinstance(request.state.json, dict) and "flow" not in request.state.json:
                    await _check_names(request.state.body)  # a route with a flow reads the members itself
                request._json = request.state.json
            return await handler(request)

        return strict


async def _check_names(body: bytes) -> None:
    if len(body) <= SMALL:
        check_names(body)
    else:
        await run_in_threadpool(check_names, body)


def _wrong_parameter(name: str, known: set[str]) -> str:
    if name in known:
        return "this query parameter is there twice"
    return f"there is no such query parameter; this call has {', '.join(sorted(known)) or 'none'}"


def _has_too_many_fields(body: Any) -> bool:
    return any(count > FIELDS_MAX for count, _ in enumerate(_fields(body), 1))


def _fields(body: Any) -> Iterator[Any]:
    """Yields every value of a body, except those inside a flow or its layout."""
    stack = [value for name, value in body.items() if name not in FREE] if isinstance(body, dict) else [body]
    while stack:
        value = stack.pop()
        yield value
        if isinstance(value, (dict, list)):
            stack += value.values() if isinstance(value, dict) else value
