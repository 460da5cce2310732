"""Runs the recorder's background work: checks the store's disk, deletes old data, and counts missing runs. It serves no request."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping

from dynamiq_recorder.http.context import Context
from dynamiq_recorder.store.results import Retention, Unavailable

LOOKS_EVERY, LOOKS_AGAIN = 5.0, 1.0
"""Seconds between two checks of the store; the shorter while it cannot be written or its disk is nearly full."""
CLOSE = 0.05
"""The part of a disk below `no_spans_at` in which it is checked each second. One App can fill that much within seconds."""
COUNTS_EVERY = 30.0
RETAINS_FIRST, RETAINS_EVERY = 60.0, 600.0
KEEP_ARCHIVE = 400 * 86400
RETAINS_AGAIN = 60.0
"""Seconds until the next attempt after a failed one."""

log = logging.getLogger(__name__)


class Upkeep:
    """Two background threads. One checks the store, and never waits for the other, which deletes."""

    def __init__(self, context: Context, keep: Retention, retains_every: float = RETAINS_EVERY, keep_archive: int = KEEP_ARCHIVE) -> None:
        self._context, self._keep, self._retains_every, self._keep_archive = context, keep, retains_every, keep_archive
        self._stopping = threading.Event()
        self._counted: set[tuple[str, str]] = set()
        """Apps, by namespace and name, whose missing runs the metrics show."""
        self._threads = [threading.Thread(target=each, name=each.__name__, daemon=True) for each in (self._look_on, self._retain_on)]

    def start(self) -> None:
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        self._stopping.set()
        for each in self._threads:
            each.join(30)

    def look(self) -> None:
        """Checks the disk and the store, and updates health and metrics."""
        context, health, metrics = self._context, self._context.health, self._context.metrics
        try:
            self._check_disk()
            context.store.check()
            context.queue.is_written()
            metrics.store_bytes.set(context.store.bytes())
            wrong = ""
        except Unavailable as error:
            wrong = str(error) or "it is not available"
        except Exception as error:
            log.exception("the store cannot be checked")
            wrong = type(error).__name__
        if bool(wrong) != bool(health.wrong):
            log.warning("the store cannot be written: %s", wrong) if wrong else log.info("the store can be written")
        health.wrong = wrong
        metrics.filled(health.fullness)
        metrics.store_is_ready.set(0 if wrong else 1)
        metrics.rows_are_known.set(1 if context.attribution.is_listed else 0)

    def _check_disk(self) -> None:
        context, health = self._context, self._context.health
        fullness = context.store.fullness()
        health.over = self._over() if fullness is not None and fullness >= context.no_spans_at else {}
        health.fullness = fullness

    def _over(self) -> Mapping[str, int]:
        """Returns the bytes of Apps over their share, by uid.

        These are Apps of namespaces that exceed the share, which themselves exceed an equal part of it.
        """
        context, taken = self._context, self._context.store.taken()
        most = context.app_share * max(context.store.bytes(), sum(taken.values()))
        of_namespaces: dict[str, dict[str, int]] = {}
        for (namespace, uid), size in taken.items():
            app = context.apps.get(uid)  # a store without runs of the App may have its uid alone
            of_namespaces.setdefault(app.namespace if app is not None else namespace, {})[uid] = size
        large = [apps for apps in of_namespaces.values() if sum(apps.values()) > most]
        return {uid: size for apps in large for uid, size in apps.items() if size * len(apps) > most}

    def trim(self) -> None:
        """Deletes the oldest data of the largest App over its share, until no App is over it or the disk has room."""
        context = self._context
        try:
            self._check_disk()
            while (over := context.health.over) and not self._stopping.is_set():
                uid = max(over, key=lambda each: over[each])
                if not (runs := context.store.trim(uid)):
                    break
                app = context.apps.get(uid)
                name = f"{app.namespace}/{app.name}" if app is not None else uid
                log.warning(
                    "the disk is nearly full, and App %s takes most of its namespace's share: its oldest data is deleted, of %d runs",
                    name,
                    runs,
                )
                context.metrics.trimmed.inc(runs)
                self._check_disk()
        except Unavailable as error:
            log.warning("the disk is nearly full, and nothing can be deleted: %s", error)
        except Exception:
            log.exception("the disk is nearly full, and nothing can be deleted")

    def retain(self) -> bool:
        """Deletes data past its retention. Returns True on success."""
        metrics = self._context.metrics
        try:
            now = time.time_ns() // 1000
            deleted = self._context.store.retain(now, self._keep)
            if self._context.apps.is_listed:  # before that, the existing Apps are unknown
                deleted += self._context.store.forget_archives(self._app_exists, now, self._keep_archive)
        except Unavailable as error:
            log.warning("what is too old cannot be deleted: %s", error)
            return False
        except Exception:
            log.exception("what is too old cannot be deleted")
            return False
        metrics.retained.inc(deleted)
        metrics.retained_at.set(time.time())
        if deleted:
            log.info("retention: %d rows of tables are deleted", deleted)
        return True

    def _app_exists(self, app_uid: str) -> bool:
        return self._context.apps.get(app_uid) is not None

    def count(self) -> None:
        """Updates the metrics of missing runs for each App that sent runs to this recorder; removes those of deleted Apps.

        The counts include runs that other recorders stored.
        """
        context = self._context
        for uid in list(context.active):
            context.active.pop(uid, None)
            if (app := context.apps.get(uid)) is not None:
                self._counted.add((app.namespace, app.name))
        for namespace, name in list(self._counted):
            app = context.apps.named(namespace, name)
            if app is None:
                self._counted.discard((namespace, name))
                context.metrics.lost.remove(namespace, name)
                context.metrics.unattributed.remove(namespace, name)
                continue
            wholeness = context.store.wholeness(app.uid)
            context.metrics.lost.labels(namespace, name).set(wholeness.missing)
            context.metrics.unattributed.labels(namespace, name).set(wholeness.unattributed)

    def _look_on(self) -> None:
        counted_at = time.monotonic()
        while True:
            self.look()
            if time.monotonic() - counted_at >= COUNTS_EVERY:
                counted_at = time.monotonic()
                try:
                    self.count()
                except Exception as error:  # all are counted again in the next round
                    log.warning("what is missing cannot be counted: %s", error)
            health = self._context.health
            is_close = health.fullness is not None and health.fullness >= self._context.no_spans_at - CLOSE
            if self._stopping.wait(LOOKS_AGAIN if health.wrong or is_close else LOOKS_EVERY):
                return

    def _retain_on(self) -> None:
        wait = min(RETAINS_FIRST, self._retains_every)
        due = time.monotonic() + wait
        while not self._stopping.wait(min(LOOKS_EVERY, wait)):
            if self._context.health.over:
                self.trim()
            if time.monotonic() >= due:
                wait = self._retains_every if self.retain() else RETAINS_AGAIN
                due = time.monotonic() + wait
