"""Serves the pages of the console: one shell for every path, and the assets that it loads."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from dynamiq_operator.rest.console.assets import Asset, extension
from dynamiq_operator.rest.console.state import ConsoleOf
from dynamiq_operator.rest.http.cookie_rules import CONSOLE
from dynamiq_operator.rest.http.errors import HttpProblem

router = APIRouter(include_in_schema=False)
STATIC = Path(__file__).parents[1] / "static"
"""The output of `make console-build`."""
_REFUSED = re.compile(r"0(?:\.0*)?")


@router.api_route(CONSOLE, methods=["GET", "HEAD"])
async def without_slash() -> Response:
    return RedirectResponse(f"{CONSOLE}/", 307)


@router.api_route(f"{CONSOLE}/{{path:path}}", methods=["GET", "HEAD"])
async def page(request: Request, console: ConsoleOf, path: str) -> Response:
    """Serves an asset, or the shell, whose script knows what the path shows."""
    assets = console.assets
    if assets.shell is None:
        raise HttpProblem(
            404, "the console is not part of this installation: run `make console-build`, or use an image that was built with it"
        )
    if (asset := assets.files.get(path)) is not None:
        return _respond(request, asset)
    if extension(path) is not None:
        raise HttpProblem(404, "the console has no such file: load the page again")
    return _respond(request, assets.shell)


def _respond(request: Request, asset: Asset) -> Response:
    packed = asset.gzip if _takes_gzip(request) else None
    headers = {"Cache-Control": asset.cached}
    if asset.gzip is not None:
        headers["Vary"] = "Accept-Encoding"
    if asset.cached != "no-store":
        headers["ETag"] = f'"{asset.tag}{"-gzip" if packed is not None else ""}"'
        if headers["ETag"] in _tags(request):
            return Response(status_code=304, headers=headers)
    if packed is not None:
        headers["Content-Encoding"] = "gzip"
    return Response(asset.content if packed is None else packed, media_type=asset.media_type, headers=headers)


def _tags(request: Request) -> set[str]:
    """Returns the tags that the browser has already. A proxy that compresses a response itself makes its tag a weak one."""
    return {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}


def _takes_gzip(request: Request) -> bool:
    for entry in request.headers.get("accept-encoding", "").lower().split(","):
        coding, _, parameters = entry.partition(";")
        if coding.strip() == "gzip":
            return _REFUSED.fullmatch(parameters.replace(" ", "").removeprefix("q=")) is None
    return False
