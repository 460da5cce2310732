"""Fills and unpacks archives, also with a Python before 3.11.4 (such as Debian 12's), whose tarfile has no filters."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal


def extract(
    archive: tarfile.TarFile, folder: Path, how: Literal["data", "tar", "fully_trusted"], members: Iterable[tarfile.TarInfo] | None = None
) -> None:
    """Extracts `members`, or all, with the filter of this name if Python has it: each archive is our own, or known by its hash."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, members, filter=how)  # noqa: S202
    else:
        archive.extractall(folder, members)  # noqa: S202


def add(archive: tarfile.TarFile, name: str, content: bytes, epoch: int = 0) -> None:
    """Adds a file of root's, 0644, of the time `epoch` in Unix seconds."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = len(content), epoch
    archive.addfile(entry, io.BytesIO(content))
