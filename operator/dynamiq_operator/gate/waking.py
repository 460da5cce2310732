"""Scales a sleeping App from 0 to 1: once for all who wait, and again while nothing has come of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic

from dynamiq_operator.desired import base
from dynamiq_operator.gate.metrics import Metrics
from dynamiq_operator.gate.slices import Sleeper
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import BY_KIND
from dynamiq_operator.model import names
from dynamiq_operator.model.json_lines import FIELDS

WORKLOADS = BY_KIND[base.WORKLOAD.kind]
AGAIN_AFTER = 2.0
"""Seconds after which an App that was scaled and still has no pod is scaled again: somebody may have put it to sleep in the same moment."""
RETRIED_WITHIN = 1.0
"""Seconds between two attempts at most while the API server is away: who waits is not to wait for that."""

log = logging.getLogger(__name__)


class Waker:
    """Wakes one App. `call` sends one request where it is time for it, and never raises."""

    def __init__(self, client: Client, metrics: Metrics, clock: Callable[[], float] = monotonic) -> None:
        self._client, self._metrics, self._clock = client, metrics, clock
        self._not_before = 0.0
        self._failures = 0

    @property
    def is_due(self) -> bool:
        """Whether it is time to ask the API server."""
        return self._clock() >= self._not_before

    async def wake(self, app: Sleeper) -> None:
        """Scales the App to 1. The API server lets this account do that from 0 alone, so that it never takes replicas away."""
        fields = {"namespace": app.namespace, "app": app.app}
        try:
            await self._client.patch(
                WORKLOADS, app.namespace, app.note.workload, {"spec": {"replicas": 1}}, subresource="scale", manager=names.GATE_MANAGER
            )
        except errors.Invalid:
            # By the policy: it does not sleep. Another replica, or the operator, has woken it.
            self._failures = 0
        except errors.ApiError as error:
            self._failures += 1
            if self._failures in (1, 10, 100):
                log.warning("an App could not be woken, trying again: %s", error, extra={FIELDS: fields})
            self._not_before = self._clock() + min(errors.backoff(self._failures), RETRIED_WITHIN)
            return
        else:
            self._failures = 0
            self._metrics.woken(app.namespace, app.app)
            log.info("an App is woken", extra={FIELDS: fields})
        self._not_before = self._clock() + AGAIN_AFTER
