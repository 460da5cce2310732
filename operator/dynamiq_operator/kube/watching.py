"""Decides how a resource is followed: which request is next, what it has brought, and how long to wait. It has no clock, and does no I/O.

A list is followed by watches, each from where the last one ended. After an error the next attempt resumes there; if that is impossible, it
lists again. The loops that do the requests are `informer` for asyncio, and `rest.kube.id_index` for threads.
"""

from __future__ import annotations

import logging
from typing import Any

import orjson

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import selectors
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.objects import Manifest

WATCH_FOR = 6
"""Seconds after which the API server ends a watch. A silent watch never recovers, and looks like one without events: it must end soon."""
GRACE = 1.0
"""Seconds after that in which the API server has to end the watch, or it is ended here."""
BRIEF = 1.0
"""Seconds: a watch that ended sooner, without an event, has failed."""
EXPIRED = 410
TYPES = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})
PAUSE_MAX = 2.0
"""Seconds between two attempts, at most. Objects are stale for that long after an API server is back."""
SHARES = (0.7, 1.0)
"""Shares of a pause, of which a loop takes a random one: replicas and resources do not all try at the same moment."""

log = logging.getLogger(__name__)


class WatchState:
    """The state of the list and the watches of one resource. Times are monotonic seconds.

    `lasts`: seconds after which the API server ends a watch. `is_costly`: True if a list takes so long that a watch resumes after each error
    but an expired version.
    """

    def __init__(self, resource: ApiResource, namespace: str = "", *, lasts: int = WATCH_FOR, is_costly: bool = False) -> None:
        self.path, self.lasts = resource.path(namespace), lasts
        self._selectors = selectors(resource.label_selector, resource.field_selector)
        self._is_costly = is_costly
        self.version = ""
        """The resourceVersion up to which changes are known; empty if the resource has to be listed."""
        self.answers = 0
        """Grows with each answer of the API server, errors included. It does not grow while nothing is requested."""
        self._failures = 0
        """Consecutive failures. A list does not end the series, since each watch after a list may fail."""
        self._began, self._pause, self._has_event = 0.0, 0.0, False

    def wait(self, now: float, share: float) -> float:
        """Returns the seconds until the next attempt. The pause begins with the last attempt, which may have waited for an answer."""
        return max(self._began + self._pause * share - now, 0.0)

    def begin(self, now: float) -> None:
        """Begins an attempt: a list if `version` is empty, else a watch."""
        self._began, self._pause, self._has_event = now, 0.0, False

    def query(self) -> dict[str, str | int]:
        """Returns the query of a watch from `version` on. Without a version it begins with the present objects."""
        resumes = {"allowWatchBookmarks": "true", "resourceVersion": self.version} if self.version else {}
        return {"watch": "true", **resumes, "timeoutSeconds": self.lasts, **self._selectors}

    def parse(self, line: bytes) -> Manifest:
        """Parses the event of a line, as `check` does.

        Raises errors.ApiError.
        """
        try:
            event = orjson.loads(line)
        except ValueError as error:
            raise errors.Unavailable(f"watch {self.path}: a line is not JSON", EXPIRED) from error
        return self.check(event)

    def check(self, event: Any) -> Manifest:
        """Returns an event of an object, or of a table with a row.

        Raises errors.ApiError for an error of the API server, and for what is no event.
        """
        changed = event.get("object") if isinstance(event, dict) else None
        if isinstance(changed, dict) and event.get("type") == "ERROR":
            status = changed["code"] if self._is_costly and isinstance(changed.get("code"), int) else EXPIRED
            raise errors.from_status(status, str(changed.get("reason")), f"watch {self.path}: {changed.get('message') or changed}")
        meta = changed.get("metadata") if isinstance(changed, dict) else None
        if not isinstance(meta, dict) or event.get("type") not in TYPES or not str(meta.get("resourceVersion", "")).isdecimal():
            raise errors.Unavailable(f"watch {self.path}: a line is not an event", EXPIRED)
        if event["type"] != "BOOKMARK" and not isinstance(meta.get("name"), str) and "rows" not in event["object"]:
            raise errors.Unavailable(f"watch {self.path}: an event has no object", EXPIRED)
        parsed: Manifest = event
        return parsed

    def delivered(self, event: Manifest) -> None:
        """Notes that an event was taken: the next watch begins after it."""
        self.version, self._has_event = str(event["object"]["metadata"]["resourceVersion"]), True
        self.progressed()

    def ended(self, now: float) -> None:
        """Notes that the API server ended a watch.

        Raises errors.Unavailable if that was at once.
        """
        if not self._has_event and now - self._began < BRIEF:
            raise errors.Unavailable(f"watch {self.path}: it ended at once")
        self.progressed()

    def progressed(self) -> None:
        """Counts an answer, and ends a series of failures."""
        if self._failures > 1:
            log.warning("%s is read again, after %d failures", self.path, self._failures)
        self._failures = 0
        self.answers += 1

    def failed(self, error: Exception, now: float) -> None:
        """Notes the error of an attempt. The first one after a success is followed by another attempt at once, later ones by a pause."""
        status = error.status if isinstance(error, errors.ApiError) else EXPIRED
        is_unavailable = isinstance(error, errors.Unavailable) and status != EXPIRED
        if self.version and is_unavailable and now - self._began >= self.lasts:
            log.warning("%s: the API server did not end its watch, which may be stuck: watching again", self.path)
            return
        self._failures += 1
        self.answers += status not in (0, EXPIRED)  # of an expired version, the list after it counts
        if not is_unavailable and not (self._is_costly and status not in (400, EXPIRED)):
            self.version = ""
        if self._failures > 1:
            self._pause = min(errors.backoff(self._failures - 1), PAUSE_MAX)
        # A watch that broke once and resumes is no news, nor is an expired version where a list costs little.
        if self._failures > 1 or (not self.version and (status != EXPIRED or self._is_costly)):
            exc_info = error if not isinstance(error, errors.ApiError) else None
            log.warning("%s cannot be read, trying again: %s", self.path, error, exc_info=exc_info)
