"""Requests to the provider of OIDC: of bounded size and time, to where they are sent and nowhere else."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

ANSWER_MOST = 1024 * 1024
"""Bytes."""
CONNECT_WITHIN, SILENT_MOST, ANSWERED_WITHIN = 5.0, 5.0, 10.0
"""Seconds: until there is a connection, between two parts of an answer, and until it is whole."""


class ProviderError(Exception):
    """The provider does not answer, or not as it should. The message is for the log of this process: nothing that anybody else wrote is in it."""


class Fetch:
    """Sends requests. No redirect is followed, and nothing is sent twice: a code is taken once. Thread-safe."""

    def __init__(self, ca: Path | None) -> None:
        trust: dict[str, Any] = {"ca_certs": str(ca)} if ca is not None else {}
        self._pool = urllib3.PoolManager(num_pools=4, maxsize=4, cert_reqs="CERT_REQUIRED", **trust)

    def get(self, url: str) -> dict[str, Any]:
        """The JSON object at a URL. Raises ProviderError."""
        status, found = self._sent("GET", url, {}, None)
        if status != 200 or found is None:
            raise ProviderError(f"{url} answered {status}, and has to answer 200 with a JSON object")
        return found

    def post(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, dict[str, Any] | None]:
        """Sends a form; the status of the answer, and its JSON object where it is one. Raises ProviderError."""
        return self._sent("POST", url, {**headers, "Content-Type": "application/x-www-form-urlencoded"}, urlencode(fields))

    def _sent(self, method: str, url: str, headers: Mapping[str, str], body: str | None) -> tuple[int, dict[str, Any] | None]:
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
                        raise ProviderError(f"{url} answers with more than {ANSWER_MOST} bytes, or for longer than {ANSWERED_WITHIN:g} s")
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ProviderError(f"{url} does not answer: {type(error).__name__}") from error
        return response.status, _parsed(read)


def _parsed(read: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(read)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
