"""Reads the members of a body as raw JSON text: a flow is stored and returned with its numbers, escapes and key order unchanged."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Annotated, Any

from fastapi import Depends, Request

from dynamiq_operator.rest.http.errors import invalid_field

_SPACE = re.compile(r"[ \t\n\r]*")
_KEPT = re.compile(r'(?:"(?:[^"\\]++|\\.)*+"|[^" \t\n\r]++)++', re.DOTALL)
"""Text between white space, with whole strings. Nothing else runs during a match, so the matched pieces are as long as possible."""


def members(body: bytes) -> dict[str, str]:
    """Returns the compact JSON of each member of a body, by name; empty if the body is not a JSON object.

    Raises as `check_names` does.
    """
    return {name: "".join(_KEPT.findall(text)) for name, text in _as_written(body).items()}


def check_names(body: bytes) -> None:
    """Raises HttpProblem if an object in a JSON body has a duplicate key: its meaning would depend on the parser."""
    _as_written(body)


def _as_written(body: bytes) -> dict[str, str]:
    text = body.decode()
    at = _skip(text, 0)
    by_name: dict[str, str] = {}
    if text[at : at + 1] != "{" or text[_skip(text, at + 1)] == "}":
        return by_name
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_float=len, parse_int=len)
    while text[at] != "}":
        name, at = scanstring(text, _skip(text, at + 1) + 1, True)
        begin = _skip(text, _skip(text, at) + 1)
        try:
            _, end = decoder.raw_decode(text, begin)
        except _Twice as twice:
            raise invalid_field(name, f"the key {twice} occurs twice in one object") from None
        if name in by_name:
            raise invalid_field(name, "this field occurs twice")
        by_name[name] = text[begin:end]
        at = _skip(text, end)
    return by_name


class _Twice(Exception):  # noqa: N818 - it never leaves this module
    """A duplicate key of an object."""


def _once(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _Twice(json.dumps(key)[:100])
        seen.add(key)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None  # noqa: S101 - it matches nothing, too
    return match.end()


def _members(request: Request) -> dict[str, str]:
    body: bytes = request.state.body
    return members(body) if body else {}


MembersOf = Annotated[dict[str, str], Depends(_members)]
