"""Parses an HTTP request into a run's input: the Access Key, then the body."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from aiohttp import web

from dynamiq_runtime.bodies import Bodies, in_time
from dynamiq_runtime.errors import HttpError, bad_request, media_type, too_large
from dynamiq_runtime.fields import File, RunRequest, parse_json, read_fields
from dynamiq_runtime.keys import AccessKeys
from dynamiq_runtime.uploads import Uploads

EVENTS = "text/event-stream"
FORM = "multipart/form-data"
FORM_FIELDS: web.RequestKey[dict[str, Any]] = web.RequestKey("form_fields", dict)
"""The fields of a form, but its files."""
ACCESS_KEY: web.RequestKey[str] = web.RequestKey("access_key", str)
"""The name of the Access Key by which a request was authorized. A request to a public App has none."""
TOKEN = re.compile(r"([A-Za-z0-9_-]{1,4096})\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def bearer(request: web.Request) -> str:
    """Returns the key that a request sends; empty if it sends none."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def require_key(request: web.Request, keys: AccessKeys | None) -> None:
    """Checks the key, and notes its name; a public App (`keys` is None) needs none.

    Raises HttpError: 401 for no key or a wrong one, 403 for a token of the management API.
    """
    if keys is None:
        return
    if not (key := bearer(request)):
        raise _unauthorized("this App is private: send `Authorization: Bearer <access key>`")
    if (name := keys.name_of(key)) is None:
        if is_management_token(key):
            raise HttpError(403, "forbidden", "a management token does not call an App: send one of its Access Keys")
        raise _unauthorized("this App has no such Access Key")
    request[ACCESS_KEY] = name


def is_management_token(key: str) -> bool:
    """Returns True for a JSON Web Token, as the management API takes: three parts, the first a JSON object with `alg`."""
    if (match := TOKEN.fullmatch(key)) is None:
        return False
    try:
        head = json.loads(base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(head, dict) and "alg" in head


def _unauthorized(message: str) -> HttpError:
    error = HttpError(401, "unauthorized", message)
    error.headers["WWW-Authenticate"] = "Bearer"
    return error


async def parse_run_request(request: web.Request, bodies: Bodies, uploads: Uploads) -> RunRequest:
    """Reads a request for a run, JSON or a form. Events are asked for by `stream`, or by the header Accept if that is absent.

    Raises HttpError: 400 for an invalid body, 415 for another media type, 501 for a field that is not served. Also 408 for a slow body, 413
    for a large one, 503 if there are too many.
    """
    files: list[File] = []
    if request.content_type == FORM:
        body, files = await uploads.read(request)
        request[FORM_FIELDS] = body
    elif request.headers.get("Content-Type") and not _is_json(request.content_type):
        raise media_type(f"the body is {request.content_type}: send `Content-Type: application/json`, or files as {FORM}")
    else:
        async with bodies.room_for(request):
            body = _parsed(await in_time(request.read(), request.client_max_size))
    try:
        return read_fields(body, request.headers, files, accepts_events=_accepts_events(request))
    except BaseException:
        uploads.release(files)
        raise


async def json_object(request: web.Request, most: int) -> dict[str, Any]:
    """Reads a small body of at most `most` bytes. Raises HttpError: 400 for an invalid one, 408, 413, and 415."""
    if request.headers.get("Content-Type") and not _is_json(request.content_type):
        raise media_type(f"the body is {request.content_type}: send `Content-Type: application/json`")
    if (request.content_length or 0) > most:
        raise too_large(most)
    raw = await in_time(request.read(), request.client_max_size)
    if len(raw) > most:
        raise too_large(most)
    body = _parsed(raw)
    if not isinstance(body, dict):
        raise bad_request({"body": "is not a JSON object"})
    return body


def _parsed(raw: bytes) -> Any:
    try:
        return parse_json(raw)
    except ValueError as error:
        raise bad_request({"body": str(error)}) from None


def _accepts_events(request: web.Request) -> bool:
    """Returns True if the header Accept names events; `*/*`, which clients send by default, does not."""
    accepted = ",".join(request.headers.getall("Accept", []))
    return any(part.partition(";")[0].strip().lower() == EVENTS for part in accepted.split(","))


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or (content_type.startswith("application/") and content_type.endswith("+json"))
