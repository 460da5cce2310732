"""Signs people in with OIDC: redirects to the provider, takes its response, and sets the cookies.

Pages get only a code of an error; the log has more.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from dynamiq_operator.actions.refusals import NotAllowed
from dynamiq_operator.kube import errors
from dynamiq_operator.rest.console.attempt import REMOVED, Attempt
from dynamiq_operator.rest.console.sign_in import Failed, SignIn
from dynamiq_operator.rest.console.state import Console, ConsoleOf
from dynamiq_operator.rest.console.targets import CALLBACK, HOME, START, failed
from dynamiq_operator.rest.context import ApiContext, ContextOf
from dynamiq_operator.rest.http import cookies
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.sessions import expires_at
from dynamiq_operator.rest.kube.client import begin_deadline

LOG = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)
WINDOW = (("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"))
"""Headers of a request by which a browser opens a page in a whole window."""
ANYBODYS = frozenset({"expired", "state"})
"""Codes of failures that anybody can cause, without a sign-in."""


@router.get(START)
async def start(request: Request, console: ConsoleOf) -> Response:
    """Redirects to the provider. `to`: the page to return to."""
    sign_in, attempt = _sign_in(request, console), Attempt.new(request.query_params.get("to", HOME))
    try:
        return _redirect(await sign_in.begin(attempt, _address(request)), 302, [attempt.cookie])
    except Failed as why:
        return _failed(console, why, attempt.target)


@router.get(CALLBACK)
async def callback(request: Request, context: ContextOf, console: ConsoleOf) -> Response:
    """Signs in with the provider's response. The attempt's cookie is removed here, whatever the result."""
    sign_in, attempt = _sign_in(request, console), Attempt.of(request.headers)
    target = attempt.target if attempt is not None else HOME
    try:
        token = await sign_in.finish(request.query_params.multi_items(), attempt, _address(request))
        await _judge(context, token)
    except Failed as why:
        return _failed(console, why, target)
    return _redirect(target, 303, [REMOVED, *cookies.of_token(token, expires_at(token))])


def _sign_in(request: Request, console: Console) -> SignIn:
    """Returns the sign-in.

    Raises HttpProblem if there is no provider, at another address than the console's, and for requests that do not open a window.
    """
    if console.sign_in is None or console.options.address is None:
        raise HttpProblem(404, "no provider is set up here: start the API with --oidc-issuer, or sign in with a token")
    if not console.options.address.has_host(request.headers.get("host", "")):
        raise HttpProblem(403, f"the console is at {console.options.address.origin}/console/, and was called by another name")
    if any(request.headers.get(name, value) != value for name, value in WINDOW):
        raise HttpProblem(403, "one signs in by going to this page in a window: a script, a frame or an image cannot")
    return console.sign_in


def _address(request: Request) -> str:
    """Returns the address of the peer; behind an ingress that is the ingress."""
    # No header is believed about it: anybody can send one.
    return request.client.host if request.client is not None else ""


async def _judge(context: ApiContext, token: str) -> None:
    """Raises Failed if the API server does not accept the token."""
    # The provider alone signs nobody in: the API server has to know the user.
    begin_deadline()
    try:
        await context.sessions.session(token)
    except NotAllowed as error:
        raise Failed("token", "its user may not ask the API server who they are") from error
    except (HttpProblem, errors.ApiError) as error:
        if error.status == 401:
            raise Failed("token", "the API server does not accept it: see its OIDC settings (issuer, client id, claims)") from error
        raise Failed("cluster", "the API server cannot be asked about it") from error


def _failed(console: Console, why: Failed, target: str) -> Response:
    issuer = console.options.oidc.issuer if console.options.oidc is not None else ""
    LOG.log(logging.INFO if why.code in ANYBODYS else logging.WARNING, "a sign-in with %s failed (%s): %s", issuer, why.code, why)
    return _redirect(failed(why.code, target), 303, [REMOVED])


def _redirect(url: str, status: int, set_cookies: Iterable[str]) -> Response:
    response = RedirectResponse(url, status)
    for cookie in set_cookies:
        response.headers.append("Set-Cookie", cookie)
    return response
