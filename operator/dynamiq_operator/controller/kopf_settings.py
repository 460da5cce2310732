"""How kopf watches: by selectors on the server's side, with no write of its own, and retrying without an end."""

from __future__ import annotations

from collections.abc import Iterator

import kopf

from dynamiq_operator.kube.resources import WATCHED

BACKOFFS = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds between the attempts of one request of kopf; the last from then on."""
IDLE_TIMEOUT = 0.2
"""Seconds after which kopf ends the task that it keeps for each object."""


def settings() -> kopf.OperatorSettings:
    """Settings under which no error of the API server ends the process."""
    made = kopf.OperatorSettings()
    for resource in WATCHED:
        key = (resource.group, resource.version, resource.plural)
        if resource.label_selector:
            made.watching.label_selectors[key] = resource.label_selector
        if resource.field_selector:
            made.watching.field_selectors[key] = resource.field_selector
    made.watching.initial_streaming = True  # what exists comes object by object: a page of flows is more than fits into memory
    made.posting.enabled = False
    made.peering.standalone = True
    made.scanning.disabled = True
    made.queueing.worker_limit = None
    made.queueing.idle_timeout = IDLE_TIMEOUT
    made.networking.error_backoffs = _Endless()
    return made


class _Endless:
    """The backoffs, without an end, each time that they are iterated over."""

    def __iter__(self) -> Iterator[float]:
        yield from BACKOFFS
        while True:
            yield BACKOFFS[-1]
