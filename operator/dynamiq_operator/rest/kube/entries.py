"""The index's entry of an object: its names and ids, and for a row the values that order and filter its App's history.

Many thousands are kept, so they are small: equal values of rows share one string, and only the beginning of users' text is kept.
"""

from __future__ import annotations

import contextvars
import functools
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import msgspec

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS, VERSIONS, ApiResource
from dynamiq_operator.kube.watching import WatchState
from dynamiq_operator.model import ownership
from dynamiq_operator.model.history_columns import COLUMNS
from dynamiq_operator.model.manifests import Manifest, Phase, format_time, parse_time
from dynamiq_operator.model.names import natural, workflow_and_version
from dynamiq_operator.model.row import CLOSED
from dynamiq_operator.rest.kube.client import READ_TIMEOUT, ApiClient
from dynamiq_operator.views.history import at_path

LOG = logging.getLogger(__name__)
SEARCHED_MOST = 512
"""Letters of a description and of a message that are kept and searched."""
PRESENT_WITHIN = 1800
"""Seconds of a watch that sends what is present, at most. 200,000 rows take a minute or two."""
PRESENT = {"allowWatchBookmarks": "true", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
PRESENT_END = "k8s.io/initial-events-end"
"""The annotation of the bookmark after the last object that was present. Source: Kubernetes, API concepts, streaming lists."""
_NONE: Mapping[str, str] = {}
_KEPT = ("app", "sequence", "status", "version", "runtime", "created_by", "date", "description", "message")
_BY_KEY = {column.key: column for column in COLUMNS}
_COLUMNS = tuple(_BY_KEY[key] for key in _KEPT)


# gc=False: nothing here refers back to an entry, and the collector need not visit hundreds of thousands of them.
class RowFacts(msgspec.Struct, frozen=True, gc=False):
    """The values of a row that order and filter its App's history. Values that are not pinned yet are empty.

    `began`: when the deploy began, in seconds of Unix time. `description`, `message`: their beginning, case-folded.
    """

    sequence: int
    phase: str
    version: str
    runtime: str
    author: str
    began: float
    description: str
    message: str


class _Backwards(str):
    """A text that sorts backwards: lists that are newest first have objects of one second and one name in the order of their namespaces."""

    __slots__ = ()
    __lt__ = str.__gt__


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One object. `labels`: of a namespace; `row`: of a row.

    `group`: a key that it shares with others. For a row it is its App's uid, see `owned_by`, once the operator has numbered it and set its
    owner. Before, it is the namespace and name of the App. For a version it is the namespace and name of its workflow, for an App its
    namespace.
    `seconds`: when it was created, in Unix time; 0 if that is unknown.
    """

    namespace: str
    name: str
    uid: str
    version: int
    seconds: float
    group: str = ""
    labels: Mapping[str, str] = _NONE
    first: int = 0
    """The first resourceVersion observed. If two objects were created in one second, the one with the lower value is older."""
    row: RowFacts | None = None

    @property
    def created(self) -> str:
        """When it was created, in RFC 3339; empty if that is unknown."""
        return format_time(datetime.fromtimestamp(self.seconds, UTC)) if self.seconds else ""

    @property
    def sequence(self) -> int:
        """A row's place in the history; 0 before the operator has numbered it."""
        return self.row.sequence if self.row is not None else 0

    @property
    def is_closed(self) -> bool:
        """True for a row that has ended for good: only its metadata changes any more."""
        return self.row is not None and self.row.phase in CLOSED

    @property
    def age(self) -> tuple[Any, ...]:
        """Its place in its group. Rows without a sequence yet are newer than all that have one, and those that never get one are older."""
        if self.row is None:
            return (self.seconds, self.name, _Backwards(self.namespace), self.uid)
        if self.sequence:
            return (self.sequence, self.uid)
        return (0 if self.is_closed else math.inf, self.seconds, self.first, natural(self.name), self.uid)

    @classmethod
    def of(cls, resource: ApiResource, raw: Manifest) -> Entry:
        """Returns the entry of an object. Except for rows, its metadata is enough."""
        meta = msgspec.convert(raw["metadata"], Meta)
        if resource.kind == ROWS.kind:
            return cls.of_row(meta, [at_path(raw, column.path) for column in _COLUMNS])
        return cls.of_metadata(resource, meta)

    @classmethod
    def of_metadata(cls, resource: ApiResource, meta: Meta) -> Entry:
        """Returns the entry of an object that is no row."""
        group = meta.namespace if resource.kind == APPS.kind else ""
        if resource.kind == VERSIONS.kind:
            group = f"{meta.namespace}/{workflow_and_version(meta.name)[0]}"
        labels = (meta.labels or _NONE) if resource.kind == NAMESPACES.kind else _NONE
        version, namespace = int(meta.resource_version or 0), sys.intern(meta.namespace)
        return cls(namespace, meta.name, meta.uid, version, _seconds(meta.creation_timestamp), sys.intern(group), labels, version)

    @classmethod
    def of_row(cls, meta: Meta, values: Sequence[Any]) -> Entry:
        """Returns the entry of a row. `values`: those of `_KEPT`, in that order."""
        app, sequence, phase, version, runtime, author, date, description, message = values
        namespace, created = sys.intern(meta.namespace), _seconds(meta.creation_timestamp)
        facts = RowFacts(
            sequence=sequence or 0,
            phase=_shared(phase) or Phase.PENDING.value,
            version=_shared(version),
            runtime=_shared(runtime),
            author=_shared(author),
            began=_seconds(date) or created,
            description=sys.intern(searched(str(description or ""))),
            message=searched(str(message or "")),
        )
        owners = ownership.owners({"metadata": {"ownerReferences": meta.owner_references}})
        group = owned_by(namespace, owners[0]) if owners else f"{namespace}/{app}"
        number = int(meta.resource_version or 0)
        return cls(namespace, meta.name, meta.uid, number, created, sys.intern(group), _NONE, number, facts)


Accepts = Callable[[Entry], bool]
"""A predicate of a filter: True if it accepts an entry."""


def owned_by(namespace: str, app_uid: str) -> str:
    """Returns the group of an App's rows."""
    # With the namespace: an owner in another one is none, whatever a row claims.
    return f"{namespace} {app_uid}"


def searched(text: str) -> str:
    """Returns text as a search compares it: case-folded, and only its beginning."""
    return text[:SEARCHED_MOST].casefold()


def accepted(resource: ApiResource, metadata: str) -> str:
    """Returns the media type to request: metadata, but for rows the table of `kubectl get`."""
    # The order and the end of rows are in no metadata.
    return kube_api.TABLE if resource.kind == ROWS.kind else metadata


class Meta(msgspec.Struct, rename="camel"):
    """The part of an object's metadata that the index uses."""

    name: str
    uid: str
    namespace: str = ""
    resource_version: str = "0"
    creation_timestamp: str | None = None
    owner_references: list[dict[str, Any]] | None = None
    labels: dict[str, str] | None = None


class _Object(msgspec.Struct):
    metadata: Meta


class _Line(msgspec.Struct):
    cells: list[Any]
    object: _Object


class _Column(msgspec.Struct):
    name: str


class _ListMeta(msgspec.Struct, rename={"version": "resourceVersion", "token": "continue"}):
    version: str = ""
    token: str = ""


class _Page(msgspec.Struct, rename="camel"):
    """A page of a list: of metadata, or of a table."""

    metadata: _ListMeta
    items: list[_Object] | None = None
    rows: list[_Line] | None = None
    column_definitions: list[_Column] | None = None


# Typed: managedFields are most of what the API server sends, and nothing is made of them.
_PAGE = msgspec.json.Decoder(_Page)


class Reader:
    """A parser of what the API server sends for one resource as `accepted`: the pages of a list, or the object of an event."""

    def __init__(self, resource: ApiResource) -> None:
        self._resource = resource
        self._places: tuple[int, ...] = ()
        """Places of the columns of `_COLUMNS` in a line of the table; -1 for a column that the table lacks."""

    def pages(self, api: ApiClient) -> Iterator[tuple[str, list[Entry]]]:
        """Yields the resourceVersion and the entries of each page of a list of all objects. Raises errors.ApiError."""
        first = self._page(api, "")
        if first.metadata.token and (present := self._present(api)) is not None:
            yield present
            return
        page: _Page | None = first
        with ThreadPoolExecutor(1, "pages") as pool:
            while page is not None:
                token, context = page.metadata.token, contextvars.copy_context()  # the context has the deadline of a request
                # The API server makes the next page while this process makes the entries of this one.
                following = pool.submit(context.run, self._page, api, token) if token else None
                self._columns(page.column_definitions)
                others = (Entry.of_metadata(self._resource, each.metadata) for each in page.items or ())
                yield page.metadata.version, [*self._lines(page.rows), *others]
                page = following.result() if following is not None else None

    def _present(self, api: ApiClient) -> tuple[str, list[Entry]] | None:
        """Returns the resourceVersion and the entries of all objects by a watch that begins with them; None if it did not send them all.

        The API server sends them from memory. It reads each page of a list but the first from etcd, which takes two to three times as long.
        """
        state = WatchState(self._resource, lasts=PRESENT_WITHIN, is_costly=True)
        entries: dict[str, Entry] = {}
        accept = accepted(self._resource, kube_api.METADATA_ONE)
        try:
            with closing(api.stream(state.path, {**state.query(), **PRESENT}, accept, READ_TIMEOUT, lambda: None)) as events:
                for event in map(state.check, events):
                    raw = event["object"]
                    if event["type"] == "BOOKMARK":
                        if _ends_what_is_present(raw):
                            return str(raw["metadata"]["resourceVersion"]), list(entries.values())
                        continue
                    entry = self.event(raw)
                    entries[entry.uid] = entry
                    if event["type"] == "DELETED":
                        del entries[entry.uid]
            raise errors.Unavailable("the watch ended before it had sent them all")
        except errors.ApiError as error:
            LOG.info("%s are listed in pages, since no watch sends what is present: %s", self._resource.plural, error)
        return None

    def _page(self, api: ApiClient, token: str) -> _Page:
        query: dict[str, str | int] = {"limit": kube_api.PAGE, **({"continue": token} if token else {})}
        return api.read_as(_PAGE, self._resource.path(), query, accepted(self._resource, kube_api.METADATA))

    def event(self, raw: Manifest) -> Entry:
        """Returns the entry of the object of an event."""
        if self._resource.kind != ROWS.kind:
            return Entry.of(self._resource, raw)
        self.columns(raw)
        (entry,) = self._lines(msgspec.convert(raw["rows"], list[_Line]))
        return entry

    def columns(self, table: Manifest) -> None:
        """Stores the names of the columns, if the table has them.

        In a watch of tables, only the first event has them. If nothing changes, that is a bookmark.
        """
        self._columns(msgspec.convert(table.get("columnDefinitions"), list[_Column] | None))

    def _columns(self, columns: Sequence[_Column] | None) -> None:
        if columns:
            titles = [column.name.upper() for column in columns]
            self._places = tuple(titles.index(column.title) if column.title in titles else -1 for column in _COLUMNS)

    def _lines(self, lines: Sequence[_Line] | None) -> Iterator[Entry]:
        for line in lines or ():
            cells = [*line.cells, None]
            yield Entry.of_row(line.object.metadata, [cells[place] for place in self._places])


def _ends_what_is_present(raw: Manifest) -> bool:
    """Returns True for the bookmark after all that was present: an object, or a table with one line."""
    objects = [line.get("object") or {} for line in raw.get("rows") or ()] or [raw]
    return any(((each.get("metadata") or {}).get("annotations") or {}).get(PRESENT_END) == "true" for each in objects)


def _shared(value: Any) -> str:
    """Returns a value as text, equal texts as one string."""
    return sys.intern(str(value or ""))


# Cached: a row that nothing blocked has one time twice, and then keeps one number for both.
@functools.lru_cache(1000)
def _seconds(text: str | None) -> float:
    """Returns a time in seconds of Unix time; 0 if the text is none."""
    if not text:
        return 0
    try:
        seconds = parse_time(text).timestamp()
    except ValueError:
        return 0
    return int(seconds) if seconds.is_integer() else seconds
