"""Holds what all requests share, and checks what a caller may do. It serves no route."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import anyio
import anyio.to_thread
from fastapi import Depends, Request
from starlette.responses import Response

from dynamiq_operator.model.kinds import ROW
from dynamiq_operator.model.runs import TOKEN_HEADER
from dynamiq_operator.serving.encoding import Json, dumps
from dynamiq_operator.serving.lanes import Lane
from dynamiq_operator.serving.problems import HttpProblem
from dynamiq_recorder.http.arriving import Arriving
from dynamiq_recorder.http.errors import unauthorized, unknown
from dynamiq_recorder.identity.apps import Apps, KnownApp
from dynamiq_recorder.identity.rights import CONTENTS, RUNS, Rights
from dynamiq_recorder.identity.tokens import Tokens, User
from dynamiq_recorder.identity.writers import Writers
from dynamiq_recorder.ingest.parsed import Prices
from dynamiq_recorder.ingest.queue import Queue
from dynamiq_recorder.model import Filter
from dynamiq_recorder.observed import Metrics
from dynamiq_recorder.row_feed import Attribution
from dynamiq_recorder.store.results import Retention
from dynamiq_recorder.store.sql_store import Store

READS, READS_EACH, READS_WAITING = 4, 2, 64
"""Most reads at a time, in all and of one caller, and waiting reads of one caller. A store has a connection for each read."""
EXPORTS, EXPORTS_EACH, EXPORTING = 16, 2, 1
"""Most exports at a time, in all and of one caller, and how many of them read at a time. An export takes as long as its reader."""
APART = 2
"""Most store calls at a time for senders, so that they wait for no reader."""
PARSERS, BODIES_WAITING, BODIES_PATIENCE = 2, 512, 60.0
"""Most bodies that are parsed at a time, bodies of a namespace that wait for it, and the seconds for which they wait."""
INSTANCES_MOST, INSTANCES_OF_A_POD = 50_000, 500
"""Most processes that are remembered, in all and of one pod; the oldest are dropped. Each restart of its container gives a pod another one.
"""
_T = TypeVar("_T")


@dataclass
class Health:
    """The last state that the upkeep found. `fullness`: of the store's disk. `wrong`: why the store cannot be written, empty if it can.

    `over`: by uid, the bytes of Apps whose namespaces exceed their share of a nearly full disk.
    """

    fullness: float | None = None
    over: Mapping[str, int] = field(default_factory=dict)
    wrong: str = "it was not checked yet"


@dataclass
class Context:
    """The objects that all requests of a process share, for one event loop.

    `keep`: how long runs are kept. `operator`: user name of the account that archives rows. `no_spans_at`, `full_at`: fullness of the disk.
    `app_share`: the part of the store that the Apps of one namespace may take once `no_spans_at` is reached.
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
    """Held by a large body from its parsing to its commit: parsed data takes ten times the memory of its text."""
    archives: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))
    """The same for archived rows."""
    reading: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(READS))
    exporting: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(EXPORTING))
    apart: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(APART))
    instances: OrderedDict[str, str] = field(default_factory=OrderedDict)
    """The pod of each recent instance."""
    instances_of: dict[str, dict[str, None]] = field(default_factory=dict)
    """The instances of each pod, oldest first."""
    active: dict[str, None] = field(default_factory=dict)
    """Apps that sent runs since the upkeep last counted."""

    def is_full(self, app_uid: str | None = None) -> bool:
        """Returns True if no runs are accepted. An App over its share is refused earlier, so that there is room for others."""
        at = (self.no_spans_at + self.full_at) / 2 if app_uid in self.health.over else self.full_at
        return self.health.fullness is not None and self.health.fullness >= at

    @property
    def not_ready(self) -> str:
        """Returns why this process is not ready; empty if it is."""
        if self.health.wrong or self.queue.failed:
            return f"the store cannot be written: {self.health.wrong or self.queue.failed}"
        if not self.apps.is_listed or not self.attribution.is_listed:
            return "the cluster's Apps and rows are not read yet"
        return ""

    async def run_for_reader(self, call: Callable[..., _T], *arguments: Any) -> _T:
        """Executes a read's call, of the store or on its result, in a thread."""
        return await anyio.to_thread.run_sync(lambda: call(*arguments), limiter=self.reading)

    async def answer(self, data: Callable[[], Any], **beside: Any) -> Response:
        """Returns the answer with what a call makes, executed and encoded in a thread. `beside`: other members of the answer."""
        return Json(await self.run_for_reader(lambda: dumps({"data": data(), **beside})))

    async def answer_each(self, items: Iterable[_T], shape: Callable[[_T], Any], pagination: Mapping[str, Any]) -> Response:
        """Returns the answer with the shape of each item, encoded one by one: what is parsed of their contents does not add up."""

        def made() -> bytes:
            encoded = b",".join([dumps(shape(each)) for each in items])
            return b'{"data":[%b],"pagination":%b}' % (encoded, dumps(pagination))

        return Json(await self.run_for_reader(made))

    async def run_for_sender(self, call: Callable[..., _T], *arguments: Any) -> _T:
        """Executes a sender's call of the store, in a thread that no read uses."""
        return await anyio.to_thread.run_sync(lambda: call(*arguments), limiter=self.apart)

    async def user(self, request: Request) -> User:
        """Returns the user of a request's token.

        Raises HttpProblem, Unauthorized and NotNow.
        """
        return await self.tokens.user(token_of(request))

    async def app(self, user: User, uid: str, verb: str) -> KnownApp:
        """Returns an App if the user may do `verb` with its runs.

        Runs of a deleted App need the right in all namespaces: its namespace's name may belong to another tenant by now.

        Raises HttpProblem 403 and 404, and NotNow.
        """
        app = self.apps.get(uid)
        if app is None:
            self.apps.check_listed()
            if await self.rights.may(user, verb, RUNS, "", "") and (await self.run_for_reader(self.store.page, Filter(app_uid=uid))).total:
                return KnownApp(uid, "", "", records_content=False)
            raise unknown("App", uid)
        if await self.rights.may(user, verb, RUNS, app.namespace, app.name):
            return app
        if verb not in ("get", "list") and await self.rights.may(user, "list", RUNS, app.namespace, app.name):
            raise HttpProblem(403, f"you need the right to {verb} apps/runs: you may only see the runs of this App")
        raise unknown("App", uid)

    async def app_of_deployer(self, user: User, uid: str) -> KnownApp:
        """Returns an App if the user may get its runs, or create rows in its namespace.

        Raises HttpProblem 404, and NotNow.
        """
        try:
            return await self.app(user, uid, "get")
        except HttpProblem:
            app = self.apps.get(uid)
            if app is None or not await self.rights.may_in(user, "create", ROW.plural, app.namespace):
                raise
            return app

    async def shows_content(self, user: User, app: KnownApp) -> bool:
        """Returns True if a user may read inputs, outputs and errors of an App.

        Raises NotNow.
        """
        return await self.rights.may(user, "get", CONTENTS, app.namespace, app.name)

    async def owner_of(self, instance: str, pod: str) -> str:
        """Returns the pod that an instance belongs to: the first that used it, so `pod` if there is none."""
        if (known := self.instances.get(instance)) is not None:
            return known
        known = await self.run_for_sender(self.store.instance_pod, instance) or pod
        # Of two pods that claim it at once the first one gets it.
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
    """Returns the lane of a user. Accounts of one namespace share one, since whoever may create one account may create many."""
    return user.namespace or f"user/{user.username}"


