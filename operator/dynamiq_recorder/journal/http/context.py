"""Holds what all requests share, and decides who a caller is. It serves no route."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import anyio
import anyio.to_thread
import msgspec
from fastapi import Depends, Request

from dynamiq_operator.kube import errors
from dynamiq_operator.serving.lanes import Lane
from dynamiq_operator.serving.problems import HttpProblem
from dynamiq_recorder.http.arriving import Arriving
from dynamiq_recorder.http.context import Health, lane_of, token_of
from dynamiq_recorder.http.errors import unknown
from dynamiq_recorder.identity.apps import Apps, KnownApp
from dynamiq_recorder.identity.pods import Pods
from dynamiq_recorder.identity.rights import CONTENTS, RUNS, Rights
from dynamiq_recorder.identity.tokens import NotNow, Tokens, User
from dynamiq_recorder.journal.committer import Committer
from dynamiq_recorder.journal.listening import Listener
from dynamiq_recorder.journal.model import Place
from dynamiq_recorder.journal.notices import Notices
from dynamiq_recorder.journal.observed import Metrics
from dynamiq_recorder.journal.open_feed import OpenFeed
from dynamiq_recorder.journal.operations import Turns
from dynamiq_recorder.journal.store import JournalStore

READS, READS_EACH, READS_WAITING = 6, 3, 1_000
"""Most reads at a time, in all and of one namespace, and waiting reads of one. A read takes milliseconds, and holds no long poll."""
POLLS_EACH = 512
"""Most long polls of one pod or user."""
ARRIVING = 64 * 1024 * 1024
"""Most bytes of bodies that are received or stored at a time."""

T = TypeVar("T")


class Caller(msgspec.Struct, frozen=True):
    """Who calls for an App's runs. `place`: of a pod of the App; None for others. `content`: True if they may read content."""

    user: User
    app: KnownApp
    place: Place | None
    content: bool

    @property
    def lane(self) -> str:
        return lane_of(self.user)

    @property
    def name(self) -> str:
        return f"{self.place.namespace}/{self.place.pod}" if self.place is not None else self.user.username


