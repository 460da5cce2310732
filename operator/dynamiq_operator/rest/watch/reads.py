"""Reads objects for a stream, with the caller's token.

It skips what the caller may not read, and leaves what cannot be read now for later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dynamiq_operator.kube import api as kube_api
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, ApiResource
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.http.streams import EntryChange, event
from dynamiq_operator.rest.kube.client import begin_deadline
from dynamiq_operator.rest.kube.entries import Entry

LOG = logging.getLogger(__name__)
EXPIRED, DELETED = event("expired", {}), event("deleted", {})
NOT_THEIRS = frozenset({403, 404})


@dataclass(frozen=True)
class Round:
    """The result of a round of reads. `left`: changes that cannot be read now; `is_last`: the stream ends after these events."""

    events: Sequence[bytes] = ()
    left: Sequence[EntryChange] = ()
    is_last: bool = False


class Over(Exception):  # noqa: N818 - it is no error that what a stream is about was deleted
    """The stream has nothing more to report."""


def read_each(changes: Sequence[EntryChange], read: Callable[[EntryChange], Iterable[bytes]]) -> Round:
    """Returns the events of all changes. An object that fails is logged, and the stream continues without it."""
    begin_deadline()
    events: list[bytes] = []
    for at, change in enumerate(changes):
        try:
            events += read(change)
        except Over:
            return Round([*events, DELETED], is_last=True)
        except (HttpProblem, errors.ApiError) as error:
            if error.status == 401:
                return Round([*events, EXPIRED], is_last=True)
            if error.status not in NOT_THEIRS:
                return Round(events, changes[at:])
        except Exception:
            LOG.exception("%s %s of %s is not told to a stream", change.kind, change.entry.name, change.entry.namespace)
    return Round(events)


def read_object(session: CallerSession, resource: ApiResource, entry: Entry) -> Manifest | None:
    """Returns the object of an entry; None if it is deleted, or another has its name. Raises errors.ApiError."""
    try:
        manifest = session.api.request("GET", resource.path(entry.namespace, entry.name))
    except errors.NotFound:
        return None
    return manifest if manifest["metadata"]["uid"] == entry.uid else None


def require_list(session: CallerSession, namespace: str) -> None:
    """Raises errors.ApiError if the caller may not list the Apps of a namespace."""
    session.api.request("GET", APPS.path(namespace), query={"limit": 1}, accept=kube_api.METADATA)


def removed(entry: Entry) -> bytes:
    return event("removed", {"id": entry.uid})
