"""Decides which pages of other origins may call the App from a browser, and answers their preflights (CORS).

A call with the header `Origin` of another host is refused unless the App allows the origin. An App without origins refuses only what a
browser sends without a preflight. Other calls of a page have passed one: an Ingress in front of the App may have answered it.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from dynamiq_runtime.errors import HttpError

ANY = "*"
METHODS = "GET, POST, OPTIONS"
HEADERS = "Authorization, Content-Type, Accept, Idempotency-Key, traceparent, X-Dynamiq-Session-Id, X-Dynamiq-User-Id, X-Dynamiq-Tags, X-Request-Id"
EXPOSED = "X-Dynamiq-Run-Id, X-Dynamiq-Workflow-Version, X-Dynamiq-Workflow-Hash, X-Dynamiq-Row, Retry-After"
MAX_AGE = "600"
SIMPLE = frozenset({"", "multipart/form-data", "text/plain", "application/x-www-form-urlencoded"})
"""Media types that a page may send without a preflight."""


class Origins:
    """The origins of one App, lower-case: exact ones, or `*` for every one. It is asked about requests with the header `Origin`."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = frozenset(allowed)

    def preflight(self, request: web.Request) -> web.Response | None:
        """Returns the answer to a preflight, which may be a refusal; None for other requests."""
        if request.method != hdrs.METH_OPTIONS or hdrs.ACCESS_CONTROL_REQUEST_METHOD not in request.headers:
            return None
        if not self._allows(request.headers[hdrs.ORIGIN]):
            return _refused().response()
        return web.Response(
            status=204,
            headers={
                hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
                hdrs.ACCESS_CONTROL_ALLOW_HEADERS: HEADERS,
                hdrs.ACCESS_CONTROL_MAX_AGE: MAX_AGE,
            },
        )

    def check(self, request: web.Request) -> None:
        """Raises HttpError 403 for a call of a page that may not call the App."""
        origin = request.headers[hdrs.ORIGIN]
        if self._allows(origin) or _is_own(origin, request.headers.get(hdrs.HOST, "")):
            return
        kind = request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
        if self._allowed or (request.method == hdrs.METH_POST and kind in SIMPLE):
            raise _refused()

    def headers(self, request: web.Request) -> Mapping[str, str]:
        """Returns the headers by which a browser shows an answer to the page that asked."""
        origin = request.headers[hdrs.ORIGIN]
        if not self._allows(origin):
            return {}
        allowed = ANY if ANY in self._allowed else origin
        return {hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: allowed, hdrs.VARY: hdrs.ORIGIN, hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: EXPOSED}

    def _allows(self, origin: str) -> bool:
        return ANY in self._allowed or origin.lower() in self._allowed


def _is_own(origin: str, host: str) -> bool:
    """Returns True if a page is of the App's own host. A scheme may differ: TLS ends in front of the pod."""
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _refused() -> HttpError:
    return HttpError(403, "origin_not_allowed", "this App does not take calls from pages of this origin: add it to `spec.access.origins`")
