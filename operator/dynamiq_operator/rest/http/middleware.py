"""Runs before every route: request ids and the access log, authentication, limits, the body, and the headers of every response.

The token comes first: without a valid one, neither path nor body is examined. It is in the header Authorization, or in the cookies of the
console, see `cookie_rules`; cookies are not passed on. Concurrent requests of a caller are limited, see `lanes`, and a body is read only up
to its limit. Paths under /console need no token: its pages, and the calls that sign in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.kube import errors
from dynamiq_operator.rest.http import cookies
from dynamiq_operator.rest.http.body import SMALL, WITH_BODY, parse_body, read_body
from dynamiq_operator.rest.http.cookie_rules import SESSION, CookieRules, is_console
from dynamiq_operator.rest.http.errors import HttpProblem, problem_of, unauthorized, unavailable
from dynamiq_operator.rest.http.invoking import CALLS, CALLS_EACH, is_invocation
from dynamiq_operator.rest.http.metrics import ApiMetrics
from dynamiq_operator.rest.http.recorder import (
    EXPORTS,
    EXPORTS_EACH,
    POLLS,
    POLLS_EACH,
    RUNS,
    RUNS_EACH,
    is_about_runs,
    is_export,
    is_poll,
)
from dynamiq_operator.rest.http.sessions import CallerSession, Sessions, token_of
from dynamiq_operator.rest.http.streams import STREAMS, STREAMS_EACH, is_stream
from dynamiq_operator.rest.kube.client import CONNECTIONS, begin_deadline
from dynamiq_operator.rest.kube.id_index import IdIndex
from dynamiq_operator.serving.bodies import announced
from dynamiq_operator.serving.lanes import Lane
from dynamiq_operator.serving.middleware import HEADERS, Exchange, RequestMiddleware
from dynamiq_operator.serving.problems import CLOSES
from dynamiq_operator.serving.request_log import log_access
from dynamiq_operator.serving.tokens import TOKEN_MAX

PROBES = frozenset({"/livez", "/readyz", "/healthz"})
PUBLIC = PROBES | {"/openapi.json", "/docs"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
PAGE_HEADERS = HEADERS | {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
"""Headers of every response under /console: nothing of another origin is loaded, requested, framed, or shares its window."""
EACH = 16
"""Requests of one caller that are served at once; `WAITING` more may wait."""
WAITING = 48
ARRIVING, ARRIVING_EACH = 512, 64
"""Requests whose body, of any size, is being read: in all, and for one caller or address."""
BODIES, BODIES_EACH = 32, 8
"""Requests with a body of more than `SMALL` bytes that are read, or held, at once: in all, and for one caller."""
LARGE = 128 * 1024
"""Bytes of a large body. Its parsed value takes many times the memory of its text, so few are served at once."""
LARGE_ONES, LARGE_EACH = 4, 2
SIGNS_IN = frozenset({"POST", "DELETE"})
SIGNING_IN = 256
"""Requests to sign in whose body is being read. They have no caller yet, and use none of the callers' slots."""
SIGN_IN_MAX = TOKEN_MAX + 1024
"""Bytes of the body of a sign-in, at most."""


