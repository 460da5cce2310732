"""The members of a request's body as raw JSON text: a flow is stored and returned with its numbers, escapes and key order unchanged."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Annotated, Any

from fastapi import Depends, Request

from dynamiq_operator.rest.http.errors import invalid_field

_SPACE = re.compile(r"[ \t\n\r]*")
_KEPT = re.compile(r'(?:"(?:[^"\\]++|\\.)*+"|[^" \t\n\r]++)++', re.DOTALL)
"""What stands between white space, strings whole. Nothing else runs while a text is matched, so it is matched in pieces as long as can be."""


def members(body: bytes) -> dict[str, str]:
    """By name, the compact JSON of each member of a body that is a JSON object; of any other body, nothing.

    Raises as `check_names` does.
    """
    return {name: "".join(_KEPT.findall(text)) for name, text in _as_written(body).items()}


def check_names(body: bytes) -> None:
    """Raises HttpProblem where an object of a body, which is JSON, has a key twice: what it means would depend on who reads it."""
    _as_written(body)


def _as_written(body: bytes) -> dict[str, str]:
    text = body.decode()
    at = _skip(text, 0)
    found: dict[str, str] = {}
    if text[at : at + 1] != "{" or text[_skip(text, at + 1)] == "}":
        return found
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_float=len, parse_int=len)
    while text[at] != "}":
        name, at = scanstring(text, _skip(text, at + 1) + 1, True)
        begin = _skip(text, _skip(text, at) + 1)
        try:
            _, end = decoder.raw_decode(text, begin)
        except _Twice as twice:
            raise invalid_field(name, f"the key {twice} is there twice in one object") from None
        if name in found:
            raise invalid_field(name, "this field is there twice")
        found[name] = text[begin:end]
        at = _skip(text, end)
    return found


class _Twice(Exception):  # noqa: N818 - it never leaves this module
    """A key that an object has twice."""


def _once(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _Twice(json.dumps(key)[:100])
        seen.add(key)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None  # noqa: S101 - it matches nothing, too
    return found.end()


def _members(request: Request) -> dict[str, str]:
    body: bytes = request.state.body
    return members(body) if body else {}


MembersOf = Annotated[dict[str, str], Depends(_members)]
