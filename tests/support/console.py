"""A browser's side of the console: the headers it sends with a request, and the cookies that it keeps."""

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
"""What a read by a page of the console has."""
WRITES = {**OWN, "Origin": URL, "X-Dynamiq-Console": "1"}
SESSION = "/console/session"


def a_console(address: str | None = URL, assets: Assets | None = None, **options: Any) -> Console:
    parsed = ConsoleAddress.parse(address) if address is not None else None
    return Console.of(ConsoleOptions(address=parsed, **options), assets or Assets(None, {}))


def kept(set_cookies: Iterable[str]) -> dict[str, str]:
    """The cookies that a browser has after these headers Set-Cookie."""
    found: dict[str, str] = {}
    for each in set_cookies:
        pair, *attributes = each.split("; ")
        name, _, value = pair.partition("=")
        if "Max-Age=0" in attributes:
            found.pop(name, None)
        else:
            found[name] = value
    return found


def cookie(cookies: Mapping[str, str]) -> dict[str, str]:
    """The header that a browser sends with these cookies."""
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


def a_jwt(length: int = 0, **claims: Any) -> str:
    """A token in the form of a JWT, at least so long, which nobody has signed."""
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in ({"alg": "RS256"}, claims)]
    made = ".".join([*parts, "c2ln"])
    return made + "g" * (length - len(made))
