"""Defines the address of the journal, which keeps background runs, and its counts of open ones. It imports no pydantic."""

from __future__ import annotations

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