@dataclass
class Context:
    """The objects that all requests of a process share, for one event loop. `full_at`: fullness of the disk from which on no run is accepted.

    `namespace_bytes`: most bytes of a namespace's runs.
    """

    store: JournalStore
    committer: Committer
    notices: Notices
    feed: OpenFeed
    tokens: Tokens
    pods: Pods
    apps: Apps
    rights: Rights
    metrics: Metrics
    turns: Turns
    listener: Listener | None = None
    health: Health = field(default_factory=Health)
    full_at: float = 0.95
    namespace_bytes: int = 4 << 30
    arriving: Arriving = field(default_factory=lambda: Arriving(ARRIVING))
    reads: Lane = field(default_factory=lambda: Lane(READS, READS_EACH, READS_WAITING))
    reading: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(READS))
    polls: Counter[str] = field(default_factory=Counter)

    @property
    def is_full(self) -> bool:
        return self.health.fullness is not None and self.health.fullness >= self.full_at

    def leads(self) -> bool:
        """Returns True if this process does what one replica is enough for."""
        return self.listener is None or self.listener.leads

    @property
    def not_ready(self) -> str:
        """Returns why this process is not ready; empty if it is."""
        if self.health.wrong or self.committer.failed:
            return f"the store cannot be written: {self.health.wrong or self.committer.failed}"
        return "" if self.apps.is_listed else "the cluster's Apps are not read yet"

    async def read(self, caller: Caller, call: Callable[..., T], *arguments: Any) -> T:
        """Executes a read of the store in a thread."""
        async with self.reads.slot(caller.lane):
            return await anyio.to_thread.run_sync(lambda: call(*arguments), limiter=self.reading)

    async def poll(self, request: Request, caller: Caller, polling: Coroutine[Any, Any, T]) -> T:
        """Returns the result of a long poll, and ends it when its caller is gone, so that no run is claimed for nobody.

        Raises HttpProblem 429 if the caller has too many.
        """
        if self.polls[caller.name] >= POLLS_EACH:
            polling.close()
            raise HttpProblem(429, f"you have {POLLS_EACH} long polls here, which is the most: end some", headers={"Retry-After": "1"})
        self.polls[caller.name] += 1
        poll: asyncio.Task[T] = asyncio.create_task(polling)
        gone = asyncio.create_task(_gone(request, poll))
        try:
            return await poll
        except asyncio.CancelledError:
            if gone.done() and not gone.cancelled():
                raise HttpProblem(400, "the caller is gone") from None
            raise
        finally:
            gone.cancel()
            self.polls[caller.name] -= 1
            if not self.polls[caller.name]:
                del self.polls[caller.name]

    async def user(self, request: Request) -> User:
        """Returns the user of a request's token.

        Raises HttpProblem, Unauthorized and NotNow.
        """
        return await self.tokens.user(token_of(request))

    async def caller(
        self, request: Request, uid: str, verb: str, missing: HttpProblem | None = None, *, of: str = RUNS, only_users: bool = False
    ) -> Caller:
        """Returns the caller if they may do `verb` with the runs of an App, or with what else `of` names. A pod may with those of its own App.

        Raises HttpProblem, NotNow and Unauthorized. `missing`: the 404 for an App that they may not see, the same as for one without it.
        """
        user, missing = await self.user(request), missing or unknown("App", uid)
        if (place := await self._place(user)) is not None:
            app = await self._app(place) if place.app_uid == uid else None
            if app is None:
                raise missing
            if only_users:
                raise HttpProblem(403, f"pods may not do this: it takes the right to {verb} apps/{of}")
            return Caller(user, app, place, content=True)
        app = self.apps.get(uid)
        if app is None:
            self.apps.check_listed()
            raise missing
        if await self.rights.may(user, verb, of, app.namespace, app.name):
            return Caller(user, app, None, await self.rights.may(user, "get", CONTENTS, app.namespace, app.name))
        if verb not in ("get", "list") and await self.rights.may(user, "list", RUNS, app.namespace, app.name):
            raise HttpProblem(403, f"you need the right to {verb} apps/{of}: you may only see the runs of this App")
        raise missing

    async def pod(self, request: Request, uid: str) -> tuple[Caller, Place]:
        """Returns a pod of the App.

        Raises HttpProblem 403 for other callers, and for a pod of no row, and what `caller` raises.
        """
        caller = await self.caller(request, uid, "list")
        if caller.place is None:
            raise HttpProblem(403, "only pods of the App may do this, with their token for the journal")
        if not caller.place.pins:
            raise HttpProblem(403, "the pod has no DYNAMIQ_PINS: it belongs to no row")
        return caller, caller.place

    async def _place(self, user: User) -> Place | None:
        """Returns the place of a pod of an App; None for any other user."""
        if not user.is_ours or user.pod is None or not user.namespace:
            return None
        pod = await self.pods.get(user.namespace, *user.pod)
        if pod.app is None or pod.app_uid is None:
            return None
        return Place(pod.app_uid, pod.namespace, pod.app, pod.pins or "", pod.workflow_hash, user.pod[0])

    async def _app(self, place: Place) -> KnownApp | None:
        """Returns the App of a pod, also if the watch has not delivered it yet; None if it was deleted."""
        try:
            app = self.apps.get(place.app_uid) or await self.apps.read(place.namespace, place.app)
        except errors.ApiError as error:
            raise NotNow(f"the API server did not answer which App it is: {error}") from error
        return app if app is not None and app.uid == place.app_uid else None

    async def require_all_namespaces(self, request: Request, verb: str = "list") -> Caller:
        """Returns a user who may do `verb` with the runs of every App.

        Raises HttpProblem 403.
        """
        user = await self.user(request)
        if await self._place(user) is None and await self.rights.may(user, verb, RUNS, "", ""):
            return Caller(user, KnownApp("", "", "", records_content=False), None, content=False)
        raise HttpProblem(403, f"you need the right to {verb} apps/runs in all namespaces")


async def _gone(request: Request, poll: asyncio.Task[Any]) -> None:
    """Ends a poll once its caller is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    poll.cancel()


def request_context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


# A coroutine: FastAPI would run a plain function in a worker thread.
async def _context(request: Request) -> Context:
    return request_context(request)


ContextOf = Annotated[Context, Depends(_context)]