class Middleware(RequestMiddleware):
    """The middleware. It puts `session`, `body`, the raw bytes, and `json`, their value, into the request's state."""

    def __init__(self, app: ASGIApp, sessions: Sessions, index: IdIndex, rules: CookieRules, metrics: ApiMetrics) -> None:
        super().__init__(app, problem_of, PROBES)
        self._sessions, self._index, self._rules, self._metrics = sessions, index, rules, metrics
        self._requests = Lane(CONNECTIONS, EACH, WAITING)
        self._arriving = Lane(ARRIVING, ARRIVING_EACH, WAITING)
        self._bodies = Lane(BODIES, BODIES_EACH, WAITING)
        self._large = Lane(LARGE_ONES, LARGE_EACH, WAITING)
        self._streams = Lane(STREAMS, STREAMS_EACH, 0)
        self._polls = Lane(POLLS, POLLS_EACH, WAITING)
        self._about_runs = Lane(RUNS, RUNS_EACH, WAITING)
        self._invocations = Lane(CALLS, CALLS_EACH, WAITING)
        self._exports = Lane(EXPORTS, EXPORTS_EACH, EXPORTS_EACH)
        self._signing_in = Lane(SIGNING_IN, ARRIVING_EACH, WAITING)

    def headers(self, exchange: Exchange) -> Mapping[str, str]:
        return PAGE_HEADERS if is_console(exchange.scope["path"]) else HEADERS

    def closes(self, exchange: Exchange) -> bool:
        # Where a body is expected and left unread, its problem has the header. A call's body may be unread for any reason.
        if is_invocation(exchange.scope):
            return announced(exchange.headers) != 0 and not exchange.is_read
        return exchange.scope["method"] not in WITH_BODY and announced(exchange.headers) != 0

    def note(self, exchange: Exchange, seconds: float) -> None:
        session: CallerSession | None = exchange.scope["state"].get("session")
        log_access(exchange.scope, exchange.status, seconds, caller=session.user.id if session else "")
        self._metrics.count(exchange.scope, exchange.status, exchange.began_after or seconds)

    async def serve(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        scope, headers = exchange.scope, exchange.headers
        scope.setdefault("state", {})
        if scope["path"] in PUBLIC:
            await self._app(scope, receive, send)
            return
        if is_console(scope["path"]):
            await self._console(scope, headers, receive, send)
            return
        try:
            session = scope["state"]["session"] = await self._session(scope, headers)
        except (errors.ApiError, Refusal, HttpProblem) as error:
            # Its body, if it has one, is not read.
            problem = problem_of(error)
            problem.headers |= CLOSES if announced(headers) != 0 else {}
            await problem.response()(scope, receive, send)
            return
        # Nothing behind this reads a cookie, or could show one.
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
        try:
            await self._serve(session.user.id, scope, headers, receive, send)
        except HttpProblem as problem:
            await problem.response()(scope, receive, send)

    async def _console(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """Serves paths under /console. Pages and reads have no body; the calls that sign in and out obey the rules of cookies."""
        begin_deadline()
        if self._rules.is_on and scope["method"] not in WITH_BODY:
            await self._app(scope, receive, send)
            return
        try:
            self._check_sign_in(scope, headers)
            async with self._signing_in.slot(str((scope.get("client") or ("",))[0])):
                body = await read_body(headers, receive, SIGN_IN_MAX) if announced(headers) != 0 else b""
            await self._pass_on(body, scope, receive, send)
        except HttpProblem as problem:
            problem.headers |= CLOSES if announced(headers) != 0 else {}
            await problem.response()(scope, receive, send)

    def _check_sign_in(self, scope: Scope, headers: Headers) -> None:
        """Raises HttpProblem if a request with a body is not one by which the console signs in or out."""
        if not self._rules.is_on:
            raise HttpProblem(404, "the console is off: start the API with --console")
        is_session = scope["path"] == SESSION
        if not is_session or scope["method"] not in SIGNS_IN:
            allowed = {"Allow": "GET, POST, DELETE" if is_session else "GET, HEAD"}
            raise HttpProblem(405, f"this path has no {scope['method']}: see the header Allow", headers=allowed)
        self._rules.check(scope, headers)

    async def _serve(self, caller: str, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        if is_invocation(scope):
            async with self._invocations.slot(caller):
                begin_deadline()
                await self._app(scope, receive, send)
            return
        length = announced(headers) if scope["method"] in WITH_BODY else 0
        body = b""
        async with contextlib.AsyncExitStack() as held:
            if length is None or length > SMALL:
                await held.enter_async_context(self._bodies.slot(caller))
            if scope["method"] in WITH_BODY and length != 0:
                async with self._arriving.slot(caller):
                    body = await read_body(headers, receive)
            if len(body) > LARGE:
                await held.enter_async_context(self._large.slot(caller))
            await held.enter_async_context(self._lane(scope).slot(caller))
            await self._pass_on(body, scope, receive, send)

    def _lane(self, scope: Scope) -> Lane:
        if is_stream(scope):
            return self._streams
        if is_export(scope):
            return self._exports
        if is_poll(scope):
            return self._polls
        return self._about_runs if is_about_runs(scope) else self._requests

    async def _pass_on(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        begin_deadline()
        scope["state"]["body"] = body
        if body:
            scope["state"]["json"] = await parse_body(body)
        await self._app(scope, receive, send)

    async def _session(self, scope: Scope, headers: Headers) -> CallerSession:
        token = self._token(scope, headers)
        begin_deadline()  # a pipelined request would have only the time that the one before it had left
        session = await self._sessions.session(token)
        if not self._index.is_ready:
            raise unavailable("this replica is starting")
        return session

    def _token(self, scope: Scope, headers: Headers) -> str:
        """Returns the token of a request. With a header Authorization, its cookies are ignored. Raises HttpProblem."""
        authorizations = headers.getlist("authorization")
        token = token_of(authorizations[0]) if len(authorizations) == 1 else None
        if not authorizations and self._rules.is_on and cookies.are_there(headers):
            self._rules.check(scope, headers)
            if (token := cookies.token(headers)) is None:
                raise unauthorized("a part of this sign-in is missing: sign in again")
        if token is None:
            raise unauthorized("send `Authorization: Bearer <token>` with a token of this cluster, once")
        return token
