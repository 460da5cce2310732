"""Reads for a stream, with the caller's token: what is not theirs to read is not told, and what cannot be read now is left for later."""

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
from dynamiq_operator.rest.http.streams import Change, event
from dynamiq_operator.rest.kube.client import begin_deadline
from dynamiq_operator.rest.kube.entries import Entry

LOG = logging.getLogger(__name__)
EXPIRED, DELETED = event("expired", {}), event("deleted", {})
NOT_THEIRS = frozenset({403, 404})


@dataclass(frozen=True)
class Round:
    """What a round of reads found. `left`: what could not be read now; `is_last`: the stream ends after these events."""

    events: Sequence[bytes] = ()
    left: Sequence[Change] = ()
    is_last: bool = False


class Over(Exception):  # noqa: N818 - it is no error that what a stream is about was deleted
    """There is nothing more to tell."""


def read_each(changes: Sequence[Change], read: Callable[[Change], Iterable[bytes]]) -> Round:
    """The events of each change. An object that cannot be told is logged: the stream goes on without it."""
    begin_deadline()
    told: list[bytes] = []
    for at, change in enumerate(changes):
        try:
            told += read(change)
        except Over:
            return Round([*told, DELETED], is_last=True)
        except (HttpProblem, errors.ApiError) as error:
            if error.status == 401:
                return Round([*told, EXPIRED], is_last=True)
            if error.status not in NOT_THEIRS:
                return Round(told, changes[at:])
        except Exception:
            LOG.exception("%s %s of %s is not told to a stream", change.kind, change.entry.name, change.entry.namespace)
    return Round(told)


def read_object(session: CallerSession, resource: ApiResource, entry: Entry) -> Manifest | None:
    """The object of an entry; None where it is gone, or another has its name. Raises errors.ApiError."""
    try:
        found = session.api.request("GET", resource.path(entry.namespace, entry.name))
    except errors.NotFound:
        return None
    return found if found["metadata"]["uid"] == entry.uid else None


def require_list(session: CallerSession, namespace: str) -> None:
    """Raises errors.ApiError where the caller may not list the Apps of a namespace."""
    session.api.request("GET", APPS.path(namespace), query={"limit": 1}, accept=kube_api.METADATA)


def removed(entry: Entry) -> bytes:
    return event("removed", {"id": entry.uid})
