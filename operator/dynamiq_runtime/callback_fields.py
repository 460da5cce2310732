"""Reads the field `callbacks` of a request for a run: where the run is to be sent when it ends. Each part is checked, and none is ignored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynamiq_runtime.addresses import URL_LIMIT, Reach, host_of, is_literal, reach_of

MOST = 5
TOKEN_LIMIT = 4096  # characters
METADATA_LIMIT = 4096  # bytes as JSON
_FIELDS, _AUTH_FIELDS = frozenset({"url", "auth", "metadata"}), frozenset({"type", "token"})
_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, repr=False)
class Callback:
    """A receiver of a run at its end. It has no text of its own, since URL and token belong into no log."""

    url: str
    token: str | None
    metadata: Mapping[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """Returns the callback as the journal takes it."""
        return {"url": self.url, "token": self.token, "metadata": self.metadata}


def callback_problems(callbacks: Sequence[Any]) -> dict[str, str]:
    """Returns the problems of a list of callbacks, by field. None quotes a URL or a token."""
    if len(callbacks) > MOST:
        return {"callbacks": f"are {len(callbacks)}, and at most {MOST} are taken"}
    problems: dict[str, str] = {}
    for n, each in enumerate(callbacks):
        if isinstance(each, dict):
            problems |= {f"callbacks.{n}.{name}": problem for name, problem in _problems_of(each).items()}
        else:
            problems[f"callbacks.{n}"] = "is not an object"
    return problems


def callbacks_of(callbacks: Sequence[Mapping[str, Any]]) -> tuple[Callback, ...]:
    """Returns callbacks that have no problem."""
    return tuple(Callback(each["url"], (each.get("auth") or {}).get("token"), each.get("metadata")) for each in callbacks)


def _problems_of(callback: Mapping[str, Any]) -> dict[str, str]:
    problems = {name[:64]: "is not a field of a callback" for name in sorted(callback.keys() - _FIELDS)[:MOST]}
    url, auth, metadata = (callback.get(name) for name in ("url", "auth", "metadata"))
    if problem := _problem_of_url(url):
        problems["url"] = problem
    if auth is not None and (problem := _problem_of_auth(auth)):
        problems["auth"] = problem
    if metadata is not None and not isinstance(metadata, dict):
        problems["metadata"] = "is not an object"
    elif metadata is not None and len(json.dumps(metadata, separators=(",", ":")).encode()) > METADATA_LIMIT:
        problems["metadata"] = f"has more than {METADATA_LIMIT} bytes as JSON"
    return problems


def _problem_of_url(url: object) -> str:
    """Returns what is wrong with a URL; empty if nothing is. A name may still lead to a private address, which its delivery refuses."""
    if not isinstance(url, str):
        return "is missing, or not a text"
    if len(url) > URL_LIMIT:
        return f"has {len(url)} characters, and at most {URL_LIMIT} are taken"
    if (host := host_of(url)) is None:
        return "is not a URL of https in ASCII, without user info and fragment"
    if is_literal(host) and reach_of(host) is not Reach.PUBLIC:
        return "has an address that is not public"
    return ""


def _problem_of_auth(auth: object) -> str:
    if not isinstance(auth, dict) or auth.keys() != _AUTH_FIELDS or auth["type"] != "bearer":
        return 'is not {"type": "bearer", "token": …}'
    token = auth["token"]
    if not isinstance(token, str) or not 1 <= len(token) <= TOKEN_LIMIT or not _TOKEN.fullmatch(token):
        return f"has a token that is not 1 to {TOKEN_LIMIT} visible ASCII characters"
    return ""
