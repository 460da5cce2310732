"""The cookies of the console: a token in pieces that browsers take, under names that no sibling domain can set.

A name that begins with `__Host-` is only taken with Secure, without Domain and for the whole host. The first piece says how many there
are: where one is missing, or one is there twice, there is no session. Nothing of it is kept here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping

from starlette.datastructures import Headers

from dynamiq_operator.rest.http.reviews import TOKEN_MAX

PREFIX = "__Host-dynamiq-"
PIECE = 3500
"""Bytes of a piece: browsers take 4,096 for name, value and attributes."""
PIECES = -(-(TOKEN_MAX + 2) // PIECE)
TOKEN = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+")
"""What a cookie can hold unchanged. Every token of RFC 6750 is that."""
_COUNTED = re.compile(r"([1-9])\.(.*)")


def of_token(token: str, expires_at: float | None) -> Iterator[str]:
    """The headers Set-Cookie for a token, which `TOKEN` fits. Pieces that an earlier token may have left are removed.

    `expires_at`: when the token ends, in seconds of Unix time; without it the cookies end with the browser.
    """
    text = f"{-(-(len(token) + 2) // PIECE)}.{token}"
    lives = "" if expires_at is None else f"; Max-Age={max(0, int(expires_at - time.time()))}"
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    for number, piece in enumerate(pieces):
        yield f"{PREFIX}{number}={piece}; Path=/; Secure; HttpOnly; SameSite=Strict{lives}"
    yield from removed(len(pieces))


def removed(first: int = 0) -> Iterator[str]:
    """The headers Set-Cookie that remove the pieces from `first` on. Which there are is not known: a Strict cookie is not always sent."""
    for number in range(first, PIECES):
        yield f"{PREFIX}{number}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"


def read(headers: Headers) -> Mapping[str, str | None]:
    """The cookies of a request by name; None for a name that is there twice.

    Nothing but spaces and tabs is taken off a name: a browser lets a sibling domain set what begins with another kind of space.
    """
    found: dict[str, str | None] = {}
    for header in headers.getlist("cookie"):
        for pair in header.split(";"):
            name, _, value = pair.strip(" \t").partition("=")
            found[name] = None if name in found else value
    return found


def are_there(headers: Headers) -> bool:
    """Whether a request has any piece of a token."""
    return any(name.startswith(PREFIX) for name in read(headers))


def token(headers: Headers) -> str | None:
    """The token of a request's cookies; None where it is not whole."""
    given = read(headers)
    counted = _COUNTED.fullmatch(given.get(f"{PREFIX}0") or "")
    if counted is None:
        return None
    pieces = [counted[2], *(given.get(f"{PREFIX}{number}") for number in range(1, int(counted[1])))]
    whole = "".join(piece or "" for piece in pieces)
    return whole if all(pieces) and len(whole) <= TOKEN_MAX and TOKEN.fullmatch(whole) else None
