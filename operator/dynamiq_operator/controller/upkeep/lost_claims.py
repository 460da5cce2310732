"""Creates lost claims of hostnames again from what serves, before any route changes. The operator's namespace, for one, may have been
deleted.

The leader searches for them when it begins, and periodically. Until it knows which claims exist, nothing of hostnames is decided
(`Claims.is_read`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from dynamiq_operator.controller.cached.cache import Cache
from dynamiq_operator.controller.execute.executor import Executor
from dynamiq_operator.controller.hostnames.claims import CLAIMS, Claims
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Unreadable
from dynamiq_operator.plan.observed.serving import LostClaim, lost_claims
from dynamiq_operator.plan.operations import ClaimHostname, Group, Plan
from dynamiq_operator.plan.output import events

AT_ONCE = 10
"""Claims that are created at a time."""
GROUP = "hostname"

log = logging.getLogger(__name__)


class LostClaims:
    """The lost claims in `namespace`. `executor` writes while this replica leads, and `claims` reads."""

    def __init__(self, client: Client, cache: Cache, claims: Claims, executor: Executor, namespace: str) -> None:
        self._client, self._cache, self._claims, self._executor, self._namespace = client, cache, claims, executor, namespace

    async def begin(self) -> None:
        """Searches as a new leader: another one may have led since the last search.

        Raises errors.ApiError if it has to be tried again.
        """
        self._claims.is_read = False
        await self.search()

    async def search(self) -> None:
        """Creates the claims that are missing.

        Raises errors.ApiError if it has to be tried again.
        """
        hosts = self._cache.hostnames()
        claimed = await self._claimed(hosts)
        # Only of unclaimed hostnames: nothing else is done meanwhile, and very many may be claimed.
        served = {host: self._claims.serving(host) for host in hosts if host not in claimed}
        lost = list(lost_claims(served, claimed))
        slots = asyncio.Semaphore(AT_ONCE)
        try:
            async with asyncio.TaskGroup() as making:
                for each in lost:
                    making.create_task(self._make(each, slots))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        self._claims.is_read = True

    async def _claimed(self, hosts: Iterable[str]) -> set[str]:
        """Returns the hostnames that are claimed, or may not be read. One list is enough if it is allowed."""
        named = {names.claim(host): host for host in hosts}
        with contextlib.suppress(errors.Denied):
            pages = self._client.pages(CLAIMS, self._namespace, label=f"{names.CLAIM_LABEL}=hostname")
            return {named[name] async for page in pages for each in page["items"] if (name := each["metadata"]["name"]) in named}
        claimed = set()
        for name, host in named.items():
            with contextlib.suppress(errors.NotFound):
                with contextlib.suppress(errors.Denied):
                    await self._client.get(CLAIMS, self._namespace, name)
                claimed.add(host)
        return claimed

    async def _make(self, lost: LostClaim, slots: asyncio.Semaphore) -> None:
        app = self._cache.app(lost.app)
        if app is None or isinstance(app, Unreadable):
            return
        event = events.claimed_again(app, lost.hostname, lost.since, contested=bool(lost.others), tied=lost.tied)
        claim = ClaimHostname(app, lost.hostname, lost.since, lost.others)
        async with slots:
            failures = await self._executor.execute(lost.app, Plan((Group(GROUP, (event, claim)),)))
        for each in failures:
            if isinstance(each.error, errors.Conflict):
                return  # it exists: another replica has created it, or it lacks our label
            raise each.error
        log.info("App %s/%s: the claim of hostname %s was lost, and is created again", *lost.app, lost.hostname)
