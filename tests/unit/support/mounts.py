"""Folders that change as the kubelet changes a pod's volumes."""

from __future__ import annotations

import time
from pathlib import Path


def mount(folder: Path, content: dict[str, str]) -> Path:
    """Makes a folder as the kubelet mounts a Secret or the downward API: names link into `..data`, which links into a dated folder."""
    folder.mkdir()
    swap(folder, content)
    return folder


def swap(folder: Path, content: dict[str, str]) -> None:
    """Replaces the content of a mounted folder in one step."""
    dated = folder / f"..{time.monotonic_ns()}"
    dated.mkdir()
    for name, text in content.items():
        (dated / name).write_text(text)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..tmp").symlink_to(dated.name)
    (folder / "..tmp").rename(folder / "..data")
    for link in folder.iterdir():
        if link.is_symlink() and not link.exists():
            link.unlink()
