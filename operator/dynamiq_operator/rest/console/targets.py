"""Restricts the target of a sign-in to paths of the console, whatever a link contains."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

from dynamiq_operator.rest.http.cookie_rules import CONSOLE, SESSION

HOME = f"{CONSOLE}/"
OIDC = f"{CONSOLE}/oidc"
START, CALLBACK = f"{OIDC}/start", f"{OIDC}/callback"
TARGET_MOST = 1024
"""Letters of a target, at most. A cookie holds it during the sign-in."""
# A path is letters, digits and a few signs, unescaped: no browser or proxy reads another host or another path out of it.
_TARGET = re.compile(r"(?P<path>/console/[A-Za-z0-9._~@:+,=/-]*)(?:\?(?P<query>(?:[A-Za-z0-9._~@:+,=/?&!*'()$;-]|%[0-9A-Fa-f]{2})*))?")
_NOT_PRINTED = re.compile(rb"[\x00-\x1f\x7f\\]")


def safe_target(target: str) -> str:
    """Returns the requested target; the console's first page if it is none of the console's own pages."""
    match = _TARGET.fullmatch(target) if len(target) <= TARGET_MOST else None
    if match is None or "//" in match["path"] or {".", ".."} & set(match["path"].split("/")):
        return HOME
    if any(match["path"] == each or match["path"].startswith(f"{each}/") for each in (OIDC, SESSION)):
        return HOME
    return HOME if _NOT_PRINTED.search(unquote_to_bytes(match["query"] or "")) else target


def failed(code: str, target: str) -> str:
    """Returns the page that shows why a sign-in failed, and signs in again."""
    return f"{CONSOLE}/sign-in?error={code}&to={quote(target, safe='')}"
