"""Reads the App's Access Keys from a mounted Secret, and again whenever the kubelet changes it.

Every file of the folder is one key. Keys are held as digests, compared in constant time, and never logged.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path


class KeysError(Exception):
    """The folder of keys cannot be read."""


class AccessKeys:
    """The current keys in `folder`. Raises KeysError if the folder is missing at the start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._seen = self._signature()
            self._digests = self._read()
        except OSError as error:
            raise KeysError(f"the Access Keys can't be read from {folder}: {error.strerror}") from None

    def __len__(self) -> int:
        return len(self._digests)

    def name_of(self, key: str) -> str | None:
        """Returns the name of a key; None if it is none of the keys."""
        self._refresh()
        # Each is compared, in constant time: the duration must not reveal how much of the key was right.
        digest_of_key = _digest(key.encode("utf-8", "surrogateescape"))
        names = [name for name, digest in self._digests if hmac.compare_digest(digest_of_key, digest)]
        return names[0] if names else None

    def _refresh(self) -> None:
        """Reads the keys again after a change. While the folder cannot be read, or changes meanwhile, the keys stay."""
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
        """Returns a value that changes with the content: the kubelet swaps the link `..data`; in a plain folder the files' times change."""
        entries = [(path.name, path.lstat()) for path in sorted(self._folder.iterdir())]
        return tuple((name, stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in entries)

    def _read(self) -> tuple[tuple[str, bytes], ...]:
        files = [path for path in sorted(self._folder.iterdir()) if not path.name.startswith(".") and path.is_file()]
        contents = [(path.name, path.read_bytes().strip()) for path in files]
        return tuple((name, _digest(content)) for name, content in contents if content)  # an empty file would allow every caller


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