def token_of(request: Request) -> str:
    """Returns the bearer token, or that of X-Dynamiq-Token without a header Authorization.

    Raises HttpProblem 401.
    """
    headers = request.headers.getlist("authorization")
    if not headers:
        alternatives = request.headers.getlist(TOKEN_HEADER)
        if len(alternatives) == 1 and alternatives[0]:
            return str(alternatives[0])
        raise unauthorized()
    kind, _, token = headers[0].strip().partition(" ")
    if len(headers) != 1 or kind.lower() != "bearer" or not token.strip():
        raise unauthorized()
    return str(token.strip())


# A coroutine: FastAPI would run a plain function in a worker thread.
async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


ContextOf = Annotated[Context, Depends(_context)]


async def _reader(request: Request, context: ContextOf) -> AsyncIterator[User]:
    user = await context.user(request)
    async with context.reads.slot(lane_of(user)):
        yield user


async def _exporter(request: Request, context: ContextOf) -> AsyncIterator[User]:
    user = await context.user(request)
    async with context.exports.slot(lane_of(user)):
        yield user


ReaderOf = Annotated[User, Depends(_reader, scope="function")]
"""A user with a slot until the answer is built; it is sent without one."""
ExporterOf = Annotated[User, Depends(_exporter)]
"""A user with a slot until the answer was sent, or its reader has disconnected."""
