"""Deletes Approvals of missing rows. The cluster deleted the rows with their App, or they never existed. Nothing else deletes such
Approvals.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from dynamiq_operator.controller.cached.cache import Cache
from dynamiq_operator.controller.cached.denials import Denials
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPROVALS, ROWS, Key
from dynamiq_operator.model.objects import Manifest, Meta

KEPT_FOR = timedelta(hours=1)
"""The age from which an Approval's row is searched: a restore may create the Approval before the row."""
ROWS_AT_ONCE = 100
"""Rows that a sweep reads at most; the next sweep continues after them."""
APPROVALS_AT_ONCE = 1000
"""Approvals that a sweep deletes at most."""

log = logging.getLogger(__name__)


class OrphanApprovals:
    """The Approvals of missing rows. `client` sends nothing once another replica may lead. `now`: the time by the API server's clock."""

    def __init__(self, client: Client, cache: Cache, denials: Denials, now: Callable[[], datetime]) -> None:
        self._client, self._cache, self._denials, self._now = client, cache, denials, now
        self._after: Key = ("", "")
        """The row that was searched last."""

    async def sweep(self) -> None:
        """Deletes the Approvals of some missing rows.

        Raises errors.ApiError.
        """
        budget = APPROVALS_AT_ONCE
        uncached = sorted(key for key in self._cache.guards.rows_with_approvals() if key > self._after and not self._is_known(key))
        for key in uncached[:ROWS_AT_ONCE]:
            approvals = self._old(key)[:budget]
            if approvals and await self._is_absent(key):
                for raw in approvals:
                    await self._client.delete(APPROVALS, key[0], raw["metadata"]["name"], raw["metadata"]["uid"])
                budget -= len(approvals)
                log.info("%d Approvals of a missing row are deleted: %s/%s", len(approvals), *key)
            if budget <= 0:
                return  # more of this row may remain: it is searched again
            self._after = key
        if len(uncached) <= ROWS_AT_ONCE:
            self._after = ("", "")

    def _is_known(self, key: Key) -> bool:
        """Returns True if the row is cached, or rows cannot be listed now."""
        return self._cache.get(ROWS, *key) is not None or ROWS in self._denials.of(key[0])

    def _old(self, key: Key) -> list[Manifest]:
        before = self._now() - KEPT_FOR
        return [raw for raw in self._cache.guards.approvals_of(*key) if Meta.of(raw).created < before]

    async def _is_absent(self, key: Key) -> bool:
        with contextlib.suppress(errors.Denied):
            try:
                await self._client.get(ROWS, *key)
            except errors.NotFound:
                return True
        return False
