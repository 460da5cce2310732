"""The key of a verification: the operator asks a version's pods before a caller reaches them, or lets a Job of the App's ask.

The pod's annotation has the SHA-256 of that key, and of no other pod's: whoever has the key may call this pod, for as long as the
annotation is there. What it runs is nobody's call: it counts in no figure and goes to no recorder.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from aiohttp import web

HEADER = "X-Dynamiq-Verification"
"""Of a call that is to run as a verification or not at all."""
NOTE = re.compile(rb'dynamiq\.getdynamiq\.ai/verification="([0-9a-f]{64})"')
"""A line of the file of annotations: the downward API writes values as Go quotes them, so that no other value can hold such a line."""


class Verification:
    """The key of one pod's verification, by the file of its annotations; None where it has none."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._seen: object = None
        self._digest: bytes | None = None

    def takes(self, request: web.Request) -> bool:
        """Whether a request comes with the key."""
        if self._file is None:
            return False
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return False
        self._look(self._file)
        given = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).hexdigest().encode()
        return self._digest is not None and hmac.compare_digest(given, self._digest)

    def _look(self, file: Path) -> None:
        """Reads the file anew if it changed. One that can't be read has no key."""
        try:
            found = file.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen != self._seen:
                noted = [match[1] for line in file.read_bytes().splitlines() if (match := NOTE.fullmatch(line))]
                self._digest, self._seen = (noted[0] if noted else None), seen
        except OSError:
            self._digest = self._seen = None
