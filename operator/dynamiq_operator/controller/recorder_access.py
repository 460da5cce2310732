"""How the recorder is asked by the operator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RecorderAccess:
    """How the recorder is asked. `token_file`: has the operator's token for it, which changes: it is read for each request.

    `ca`: certificates by which an https one is trusted, None for those of the system.
    """

    url: str
    token_file: Path
    ca: Path | None = None
