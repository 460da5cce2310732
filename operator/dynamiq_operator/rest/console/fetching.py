"""Sends requests to the OIDC provider, with bounded size and time. It follows no redirect."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

ANSWER_MOST = 1024 * 1024
"""Bytes of a response, at most."""
CONNECT_WITHIN, SILENT_MOST, ANSWERED_WITHIN = 5.0, 5.0, 10.0
"""Seconds: until there is a connection, between two parts of a response, and until it is complete."""


class ProviderError(Exception):
    """The provider does not respond, or not as it should.

    The message is for the log of this process. Nothing that anybody else wrote is in it.
    """


class Fetch:
    """A client of the provider. It follows no redirect, and sends nothing twice: a code is valid once. Thread-safe."""

    def __init__(self, ca: Path | None) -> None:
        trust: dict[str, Any] = {"ca_certs": str(ca)} if ca is not None else {}
        self._pool = urllib3.PoolManager(num_pools=4, maxsize=4, cert_reqs="CERT_REQUIRED", **trust)

    def get(self, url: str) -> dict[str, Any]:
        """Returns the JSON object at a URL. Raises ProviderError."""
        status, answer = self._send("GET", url, {}, None)
        if status != 200 or answer is None:
            raise ProviderError(f"{url} answered {status} instead of 200 with a JSON object")
        return answer

    def post(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, dict[str, Any] | None]:
        """Sends a form; returns the status of the response, and its JSON object, None if it has none. Raises ProviderError."""
        return self._send("POST", url, {**headers, "Content-Type": "application/x-www-form-urlencoded"}, urlencode(fields))

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: str | None) -> tuple[int, dict[str, Any] | None]:
        deadline = time.monotonic() + ANSWERED_WITHIN
        sent = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "dynamiq-console", **headers}
        timeout = urllib3.Timeout(connect=CONNECT_WITHIN, read=SILENT_MOST)
        try:
            response = self._pool.request(
                method, url, body=body, headers=sent, timeout=timeout, retries=False, redirect=False, preload_content=False
            )
            try:
                read = b""
                while piece := response.read1(65536, decode_content=False):
                    read += piece
                    if len(read) > ANSWER_MOST or time.monotonic() > deadline:
                        raise ProviderError(f"{url} answered with more than {ANSWER_MOST} bytes, or took longer than {ANSWERED_WITHIN:g} s")
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ProviderError(f"{url} does not answer: {type(error).__name__}") from error
        return response.status, _parsed(read)


def _parsed(read: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(read)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None
