"""Finds in the rows what the leader before may not have delivered, from the moment that it noted on the Lease. It delivers nothing.

Rows have the times at which they began, were admitted and ended. Closed rows are not watched, so the histories of Apps with changes since
then are read. This happens once, in the background, when this replica begins to lead.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dynamiq_operator.controller.cached.cache import AppKey, Cache
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.model import ownership
from dynamiq_operator.model.guard_objects import DeployPolicy
from dynamiq_operator.model.objects import Row, Unreadable, format_time, parse_time, read
from dynamiq_operator.plan.background.notifications import Notification, notifications_since

READS_MOST = 500
"""Requests for a takeover; Apps beyond them are counted."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mark:
    """A leader's note on the Lease. `until`: when all notifications had been delivered. `waiting`: how many had not, one for each of their
    sinks.
    """

    until: datetime
    waiting: int = 0

    def __str__(self) -> str:
        return f"{format_time(self.until)} {self.waiting}"

    @classmethod
    def of(cls, text: str) -> Mark | None:
        """Returns the mark in a text of the Lease; None if it is not ours."""
        at, _, waiting = text.partition(" ")
        try:
            return cls(parse_time(at), min(int(waiting or 0), 1_000_000))
        except ValueError:
            return None


class Takeover:
    """A reader of what happened to rows. `policies`: returns those that select a namespace."""

    def __init__(self, client: Client, cache: Cache, policies: Callable[[str], Awaitable[Sequence[DeployPolicy]]]) -> None:
        self._client, self._cache, self.policies = client, cache, policies
        self._reads = 0

    async def undelivered(self, since: datetime, has_sinks: Callable[[str], Awaitable[bool]]) -> tuple[list[Notification], int]:
        """Returns notifications since a moment, and how many Apps could not be read. `has_sinks`: whether a namespace has a sink."""
        notifications: list[Notification] = []
        missed = self._reads = 0
        for key in sorted(self._cache.apps()):
            if not await has_sinks(key[0]):
                continue
            try:
                if await self._has_changed(key, since):
                    notifications += await self._of(key, since)
            except (errors.ApiError, _TooManyError) as error:
                missed += 1
                log.warning("App %s/%s: its rows without a notification could not be read: %s", *key, error)
        return notifications, missed

    async def _has_changed(self, key: AppKey, since: datetime) -> bool:
        rows = list(self._cache.rows_of(key))
        if any(at >= since for raw in rows for at in _times(raw)):
            return True
        failed = ((self._cache.get(APPS, *key) or {}).get("status") or {}).get("failed")
        if not failed or any(raw["metadata"]["name"] == failed["row"] for raw in rows):
            return False
        self._count()
        try:
            row = await self._client.get(ROWS, key[0], failed["row"])
        except errors.NotFound:
            return False
        return any(at >= since for at in _times(row))

    async def _of(self, key: AppKey, since: datetime) -> tuple[Notification, ...]:
        app = self._cache.app(key)
        if app is None or isinstance(app, Unreadable):
            return ()
        rows = []
        self._count()
        async for page in self._client.pages(ROWS, key[0], field=f"spec.app={key[1]}"):
            rows += [read(Row, each) for each in ownership.only_of(app.meta.uid, page["items"])]
        return notifications_since(app, (row for row in rows if isinstance(row, Row)), since)

    def _count(self) -> None:
        self._reads += 1
        if self._reads > READS_MOST:
            raise _TooManyError(f"{READS_MOST} requests have been made for others")


class _TooManyError(Exception):
    pass


def _times(raw: dict[str, Any]) -> Iterator[datetime]:
    spec = raw["spec"]
    for part, name in (("pinned", "createdAt"), ("released", "at"), ("verified", "at"), ("outcome", "at")):
        text = (spec.get(part) or {}).get(name)
        if text:
            yield parse_time(text)
