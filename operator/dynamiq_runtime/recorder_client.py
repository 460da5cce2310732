"""Connects to the recorder, with a token that the kubelet renews, so its file is read for each request."""

from __future__ import annotations

import http.client
import math
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

PATH = "/v1/traces"
RETRY_AFTER_LIMIT = 60.0  # seconds: a longer Retry-After of the recorder is cut to this
ANSWER_LIMIT = 1 << 16


@dataclass(frozen=True)
class Recorder:
    """The address of the recorder. `token`: None if none is sent. `ca`: for https with its own authority."""

    url: str
    token: Path | None
    ca: Path | None

    def headers(self) -> dict[str, str]:
        """Returns the headers that identify the sender. Raises OSError if the token cannot be read, ValueError if it is none."""
        if self.token is None:
            return {}
        token = self.token.read_text(encoding="ascii").strip()
        if not token or not token.isprintable():
            raise ValueError("the file holds no token")
        return {"Authorization": f"Bearer {token}"}

    def tls(self) -> ssl.SSLContext | None:
        """Returns the TLS settings for a new connection; None for http. Raises OSError, a base of ssl.SSLError."""
        # Not cached: authorities change.
        if urlsplit(self.url).scheme != "https":
            return None
        return ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))


class Trust:
    """The trust in the recorder, for one event loop. It is loaded once, and again when the authority's file changes."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._seen: tuple[int, ...] | None = None
        self._made: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext | None:
        """Returns the TLS settings for a new connection; None for http. Raises OSError."""
        seen: tuple[int, ...] = ()
        if self._recorder.ca is not None:
            stat = self._recorder.ca.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen != self._seen:
            self._made, self._seen = self._recorder.tls(), seen
        return self._made


@dataclass(frozen=True)
class RecorderAnswer:
    """A response of the recorder. `retry_after`: seconds; None without the header."""

    status: int
    retry_after: float | None


class RecorderConnection:
    """One kept connection, for one thread."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._connection: http.client.HTTPConnection | None = None

    def post(self, body: bytes, headers: dict[str, str], within: float) -> RecorderAnswer:
        """Sends one request; each step of it has `within` seconds. Raises OSError and http.client.HTTPException."""
        kept = self._connection is not None
        try:
            return self._post(body, headers, within)
        except (ConnectionError, http.client.BadStatusLine):
            self.close()
            if not kept:
                raise
            return self._post(body, headers, within)  # the recorder had closed an idle connection
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self) -> None:
        """Closes the connection; the next request opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, body: bytes, headers: dict[str, str], within: float) -> RecorderAnswer:
        connection = self._connection = self._connection or self._open(within)
        connection.timeout = within
        if connection.sock is not None:
            connection.sock.settimeout(within)
        connection.request("POST", urlsplit(self._recorder.url).path.rstrip("/") + PATH, body, headers)
        answer = connection.getresponse()
        answer.read(ANSWER_LIMIT)
        if answer.will_close or not answer.isclosed():
            self.close()
        return RecorderAnswer(answer.status, seconds_of(answer.headers.get("Retry-After")))

    def _open(self, within: float) -> http.client.HTTPConnection:
        url, tls = urlsplit(self._recorder.url), self._recorder.tls()
        if tls is not None:
            return http.client.HTTPSConnection(url.hostname or "", url.port or 443, timeout=within, context=tls)
        return http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=within)


def seconds_of(retry_after: str | None, most: float = RETRY_AFTER_LIMIT) -> float | None:
    """Parses a header Retry-After, at most `most` seconds; None if missing or invalid."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            when = parsedate_to_datetime(retry_after)
            seconds = (when - datetime.now(when.tzinfo)).total_seconds()
        except (ValueError, OverflowError, TypeError, IndexError):  # errors of `email` for invalid dates
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), most)
