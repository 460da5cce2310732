"""The App's Access Keys, read from a mounted Secret and read again whenever the kubelet changes it.

Every file of the folder is one key. Keys are held as digests, compared in constant time, and never logged.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path


class KeysError(Exception):
    """The folder of keys can't be read."""


class AccessKeys:
    """The keys in `folder` as they are now. Raises KeysError when the folder is not there at the start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._seen = self._signature()
            self._digests = self._read()
        except OSError as error:
            raise KeysError(f"the Access Keys can't be read from {folder}: {error.strerror}") from None

    def __len__(self) -> int:
        return len(self._digests)

    def allow(self, key: str) -> bool:
        """Whether `key` is one of the keys; the time it takes does not say how much of it was right."""
        self._refresh()
        given = _digest(key.encode("utf-8", "surrogateescape"))
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        return any(matches)

    def _refresh(self) -> None:
        """Reads anew if anything changed; while the folder can't be read, or changes as it is read, the keys stay as they were."""
        try:
            seen = self._signature()
            if seen == self._seen:
                return
            digests = self._read()
            if self._signature() == seen:
                self._digests, self._seen = digests, seen
        except OSError:
            return

    def _signature(self) -> tuple[object, ...]:
        """Changes with the content: the kubelet swaps the link `..data`; of a plain folder the times of its files change."""
        entries = [(path.name, path.lstat()) for path in sorted(self._folder.iterdir())]
        return tuple((name, stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in entries)

    def _read(self) -> tuple[bytes, ...]:
        files = [path for path in sorted(self._folder.iterdir()) if not path.name.startswith(".") and path.is_file()]
        contents = [path.read_bytes().strip() for path in files]
        return tuple(_digest(content) for content in contents if content)  # an empty file would allow every caller


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
