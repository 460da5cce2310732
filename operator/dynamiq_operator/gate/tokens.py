"""Recognizes a token of the management API among keys that are no App's. It verifies nothing."""

from __future__ import annotations

import base64
import json
import re

_TOKEN = re.compile(r"([A-Za-z0-9_-]{1,4096})\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def is_management_token(key: str) -> bool:
    """Returns True for a JSON Web Token: three parts in base64url, the first of them a JSON object with `alg` (RFC 7515)."""
    match = _TOKEN.fullmatch(key)
    if match is None:
        return False
    try:
        header = json.loads(base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header
