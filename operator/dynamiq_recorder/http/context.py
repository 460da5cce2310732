"""What every request has at hand, and how it is found out what its caller may."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from fastapi import Request

from dynamiq_operator.model.runs import TOKEN_HEADER
from dynamiq_operator.serving.lanes import Lane
from dynamiq_recorder.attribution import Attribution
from dynamiq_recorder.http.arriving import Arriving
from dynamiq_recorder.http.errors import HttpProblem, unauthorized, unknown
from dynamiq_recorder.identity.apps import Apps, KnownApp
from dynamiq_recorder.identity.rights import CONTENTS, RUNS, Rights
from dynamiq_recorder.identity.tokens import NotNow, Tokens, User
from dynamiq_recorder.identity.writers import Writers
from dynamiq_recorder.ingest.parsed import Prices
from dynamiq_recorder.ingest.queue import Queue
from dynamiq_recorder.model import Filter
from dynamiq_recorder.observed import Metrics
from dynamiq_recorder.store.interface import Retention, Store

READS, READS_EACH, READS_WAITING = 4, 2, 64
"""Requests that read at a time, those of one caller, and those of a caller that wait. A store has a connection for each of these."""
EXPORTS, EXPORTS_EACH, EXPORTING = 16, 2, 1
"""The same of exports, which take as long as their readers do; and how many of them are read for at a time."""
APART = 2
"""Questions at a time of those who send: they wait for no reader."""
PARSERS, BODIES_WAITING, BODIES_PATIENCE = 2, 512, 60.0
"""Bodies that are parsed at a time; those of a namespace that wait for it, and for how many seconds."""
INSTANCES_MOST, INSTANCES_OF_A_POD = 50_000, 500
"""Processes that are remembered, and of one pod: it has another one with each restart of its container. The oldest are forgotten."""
_T = TypeVar("_T")


@dataclass
class Health:
    """What the upkeep found last. `fullness`: of the store's disk. `wrong`: why the store cannot be written, empty where it can.

    `over`: uids of Apps by which namespaces take more than their share of a disk that is nearly full, with the bytes of each.
    """

    fullness: float | None = None
    over: Mapping[str, int] = field(default_factory=dict)
    wrong: str = "it was not looked at yet"


@dataclass
class Context:
    """One per process, of one event loop. `keep`: how old runs may be. `operator`: the user name of the account that hands rows over.

    `no_spans_at`, `full_at`: of the disk's fullness. `app_share`: the part of the store that the Apps of one namespace may take from the first of them on.
    """

    store: Store
    queue: Queue
    tokens: Tokens
    apps: Apps
    rights: Rights
    writers: Writers
    attribution: Attribution
    metrics: Metrics
    prices: Prices
    health: Health
    keep: Retention
    operator: str
    no_spans_at: float = 0.85
    full_at: float = 0.9
    app_share: float = 0.5
    arriving: Arriving = field(default_factory=Arriving)
    reads: Lane = field(default_factory=lambda: Lane(READS, READS_EACH, READS_WAITING))
    exports: Lane = field(default_factory=lambda: Lane(EXPORTS, EXPORTS_EACH, EXPORTS_EACH))
    parsers: Lane = field(default_factory=lambda: Lane(PARSERS, PARSERS, BODIES_WAITING, BODIES_PATIENCE))
    large: Lane = field(default_factory=lambda: Lane(1, 1, BODIES_WAITING, BODIES_PATIENCE))
    """Held by a large body from its parsing to its commit: what is parsed takes ten times the memory of its text."""
    archives: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))
    """The same of archived rows."""
    reading: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(READS))
    exporting: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(EXPORTING))
    apart: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(APART))
    instances: OrderedDict[str, str] = field(default_factory=OrderedDict)
    """The pod of each instance that came lately."""
    instances_of: dict[str, dict[str, None]] = field(default_factory=dict)
    """Those of each pod, oldest first."""
    active: dict[str, None] = field(default_factory=dict)
    """Apps that sent runs since the upkeep looked last."""

    def is_full(self, app_uid: str | None = None) -> bool:
        """Returns whether no runs are taken. Those of an App over its share wait earlier, so that others' find room."""
        at = (self.no_spans_at + self.full_at) / 2 if app_uid in self.health.over else self.full_at
        return self.health.fullness is not None and self.health.fullness >= at

    @property
    def not_ready(self) -> str:
        """Why no request is to come here; empty where it may."""
        if self.health.wrong or self.queue.failed:
            return f"the store cannot be written: {self.health.wrong or self.queue.failed}"
        if not self.apps.is_listed or not self.attribution.is_listed:
            return "the cluster's Apps and rows were not read yet"
        return ""

    async def ask(self, call: Callable[..., _T], *given: Any) -> _T:
        """Runs what a read needs, of the store and of what is made of it, in a thread."""
        return await anyio.to_thread.run_sync(lambda: call(*given), limiter=self.reading)

    async def ask_apart(self, call: Callable[..., _T], *given: Any) -> _T:
        """Asks the store for somebody who sends, in a thread that no read takes."""
        return await anyio.to_thread.run_sync(lambda: call(*given), limiter=self.apart)

    async def user(self, request: Request) -> User:
        """Raises HttpProblem, Unauthorized and NotNow."""
        return await self.tokens.user(token_of(request))

    async def app(self, user: User, uid: str, verb: str) -> KnownApp:
        """An App that somebody may do something with the runs of. Raises HttpProblem 403 and 404, and NotNow.

        Of an App that is gone the runs are for those alone who may do it everywhere: its namespace's name may be another tenant's by now.
        """
        app = self.apps.get(uid)
        if app is None:
            if not self.apps.is_listed:
                raise NotNow("the recorder is starting")
            if await self.rights.may(user, verb, RUNS, "", "") and (await self.ask(self.store.page, Filter(app_uid=uid))).total:
                return KnownApp(uid, "", "", records_content=False)
            raise unknown("App", uid)
        if await self.rights.may(user, verb, RUNS, app.namespace, app.name):
            return app
        if verb not in ("get", "list") and await self.rights.may(user, "list", RUNS, app.namespace, app.name):
            raise HttpProblem(403, f"you may see the runs of this App, and not {verb} them: ask for the right to {verb} apps/runs")
        raise unknown("App", uid)

    async def shows_content(self, user: User, app: KnownApp) -> bool:
        """Whether somebody may read inputs, outputs and errors of an App. Raises NotNow."""
        return await self.rights.may(user, "get", CONTENTS, app.namespace, app.name)

    async def owner_of(self, instance: str, pod: str) -> str:
        """The pod that an instance belongs to: the first one, so this one where there is none."""
        if (known := self.instances.get(instance)) is not None:
            return known
        known = await self.ask_apart(self.store.instance_pod, instance) or pod
        # Of two that ask at once the first one has it.
        if (other := self.instances.get(instance)) is not None:
            return other
        self.instances[instance] = known
        of_pod = self.instances_of.setdefault(known, {})
        of_pod[instance] = None
        if len(of_pod) > INSTANCES_OF_A_POD:
            self._forget(next(iter(of_pod)))
        if len(self.instances) > INSTANCES_MOST:
            self._forget(next(iter(self.instances)))
        return known

    def _forget(self, instance: str) -> None:
        pod = self.instances.pop(instance)
        del self.instances_of[pod][instance]
        if not self.instances_of[pod]:
            del self.instances_of[pod]


def lane_of(user: User) -> str:
    """Whose share somebody takes: accounts of one namespace have one, since whoever may make one makes many."""
    return user.namespace or f"user/{user.username}"


def token_of(request: Request) -> str:
    """The bearer token, or that of X-Dynamiq-Token where there is no header Authorization. Raises HttpProblem 401."""
    given = request.headers.getlist("authorization")
    if not given:
        other = request.headers.getlist(TOKEN_HEADER)
        if len(other) == 1 and other[0]:
            return str(other[0])
        raise unauthorized()
    kind, _, token = given[0].strip().partition(" ")
    if len(given) != 1 or kind.lower() != "bearer" or not token.strip():
        raise unauthorized()
    return str(token.strip())


def context_of(request: Request) -> Context:
    found: Context = request.app.state.context
    return found
