"""How kopf watches: it writes nothing of its own, and all that it asks for goes through a session of ours, which retries."""

from __future__ import annotations

import kopf

IDLE_TIMEOUT = 0.2
"""Seconds after which kopf ends the task that it keeps for each object."""


def settings() -> kopf.OperatorSettings:
    """Settings for `watch_session`, which never answers with an error, and ends each watch by itself."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.peering.standalone = True
    made.scanning.disabled = True
    made.queueing.worker_limit = None
    made.queueing.idle_timeout = IDLE_TIMEOUT
    return made
