"""The index's entry of an object: its names and ids, and for a row the values that order and filter its App's history.

Many thousands are kept, so they are small: equal values of rows share one string, and only the beginning of users' text is kept.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube.resources import NAMESPACES, ROWS, VERSIONS, ApiResource
from dynamiq_operator.model import ownership
from dynamiq_operator.model.history_columns import COLUMNS
from dynamiq_operator.model.manifests import Manifest, Phase, parse_time
from dynamiq_operator.model.names import natural, workflow_and_version
from dynamiq_operator.model.row import CLOSED
from dynamiq_operator.rest.kube.groups import Member
from dynamiq_operator.views.history import at_path

SEARCHED_MOST = 512
"""Letters of a description and of a message that are kept and searched."""
_NONE: Mapping[str, str] = {}
_KEPT = ("app", "sequence", "status", "version", "runtime", "created_by", "date", "description", "message")
_COLUMNS = tuple(column for column in COLUMNS if column.key in _KEPT)


@dataclass(frozen=True, slots=True)
class RowFacts:
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

    @classmethod
    def of(cls, values: Mapping[str, Any], created: str) -> RowFacts:
        """Returns the facts. `values`: by the key of their column."""

        def text(key: str) -> str:
            return str(values.get(key) or "")

        return cls(
            sequence=values.get("sequence") or 0,
            phase=sys.intern(text("status") or Phase.PENDING.value),
            version=sys.intern(text("version")),
            runtime=sys.intern(text("runtime")),
            author=sys.intern(text("created_by")),
            began=_seconds(text("date"), created),
            description=sys.intern(searched(text("description"))),
            message=searched(text("message")),
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One object. `labels`: of a namespace; `row`: of a row.

    `group`: a key that it shares with others. For a row it is its App's uid, see `owned_by`, once the operator has numbered it and set its
    owner. Before, it is the namespace and name of the App. For a version it is the namespace and name of its workflow.
    """

    namespace: str
    name: str
    uid: str
    version: int
    created: str
    group: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: _NONE)
    first: int = 0
    """The first resourceVersion observed. If two objects were created in one second, the one with the lower value is older."""
    row: RowFacts | None = None

    @property
    def sequence(self) -> int:
        """A row's place in the history; 0 before the operator has numbered it."""
        return self.row.sequence if self.row is not None else 0

    @property
    def is_closed(self) -> bool:
        """True for a row that has ended for good: only its metadata changes any more."""
        return self.row is not None and self.row.phase in CLOSED

    @property
    def member(self) -> Member:
        """Its place in its group. Rows without a sequence yet are newer than all that have one, and those that never get one are older."""
        if self.sequence:
            return Member((self.sequence,), self.uid)
        return Member((0 if self.is_closed else math.inf, self.created, self.first, natural(self.name)), self.uid)

    @classmethod
    def of(cls, resource: ApiResource, raw: Manifest) -> Entry:
        """Returns the entry of an object. Except for rows, its metadata is enough."""
        meta = raw["metadata"]
        if resource.kind == ROWS.kind:
            return cls.of_row(meta, {column.key: at_path(raw, column.path) for column in _COLUMNS})
        namespace, name = meta.get("namespace", ""), meta["name"]
        group = f"{namespace}/{workflow_and_version(name)[0]}" if resource.kind == VERSIONS.kind else ""
        labels = (meta.get("labels") or _NONE) if resource.kind == NAMESPACES.kind else _NONE
        version = int(meta.get("resourceVersion") or 0)
        return cls(sys.intern(namespace), name, meta["uid"], version, _created(meta), sys.intern(group), labels, version)

    @classmethod
    def of_row(cls, meta: Mapping[str, Any], values: Mapping[str, Any]) -> Entry:
        """Returns the entry of a row. `values`: by the key of their column of a history."""
        namespace, version, created = meta.get("namespace", ""), int(meta.get("resourceVersion") or 0), _created(meta)
        owners = (owned_by(namespace, uid) for uid in ownership.owners({"metadata": meta}))
        group = next(owners, f"{namespace}/{values['app']}")
        facts = RowFacts.of(values, created)
        return cls(sys.intern(namespace), meta["name"], meta["uid"], version, created, sys.intern(group), _NONE, version, facts)


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


class Reader:
    """A parser of what the API server sends for one resource as `accepted`: the objects of a list, or the one of an event."""

    def __init__(self, resource: ApiResource) -> None:
        self._resource = resource
        self._columns: tuple[str, ...] = ()

    def read(self, page: Manifest) -> Iterator[Entry]:
        """Yields the entries of a page of a list, or of an event's object.

        In a watch of tables, only the first event has the names of the columns. If nothing changes, that is a bookmark.
        """
        self.columns(page)
        if self._resource.kind != ROWS.kind:
            yield from (Entry.of(self._resource, each) for each in (page["items"] or () if "items" in page else (page,)))
            return
        for row in page["rows"] or ():
            cells = dict(zip(self._columns, row["cells"], strict=True))
            yield Entry.of_row(row["object"]["metadata"], {column.key: cells.get(column.title) for column in _COLUMNS})

    def columns(self, table: Manifest) -> None:
        """Stores the names of the columns, if the table has them."""
        self._columns = tuple(column["name"].upper() for column in table.get("columnDefinitions") or ()) or self._columns


def _created(meta: Mapping[str, Any]) -> str:
    return meta.get("creationTimestamp") or ""


def _seconds(*times: str) -> float:
    """Returns the first of these texts that is a time, in seconds of Unix time; 0 if none is."""
    for text in times:
        try:
            return parse_time(text).timestamp()
        except ValueError:
            continue
    return 0.0
