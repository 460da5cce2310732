"""Defines the address of the journal, which keeps background runs, and what operator and journal have to agree on. It imports no pydantic."""

from __future__ import annotations

import hashlib
import json
from typing import Any

JOURNAL_AUDIENCE = "dynamiq-journal"
"""Audience of the tokens with which pods claim and save their App's background runs. The API server does not accept it."""
JOURNAL_NAMESPACE = "dynamiq-journal"
JOURNAL_SERVICE = "dynamiq-journal"
OPEN_STATES = ("queued", "running", "waiting", "held")
"""States of a background run that has not ended."""
PINS_HEADER = "X-Dynamiq-Pins"
"""Header with which the journal names the pins of the runs that it sends to the recorder."""
CALLBACKS_MOST = 5
"""Callbacks of a run, at most."""


def placement_digest(body: Any) -> str:
    """Returns the digest of the placement of an App's sessions, which is the JSON of a request."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]
