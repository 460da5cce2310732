"""Serves the console's session. The token is in the browser's cookies, the API server decides whose it is, and nothing is stored here."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from dynamiq_operator import __version__
from dynamiq_operator.actions.refusals import NotAllowed
from dynamiq_operator.kube import errors
from dynamiq_operator.rest.console import responses
from dynamiq_operator.rest.console.requests import NewSession
from dynamiq_operator.rest.console.state import Console, ConsoleOf
from dynamiq_operator.rest.context import ApiContext, ContextOf
from dynamiq_operator.rest.http import cookies
from dynamiq_operator.rest.http.cookie_rules import SESSION
from dynamiq_operator.rest.http.documented import documented
from dynamiq_operator.rest.http.errors import HttpProblem, invalid_field
from dynamiq_operator.rest.http.models import One
from dynamiq_operator.rest.http.routes import StrictRoute
from dynamiq_operator.rest.http.sessions import User, expires_at
from dynamiq_operator.rest.parts.responses import author
from dynamiq_operator.serving.encoding import Json

router = APIRouter(tags=["console"], route_class=StrictRoute)
ANYBODY = {"security": list[dict[str, list[str]]]()}
"""The OpenAPI extra of a call that needs no token."""


@router.get(SESSION, responses=documented(One[responses.ConsoleSession]), openapi_extra=ANYBODY)
async def session(request: Request, context: ContextOf, console: ConsoleOf) -> Json:
    """Returns who is signed in by the cookies of this request, and how one can sign in. It answers 503 if there is a token and the
    cluster does not respond.
    """
    token = None
    if "authorization" not in request.headers:
        with suppress(HttpProblem):
            console.options.rules.check(request.scope, request.headers)
            token = cookies.token(request.headers)
    user = await _user(context, token) if token is not None else None
    return _answer(console, user, token if user is not None else None, 200, cookies.removed() if token is not None and user is None else ())


@router.post(
    SESSION,
    status_code=201,
    responses=documented(One[responses.ConsoleSession], 413, status=201, says="Signed in: the cookies are set."),
    openapi_extra=ANYBODY,
)
async def sign_in(context: ContextOf, console: ConsoleOf, body: NewSession) -> Json:
    """Signs in with a token. 401 if the API server does not accept it. For pages of the console alone."""
    token = body.token.strip()
    if not cookies.TOKEN.fullmatch(token):
        raise invalid_field("token", "copy the whole token and nothing else: it has no spaces, quotes, commas, semicolons or backslashes")
    user = (await context.sessions.session(token)).user
    return _answer(console, user, token, 201, cookies.of_token(token, expires_at(token)))


@router.delete(SESSION, status_code=204, responses=documented(None, status=204, says="Signed out."), openapi_extra=ANYBODY)
async def sign_out() -> Response:
    """Signs out: removes the cookies. The token itself stays valid until it ends. For pages of the console alone."""
    return _with_cookies(Response(status_code=204), cookies.removed())


async def _user(context: ApiContext, token: str) -> User | None:
    """Returns the user of a token; None if it is invalid, or its user may not even ask that. Raises HttpProblem 503 and errors.ApiError."""
    try:
        return (await context.sessions.session(token)).user
    except NotAllowed:
        return None
    except (HttpProblem, errors.Denied) as error:
        if error.status != 401:
            raise
        return None


def _answer(console: Console, user: User | None, token: str | None, status: int, set_cookies: Iterable[str]) -> Json:
    ends, oidc = expires_at(token) if token is not None else None, console.options.oidc
    data = responses.ConsoleSession(
        user=author(user.username) if user is not None else None,
        expires_at=f"{datetime.fromtimestamp(ends, UTC):%Y-%m-%dT%H:%M:%SZ}" if ends is not None else None,
        sign_in=responses.SignInResponse(token=True, oidc=responses.OidcSignIn(name=oidc.name) if oidc is not None else None),
        version=__version__,
    )
    answer = Json({"data": data}, status)
    _with_cookies(answer, set_cookies)
    return answer


def _with_cookies(response: Response, set_cookies: Iterable[str]) -> Response:
    for cookie in set_cookies:
        response.headers.append("Set-Cookie", cookie)
    return response
