"""Checks the key of a verification: the operator, or a Job of the App, calls a version's pods before other callers reach them.

The pod's annotation has the SHA-256 of the key, and no other pod has the same. Whoever has the key may call this pod while the annotation
exists. Such a call is no caller's: it counts in no figure and goes to no recorder.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from aiohttp import web

from dynamiq_runtime.requests import bearer

HEADER = "X-Dynamiq-Verification"
"""The header of a call that must run as a verification or not at all."""
NOTE = re.compile(rb'dynamiq\.getdynamiq\.ai/verification="([0-9a-f]{64})"')
"""A line of the file of annotations. The downward API quotes values like Go, so no other value can contain such a line."""


class Verification:
    """The key of one pod's verification, from the file of its annotations; none if `file` is None."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._seen: object = None
        self._digest: bytes | None = None

    def takes(self, request: web.Request) -> bool:
        """Returns True if a request has the key."""
        if self._file is None or not (key := bearer(request)):
            return False
        self._check_file(self._file)
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest().encode()
        return self._digest is not None and hmac.compare_digest(digest, self._digest)

    def _check_file(self, file: Path) -> None:
        """Reads the file again if it changed. An unreadable file has no key."""
        try:
            status = file.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                digests = [match[1] for line in file.read_bytes().splitlines() if (match := NOTE.fullmatch(line))]
                self._digest, self._seen = (digests[0] if digests else None), seen
        except OSError:
            self._digest = self._seen = None
