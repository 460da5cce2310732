"""Reads and writes the console's cookies: a token in pieces that browsers accept, under names that no sibling domain can set.

A name that begins with `__Host-` is accepted only with Secure, without Domain and for the whole host. The first piece has the number of
pieces: if one is missing or duplicate, there is no session. Nothing is stored here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping

from starlette.datastructures import Headers

from dynamiq_operator.serving.tokens import TOKEN_MAX

PREFIX = "__Host-dynamiq-"
PIECE = 3500
"""Bytes of a piece: browsers accept 4,096 for name, value and attributes."""
PIECES = -(-(TOKEN_MAX + 2) // PIECE)
TOKEN = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+")
"""Text that a cookie can hold unchanged. Every token of RFC 6750 is such text."""
_COUNTED = re.compile(r"([1-9])\.(.*)")


def of_token(token: str, expires_at: float | None) -> Iterator[str]:
    """Yields the headers Set-Cookie for a token that `TOKEN` matches. They also remove pieces that an earlier token may have left.

    `expires_at`: when the token expires, in seconds of Unix time; without it the cookies end with the browser.
    """
    text = f"{-(-(len(token) + 2) // PIECE)}.{token}"
    lives = "" if expires_at is None else f"; Max-Age={max(0, int(expires_at - time.time()))}"
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    for number, piece in enumerate(pieces):
        yield f"{PREFIX}{number}={piece}; Path=/; Secure; HttpOnly; SameSite=Strict{lives}"
    yield from removed(len(pieces))


def removed(first: int = 0) -> Iterator[str]:
    """Yields the headers Set-Cookie that remove the pieces from `first` on."""
    # All of them: a Strict cookie is not always sent, so it is unknown which ones the browser has.
    for number in range(first, PIECES):
        yield f"{PREFIX}{number}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"


def read(headers: Headers) -> Mapping[str, str | None]:
    """Returns the cookies of a request by name; None for a duplicate name."""
    by_name: dict[str, str | None] = {}
    for header in headers.getlist("cookie"):
        for pair in header.split(";"):
            # Only spaces and tabs: a browser lets a sibling domain set a name that begins with another kind of space.
            name, _, value = pair.strip(" \t").partition("=")
            by_name[name] = None if name in by_name else value
    return by_name


def are_there(headers: Headers) -> bool:
    """Returns True if a request has any piece of a token."""
    return any(name.startswith(PREFIX) for name in read(headers))


def token(headers: Headers) -> str | None:
    """Returns the token of a request's cookies; None if it is incomplete."""
    by_name = read(headers)
    counted = _COUNTED.fullmatch(by_name.get(f"{PREFIX}0") or "")
    if counted is None:
        return None
    pieces = [counted[2], *(by_name.get(f"{PREFIX}{number}") for number in range(1, int(counted[1])))]
    whole = "".join(piece or "" for piece in pieces)
    return whole if all(pieces) and len(whole) <= TOKEN_MAX and TOKEN.fullmatch(whole) else None
