"""Serves TLS on a server's own port. The certificate is read again when its files change, while connections keep the one they have."""

from __future__ import annotations

import logging
import os
import ssl
import threading
import time
from pathlib import Path

LOG = logging.getLogger(__name__)
CHECKED_EVERY = 10.0
"""Seconds between two checks of the files. A kubelet takes a minute or more to change a mounted Secret."""
Pair = tuple[Path, Path]
"""The files of a certificate chain and of its private key."""


class Certificate:
    """The TLS context of a server. A thread keeps it up to date from `start` on, or its owner by `refresh`."""

    def __init__(self, pair: Pair) -> None:
        """Reads the files. Raises OSError if they cannot be read or do not belong together."""
        self._pair = pair
        self._seen, self._problem = _state(pair), ""
        self._current = _context(pair)
        # Each handshake begins in this context and takes over the newest one before it chooses a certificate.
        self.context = _context(pair)
        self.context.sni_callback = self._choose

    def start(self) -> None:
        """Keeps it up to date until the process ends."""
        threading.Thread(target=self._keep, daemon=True, name="certificate").start()

    def refresh(self) -> bool:
        """Reads the files if they changed; returns True if it uses them.

        Unusable files are logged once and read again at each call, and the earlier certificate stays.
        """
        try:
            now = _state(self._pair)
            if now == self._seen:
                return False
            self._current, self._seen = _context(self._pair), now
        except OSError as error:
            if self._problem != (problem := str(error)):
                self._problem = problem
                LOG.warning("the certificate %s changed and cannot be used, so the previous one stays in use: %s", self._pair[0], problem)
            return False
        self._problem = ""
        LOG.info("the certificate %s was read again", self._pair[0])
        return True

    def _keep(self) -> None:
        while True:
            time.sleep(CHECKED_EVERY)
            self.refresh()

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current


def _context(pair: Pair) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    made.load_cert_chain(*map(os.path.realpath, pair))
    return made


def _state(pair: Pair) -> tuple[tuple[str, int, int], ...]:
    """Returns values that differ once a file, or a link to it, was changed."""
    state = []
    for path in pair:
        # A kubelet changes a mounted Secret by one link.
        real = os.path.realpath(path)
        stat = os.stat(real)  # noqa: PTH116
        state.append((real, stat.st_mtime_ns, stat.st_size))
    return tuple(state)
