"""Where a sign-in leads: to a path of the console, and nowhere else, whatever a link says."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

from dynamiq_operator.rest.http.cookie_rules import CONSOLE, SESSION

HOME = f"{CONSOLE}/"
OIDC = f"{CONSOLE}/oidc"
START, CALLBACK = f"{OIDC}/start", f"{OIDC}/callback"
TARGET_MOST = 1024
"""Letters. It waits in a cookie while somebody signs in."""
_TARGET = re.compile(r"(?P<path>/console/[A-Za-z0-9._~@:+,=/-]*)(?:\?(?P<query>(?:[A-Za-z0-9._~@:+,=/?&!*'()$;-]|%[0-9A-Fa-f]{2})*))?")
_NOT_PRINTED = re.compile(rb"[\x00-\x1f\x7f\\]")


def safe_target(given: str) -> str:
    """The target that was asked for; the console's first page where it is none of its own pages.

    A path is letters, digits and a few signs, none of them escaped: no browser or proxy reads another host or another path out of it.
    """
    found = _TARGET.fullmatch(given) if len(given) <= TARGET_MOST else None
    if found is None or "//" in found["path"] or {".", ".."} & set(found["path"].split("/")):
        return HOME
    if any(found["path"] == each or found["path"].startswith(f"{each}/") for each in (OIDC, SESSION)):
        return HOME
    return HOME if _NOT_PRINTED.search(unquote_to_bytes(found["query"] or "")) else given


def failed(code: str, target: str) -> str:
    """The page that says why a sign-in failed, and signs in again."""
    return f"{CONSOLE}/sign-in?error={code}&to={quote(target, safe='')}"
