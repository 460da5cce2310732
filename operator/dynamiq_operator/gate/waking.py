"""Wakes a sleeping App for a call: scales it from 0 to 1, once for all waiting calls, and again while no pod appears.

`gate.backend` queues the calls meanwhile. The operator wakes an App for all other reasons (`plan.sleep.decisions.is_to_wake`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic

from dynamiq_operator.gate.metrics import GateMetrics
from dynamiq_operator.gate.slices import Sleeper
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import WORKLOADS
from dynamiq_operator.model import names
from dynamiq_operator.model.json_lines import FIELDS

AGAIN_AFTER = 2.0
"""Seconds after which an App that still has no pod is scaled again. Somebody may have put it to sleep in the same moment."""
RETRIED_WITHIN = 1.0
"""Most seconds between two attempts while the API server is unreachable, so that waiting callers lose little time."""

log = logging.getLogger(__name__)


async def scale_up(client: Client, namespace: str, workload: str) -> bool:
    """Scales a workload from 0 to 1; False if it does not sleep. Raises errors.ApiError.

    The API server allows this account only to scale from 0, so it never removes replicas.
    """
    try:
        await client.patch(WORKLOADS, namespace, workload, {"spec": {"replicas": 1}}, subresource="scale", manager=names.GATE_MANAGER)
    except errors.Invalid:
        # Refused by the admission policy: another replica, or the operator, has woken it.
        return False
    return True


class Waker:
    """The waker of one App. `wake` sends one request and never raises; `is_due` is True when it is time for one."""

    def __init__(self, client: Client, metrics: GateMetrics, clock: Callable[[], float] = monotonic) -> None:
        self._client, self._metrics, self._clock = client, metrics, clock
        self._not_before = 0.0
        self._failures = 0

    @property
    def is_due(self) -> bool:
        """True if it is time for a request to the API server."""
        return self._clock() >= self._not_before

    async def wake(self, app: Sleeper) -> None:
        """Scales the App to 1."""
        fields = {"namespace": app.namespace, "app": app.app}
        try:
            is_woken = await scale_up(self._client, app.namespace, app.note.workload)
        except errors.ApiError as error:
            self._failures += 1
            if self._failures in (1, 10, 100):
                log.warning("an App could not be woken, trying again: %s", error, extra={FIELDS: fields})
            self._not_before = self._clock() + min(errors.backoff(self._failures), RETRIED_WITHIN)
            return
        self._failures = 0
        if is_woken:
            self._metrics.woken(app.namespace, app.app)
            log.info("an App is woken", extra={FIELDS: fields})
        self._not_before = self._clock() + AGAIN_AFTER
