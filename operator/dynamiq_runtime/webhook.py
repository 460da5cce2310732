"""Makes the request of a callback: its body, which is ours, and its headers, signed as Standard Webhooks asks. It sends nothing.

Source: https://www.standardwebhooks.com, specification of 2023.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

BODY_LIMIT = 1 << 20  # bytes
PREFIX = "whsec_"
KEY_LEAST = 24  # bytes of a key
SENT = ("id", "app_id", "status", "reason", "started_at", "ended_at", "output", "error", "user_id", "session_id")
"""Fields of the run in a body."""


def key_of(text: str) -> bytes | None:
    """Returns the key of a text `whsec_<base64>`; None if it is none."""
    try:
        key = base64.b64decode(text.strip().removeprefix(PREFIX), validate=True) if text.startswith(PREFIX) else b""
    except (binascii.Error, ValueError):
        return None
    return key if len(key) >= KEY_LEAST else None


def body_of(run: Mapping[str, Any], metadata: Mapping[str, Any] | None) -> bytes:
    """Returns the body for a run that has ended, as the journal has it, of at most BODY_LIMIT bytes. `metadata`: the callback's own."""
    data = {**{name: run.get(name) for name in SENT}, "metadata": metadata}
    if run.get("content_omitted"):
        data["output_omitted"] = True
    if len(body := _written(run, data)) > BODY_LIMIT:
        body = _written(run, data := {**data, "output": None, "output_omitted": True})
    if len(body) > BODY_LIMIT:
        code = (run.get("error") or {}).get("code")
        body = _written(run, {**data, "error": {"code": code, "message": None, "details": {}}})
    return body


def headers_of(key: bytes, message_id: str, seconds: int, body: bytes, token: str | None) -> dict[str, str]:
    """Returns the headers of one attempt. `seconds`: its time since 1970, by which a receiver tells a replay. `token`: of its receiver."""
    signed = f"{message_id}.{seconds}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "User-Agent": "dynamiq",
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{signature}",
        **({"Authorization": f"Bearer {token}"} if token else {}),
    }


def _written(run: Mapping[str, Any], data: Mapping[str, Any]) -> bytes:
    content = {"type": f"run.{run['status']}", "timestamp": run.get("ended_at"), "data": data}
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
