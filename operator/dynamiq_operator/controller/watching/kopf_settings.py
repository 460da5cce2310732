"""Configures kopf to write nothing of its own. All its requests go through a session of ours, which retries."""

from __future__ import annotations

import kopf

IDLE_TIMEOUT = 0.2
"""Seconds after which kopf ends the task that it has for each object."""


def settings() -> kopf.OperatorSettings:
    """Returns settings for `watch_session`, which never returns an error and ends each watch by itself."""
    options = kopf.OperatorSettings()
    options.posting.enabled = False
    options.peering.standalone = True
    options.scanning.disabled = True
    options.queueing.worker_limit = None
    options.queueing.idle_timeout = IDLE_TIMEOUT
    return options
