"""Plays a browser that uses the console: the headers of its requests, and its cookies."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from dynamiq_operator.rest.console.assets import Assets
from dynamiq_operator.rest.console.options import ConsoleOptions
from dynamiq_operator.rest.console.state import Console
from dynamiq_operator.rest.http.console_address import ConsoleAddress

HOST = "console.example.com"
URL = f"https://{HOST}"
OWN = {"Host": HOST, "Sec-Fetch-Site": "same-origin"}
"""The headers of a read by a page of the console."""
WRITES = {**OWN, "Origin": URL, "X-Dynamiq-Console": "1"}
SESSION = "/console/session"


def a_console(address: str | None = URL, assets: Assets | None = None, **options: Any) -> Console:
    parsed = ConsoleAddress.parse(address) if address is not None else None
    return Console.of(ConsoleOptions(address=parsed, **options), assets or Assets(None, {}))


def kept(set_cookies: Iterable[str]) -> dict[str, str]:
    """Returns the cookies of a browser after these headers Set-Cookie."""
    cookies: dict[str, str] = {}
    for each in set_cookies:
        pair, *attributes = each.split("; ")
        name, _, value = pair.partition("=")
        if "Max-Age=0" in attributes:
            cookies.pop(name, None)
        else:
            cookies[name] = value
    return cookies


def cookie(cookies: Mapping[str, str]) -> dict[str, str]:
    """Returns the header that a browser sends with these cookies."""
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


def a_jwt(length: int = 0, **claims: Any) -> str:
    """Returns an unsigned token in the form of a JWT, with at least `length` letters."""
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in ({"alg": "RS256"}, claims)]
    token = ".".join([*parts, "c2ln"])
    return token + "g" * (length - len(token))
