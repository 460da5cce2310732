"""Reads the body of a known caller's request, within limits of size and time, and parses it once, strictly."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any, NoReturn

from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import Receive

from dynamiq_operator.serving import bodies
from dynamiq_operator.serving.problems import CLOSES, HttpProblem

BODY_MAX = 2 * 1024 * 1024
SMALL = 16 * 1024
"""Bytes of a body that is parsed on the event loop, at most: this takes less time than the hand-over to a worker thread."""
DEPTH_MAX = 200
"""Levels of nesting, at most.

`pydantic_core.from_json` allows one level more, and no other number: a body is parsed inside a list of its own.
"""
CONTAINERS_MAX = 100_000
"""Objects and lists in one body, at most: creating more would block everything else for too long."""
DIGITS_MAX = 1000
SILENT_MOST = 15.0
"""Seconds between two parts of a body, at most."""
BODY_WITHIN = 60.0
"""Seconds from a body's first part to its last."""
WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""A string, or everything after an unclosed quote. Each byte is examined once, whatever is sent."""
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (DIGITS_MAX + 1))


async def read_body(headers: Headers, receive: Receive, most: int = BODY_MAX) -> bytes:
    """Reads the whole body, at most `most` bytes. Raises HttpProblem 400, 408, 413, 415."""
    if (bodies.announced(headers) or 0) <= most:
        _check_type(headers)
    pace = bodies.BodyPace(SILENT_MOST, 1, BODY_WITHIN)
    return await bodies.read(
        headers, receive, most, pace, f"a body is at most {most} bytes", "the body arrived too slowly: send it at once"
    )


async def parse_body(body: bytes) -> Any:
    """Parses a body. Raises HttpProblem 422."""
    return _parse(body) if len(body) <= SMALL else await run_in_threadpool(_parse, body)


def _check_type(headers: Headers) -> None:
    kind, _, parameters = headers.get("content-type", "").lower().partition(";")
    charset = parameters.partition("charset=")[2].strip(' "')
    if kind.strip() != "application/json" or charset not in ("", "utf-8") or headers.get("content-encoding", "identity") != "identity":
        says = "send the body as JSON in UTF-8, with `Content-Type: application/json` and without Content-Encoding"
        raise HttpProblem(415, says, headers=CLOSES)


def _parse(body: bytes) -> Any:
    if body.count(b"[") + body.count(b"{") > CONTAINERS_MAX and len(_brackets(body)) > 2 * CONTAINERS_MAX:
        raise HttpProblem(422, f"the body has more than {CONTAINERS_MAX} objects and lists", {"body": "too many objects and lists"})
    if _LONG_NUMBER.search(body) is None:
        try:
            parsed = from_json(b"[" + body + b"]", allow_inf_nan=False)
        except ValueError:
            parsed = ()  # it is not JSON, is nested too deeply, or has half of a surrogate pair
        if len(parsed) == 1:
            return parsed[0]
    return _parse_exactly(body)


def _parse_exactly(body: bytes) -> Any:
    """Parses a body with Python's parser, more strictly. It takes JSON that the quick parser refuses, and locates errors."""
    if max(accumulate(map(_STEP.__getitem__, _brackets(body))), default=0) > DEPTH_MAX:
        raise HttpProblem(422, f"the body is nested deeper than {DEPTH_MAX} levels", {"body": "nested too deeply"})
    try:
        # The first pass refuses what is not taken; the second one converts numbers.
        text = body.decode()
        json.loads(text, parse_constant=_no_constant, parse_float=_number, parse_int=_number)
        return json.loads(text)
    except UnicodeDecodeError:
        raise HttpProblem(422, "the body is not UTF-8", {"body": "not UTF-8"}) from None
    except ValueError as error:
        raise HttpProblem(422, f"the body is not JSON: {error}", {"body": str(error)}) from None


def _brackets(body: bytes) -> bytes:
    """Returns the brackets outside of strings."""
    return _STRING.sub(b"", body).translate(None, delete=_NO_BRACKETS)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _number(text: str) -> Any:
    if len(text) > DIGITS_MAX:
        raise ValueError(f"a number has at most {DIGITS_MAX} digits")
    return 0
