"""Defines how the operator and the gate reach the recorder and the journal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RecorderAccess:
    """The address of the recorder, or of the journal.

    `token_file`: the token of the calling program. It changes, so the file is read for each request. `ca`: certificates that make
    https trusted; None for those of the system.
    """

    url: str
    token_file: Path
    ca: Path | None = None
