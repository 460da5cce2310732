"""The subjects of streams: one App with its rows, the Apps of a project, or those of every project."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from dynamiq_operator.actions.running import read_workloads
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.row import CLOSED, Phase
from dynamiq_operator.rest.apps.details import read_details
from dynamiq_operator.rest.apps.responses import AppDetails
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments.pins import kept_pins
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.http.streams import EVERYWHERE, EntryChange, event
from dynamiq_operator.rest.kube.entries import Entry, owned_by
from dynamiq_operator.rest.parts.deployment import Deployment
from dynamiq_operator.rest.parts.responses import ReadyPodsResponse
from dynamiq_operator.rest.reads.readiness import ready
from dynamiq_operator.rest.watch.reads import NOT_THEIRS, Over, Round, read_each, read_object, removed, require_list

NEWEST = 3
"""Rows among which one may be under way. Older ones are decided."""
BARRED_FOR = 600.0
"""Seconds until a stream of every project checks again if its reader may list the Apps of a project that was denied."""


class AppSubject:
    """An App and its rows. The Ready pods of a row in a rollout are checked repeatedly: our objects do not change with each of them."""

    def __init__(self, context: ApiContext, session: CallerSession, app: Entry) -> None:
        self._context, self._session, self._app = context, session, app
        self.namespace, self.is_gone = app.namespace, False
        self._groups = owned_by(app.namespace, app.uid), f"{app.namespace}/{app.name}"
        self._rolling: dict[str, Entry] = {}
        """The rows that are being rolled out, by their ids."""
        self._last: tuple[Manifest, Manifest | None, ReadyPodsResponse | None] | None = None
        """The row that was sent last, the App as it was then, and how many pods of the row were Ready."""

    def begin(self) -> None:
        newest, _ = self._context.index.of(ROWS).part(self._groups, 0, NEWEST, newest_first=True)
        self._rolling |= {each.uid: each for each in newest if _is_rolling(each)}

    def concerns(self, change: EntryChange) -> EntryChange | None:
        entry = change.entry
        if change.kind == APPS.kind:
            if entry.uid != self._app.uid:
                return None
            self.is_gone |= change.is_gone
            return change
        if entry.group not in self._groups:
            return None
        if _is_rolling(entry) and not change.is_gone:
            self._rolling[entry.uid] = entry
        else:
            self._rolling.pop(entry.uid, None)
        return change

    def is_under_way(self) -> bool:
        return bool(self._rolling)

    def read(self, changes: Sequence[EntryChange]) -> Round:
        # The App last: its status is then not older than its rows.
        return read_each(sorted(changes, key=lambda change: change.kind == APPS.kind), self._read)

    def check(self) -> Round:
        return read_each([EntryChange(ROWS.kind, each) for each in list(self._rolling.values())[-1:]], self._check)

    def _read(self, change: EntryChange) -> Iterator[bytes]:
        if change.kind == APPS.kind:
            yield event("app", self._read_app())
            return
        row = read_object(self._session, ROWS, change.entry)
        if change.is_gone or row is None:
            yield removed(change.entry)
        else:
            yield self._row_event(row)

    def _read_app(self) -> AppDetails:
        try:
            return read_details(self._context, self._session, self._app)
        except HttpProblem as problem:
            if problem.status == 404:
                raise Over from None
            raise

    def _check(self, change: EntryChange) -> Iterator[bytes]:
        if self._last is not None and self._last[0]["metadata"]["uid"] == change.entry.uid:
            row, app, ready_before = self._last
            if self._ready(row, app) == ready_before:
                return
        try:
            current = read_object(self._session, ROWS, change.entry)
        except errors.Denied:
            self._leave(change.entry.uid)
            raise
        if current is not None:
            yield self._row_event(current)

    def _row_event(self, row: Manifest) -> bytes:
        app = read_object(self._session, APPS, self._app)
        phase = (row.get("status") or {}).get("phase")
        if phase != Phase.PROGRESSING:
            self._leave(row["metadata"]["uid"])
        pods = self._ready(row, app) if phase not in CLOSED else None
        self._last = row, app, pods
        workflow: str | None = app["spec"]["workflow"] if app is not None else None
        kept: Any = kept_pins(self._context, self._session, app, None) if app is not None and "pinned" not in row["spec"] else None
        return event("deployment", Deployment.of(row, self._app.uid, self._context, workflow, kept).members() | {"ready": pods})

    def _ready(self, row: Manifest, app: Manifest | None) -> ReadyPodsResponse | None:
        """Returns the pods of a row; None if it has no workload yet, or may not be read.

        In the latter case the row is no longer checked.
        """
        try:
            return ready(read_workloads(self._session.api, self._app.namespace, self._app.name, self._app.uid), row, app)
        except errors.Forbidden:
            self._leave(row["metadata"]["uid"])
            return None

    def _leave(self, uid: str) -> None:
        """Stops the checks of a row until it changes."""
        self._rolling.pop(uid, None)


def _is_rolling(entry: Entry) -> bool:
    return entry.row is not None and entry.row.phase == Phase.PROGRESSING


class ProjectSubject:
    """The Apps of a project. A change of a row counts as one of its App, whose state may have changed with it."""

    is_gone = False

    def __init__(self, context: ApiContext, session: CallerSession, namespace: str) -> None:
        self._context, self._session, self.namespace = context, session, namespace

    def begin(self) -> None:
        """Does nothing, because nothing of a project is checked."""

    def concerns(self, change: EntryChange) -> EntryChange | None:
        if change.kind == APPS.kind:
            return change
        apps, (owner, _, name) = self._context.index.of(APPS), change.entry.group.partition("/")
        app = apps.named(owner, name) if name else apps.get(owner.rpartition(" ")[2])
        return EntryChange(APPS.kind, app) if app is not None else None

    def is_under_way(self) -> bool:
        return False

    def read(self, changes: Sequence[EntryChange]) -> Round:
        return read_each(changes, self._read)

    def check(self) -> Round:
        return Round()

    def _read(self, change: EntryChange) -> Iterator[bytes]:
        # For a deleted App, too, the API server decides if the caller may read it.
        app = read_object(self._session, APPS, change.entry)
        if change.is_gone or app is None:
            yield removed(change.entry)
        else:
            yield event("app", read_details(self._context, self._session, change.entry))


class EveryProjectSubject(ProjectSubject):
    """The Apps of every project in which the caller may list them. A project's first change triggers that check."""

    def __init__(self, context: ApiContext, session: CallerSession) -> None:
        super().__init__(context, session, EVERYWHERE)
        self._listed: set[str] = set()
        """Namespaces whose Apps the caller may list."""
        self._barred: dict[str, float] = {}
        """Namespaces whose Apps they may not list, and until when that holds, by the monotonic clock."""

    def concerns(self, change: EntryChange) -> EntryChange | None:
        return super().concerns(change) if self._barred.get(change.entry.namespace, 0.0) <= time.monotonic() else None

    def _read(self, change: EntryChange) -> Iterator[bytes]:
        namespace = change.entry.namespace
        if namespace not in self._listed:
            try:
                require_list(self._session, namespace)
            except errors.ApiError as error:
                if error.status in NOT_THEIRS:
                    self._barred[namespace] = time.monotonic() + BARRED_FOR
                raise
            self._listed.add(namespace)
        yield from super()._read(change)
