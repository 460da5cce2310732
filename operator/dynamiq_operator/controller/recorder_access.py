"""Describes how the operator reaches the recorder. It makes no request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RecorderAccess:
    """The address of the recorder, and what a request needs.

    `token_file`: the operator's token for it. The token changes, so the file is read for each request. `ca`: certificates that make an
    https recorder trusted; None for those of the system.
    """

    url: str
    token_file: Path
    ca: Path | None = None
