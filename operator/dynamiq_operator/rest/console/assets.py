"""Reads the console's files once: a page and what it loads, with the headers of each. Other files are not served."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SHELL = "index.html"
HASHED = "assets/"
"""Files in this folder have a hash of their content in their names."""
TYPES = {
    "css": "text/css; charset=utf-8",
    "ico": "image/x-icon",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "map": "application/json",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "webmanifest": "application/manifest+json",
    "woff2": "font/woff2",
}
"""Extensions of assets. A path with none of them is a page, which the shell shows."""
PAGE_TYPE = "text/html; charset=utf-8"
FOR_EVER = "public, max-age=31536000, immutable"
A_WHILE = "public, max-age=3600"


@dataclass(frozen=True)
class Asset:
    """One file. `gzip`: None if it would not be smaller. `cached`: its Cache-Control."""

    content: bytes
    gzip: bytes | None
    media_type: str
    tag: str
    cached: str

    @classmethod
    def of(cls, content: bytes, media_type: str, cached: str) -> Asset:
        packed = gzip.compress(content, 9, mtime=0)
        tag = hashlib.sha256(content).hexdigest()[:32]
        return cls(content, packed if len(packed) < len(content) else None, media_type, tag, cached)


@dataclass(frozen=True)
class Assets:
    """The files of the console. `shell`: None if the console was not built. `files`: by their path under /console/."""

    shell: Asset | None
    files: Mapping[str, Asset]

    @classmethod
    def load(cls, folder: Path) -> Assets:
        """Reads the built files of a folder. It leaves out what is no asset, and links that lead out of the folder."""
        files, root = {}, folder.resolve()
        for path in sorted(folder.rglob("*")):
            name, kind = path.relative_to(folder).as_posix(), extension(path.name)
            if kind is not None and path.is_file() and path.resolve().is_relative_to(root):
                files[name] = Asset.of(path.read_bytes(), TYPES[kind], FOR_EVER if name.startswith(HASHED) else A_WHILE)
        page = folder / SHELL
        return cls(Asset.of(page.read_bytes(), PAGE_TYPE, "no-store") if page.is_file() else None, files)


def extension(path: str) -> str | None:
    """Returns the extension of an asset; None for the path of a page."""
    name, dot, kind = path.rpartition("/")[2].rpartition(".")
    return kind if name and dot and kind in TYPES else None
