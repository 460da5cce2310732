"""Decides which web pages may call an App: the rules of its pods for the header Origin, for preflights and for the gate's own responses.

Pure. It checks no key: whoever calls from a listed page still needs one.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from dynamiq_operator.gate import answers
from dynamiq_operator.model.app import ANY_ORIGIN

REQUEST_METHOD = "Access-Control-Request-Method"
_ALLOW_ORIGIN = "Access-Control-Allow-Origin"
OF_PREFLIGHTS = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Type, Accept, Idempotency-Key, traceparent, "
        "X-Dynamiq-Session-Id, X-Dynamiq-User-Id, X-Dynamiq-Tags, X-Request-Id"
    ),
    "Access-Control-Max-Age": "600",
}
OF_ANSWERS = {
    "Access-Control-Expose-Headers": "X-Dynamiq-Run-Id, X-Dynamiq-Workflow-Version, X-Dynamiq-Workflow-Hash, X-Dynamiq-Row, Retry-After"
}
WITHOUT_PREFLIGHT = frozenset({"", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
"""Types of the content that browsers send to any server, unasked (Fetch Standard, CORS-safelisted request-header)."""


def preflight(request: web.BaseRequest, origins: Iterable[str]) -> web.Response | None:
    """Returns the response to a browser's question whether a page may call; None if the request is no such question."""
    if request.method != "OPTIONS" or "Origin" not in request.headers or REQUEST_METHOD not in request.headers:
        return None
    granted = _granted(request, origins)
    if granted is None:
        return answers.origin_not_allowed().response()
    return web.Response(status=204, headers={**_named(granted), **OF_PREFLIGHTS})


def check(request: web.BaseRequest, origins: Iterable[str]) -> None:
    """Raises answers.CallRefusal for a call of another origin's page that the App does not list.

    An App that lists none may be called by pages that passed the preflight of a proxy in front: only what needs none is refused.
    """
    if not _is_foreign(request) or _granted(request, origins) is not None:
        return
    content = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if any(origins) or (request.method == "POST" and content in WITHOUT_PREFLIGHT):
        raise answers.origin_not_allowed()


def headers(request: web.BaseRequest, origins: Iterable[str]) -> dict[str, str]:
    """Returns the headers by which a listed page may read a response; empty for all other callers."""
    granted = _granted(request, origins)
    return {} if granted is None else {**_named(granted), **OF_ANSWERS}


def _named(granted: str) -> dict[str, str]:
    return {_ALLOW_ORIGIN: granted, "Vary": "Origin"}


def _granted(request: web.BaseRequest, origins: Iterable[str]) -> str | None:
    """Returns the listed origin, or `*`, as which the request's is allowed; None if it has none, or is not allowed."""
    origin = _origin(request)
    return None if origin is None else next((each for each in origins if each in (origin, ANY_ORIGIN)), None)


def _is_foreign(request: web.BaseRequest) -> bool:
    """Returns True if the page is of another origin than the App's hostname. The scheme does not count: a proxy may end TLS."""
    origin = _origin(request)
    return origin is not None and origin.partition("://")[2] != request.headers.get("Host", "").lower()


def _origin(request: web.BaseRequest) -> str | None:
    """Returns the header Origin in lower case; None without one. Several, which no browser sends, equal no origin."""
    values = request.headers.getall("Origin", [])
    return ", ".join(values).lower() if values else None
