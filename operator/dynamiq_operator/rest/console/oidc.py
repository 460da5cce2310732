"""Signing in with OIDC: to the provider, back from it, and into the cookies. What went wrong a page is told by a code alone; the log says more."""

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
"""What a browser says of a request that leads a whole window somewhere."""
ANYBODYS = frozenset({"expired", "state"})
"""What anybody can bring about, who has nothing to do with a sign-in."""


@router.get(START)
async def start(request: Request, console: ConsoleOf) -> Response:
    """To the provider. `to`: the page to come back to."""
    sign_in, attempt = _sign_in(request, console), Attempt.new(request.query_params.get("to", HOME))
    try:
        return _redirect(await sign_in.begin(attempt, _address(request)), 302, [attempt.cookie])
    except Failed as why:
        return _failed(console, why, attempt.target)


@router.get(CALLBACK)
async def callback(request: Request, context: ContextOf, console: ConsoleOf) -> Response:
    """Back from the provider. The attempt's cookie is taken here, once, whatever comes of it."""
    sign_in, attempt = _sign_in(request, console), Attempt.of(request.headers)
    target = attempt.target if attempt is not None else HOME
    try:
        token = await sign_in.finish(request.query_params.multi_items(), attempt, _address(request))
        await _judge(context, token)
    except Failed as why:
        return _failed(console, why, target)
    return _redirect(target, 303, [REMOVED, *cookies.of_token(token, expires_at(token))])


def _sign_in(request: Request, console: Console) -> SignIn:
    """Raises HttpProblem where there is no provider, or something else than a browser's window asks, at the console's address."""
    if console.sign_in is None or console.options.address is None:
        raise HttpProblem(404, "no provider is set up here: start the API with --oidc-issuer, or sign in with a token")
    if not console.options.address.has_host(request.headers.get("host", "")):
        raise HttpProblem(403, f"the console is at {console.options.address.origin}/console/, and was called by another name")
    if any(request.headers.get(name, wanted) != wanted for name, wanted in WINDOW):
        raise HttpProblem(403, "one signs in by going to this page in a window: a script, a frame or an image cannot")
    return console.sign_in


def _address(request: Request) -> str:
    """Returns where the connection comes from; behind an ingress that is the ingress: no header is believed about it."""
    return request.client.host if request.client is not None else ""


async def _judge(context: ApiContext, token: str) -> None:
    """Raises Failed where the API server does not take the token. A provider's word alone signs nobody in."""
    begin_deadline()
    try:
        await context.reviews.session(token)
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
    for each in set_cookies:
        response.headers.append("Set-Cookie", each)
    return response
