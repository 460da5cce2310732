"""Exports dynamiq_app_live_row: a series of value 1 for the live row of each App, made from the informer cache at a scrape.

No series has to be updated, and none of a deleted App remains. A follower exports none: two replicas would report everything twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import ValidationError

from dynamiq_operator.controller.cached.cache import AppKey, Cache
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.row import Pinned

LABELS = ("namespace", "app", "workflow_version", "sequence", "pins")


class LiveRows(Collector):
    """The series of the Apps in `cache`, while this replica `leads`."""

    def __init__(self, cache: Cache, leads: Callable[[], bool]) -> None:
        self._cache, self._leads = cache, leads
        self._kept: dict[AppKey, tuple[int, list[str] | None]] = {}
        """The values of each App's labels, and the resourceVersion that they are of: a scrape reads only Apps that have changed."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("dynamiq_app_live_row", "1 for the row that an App serves.", labels=LABELS)
        before, self._kept = self._kept, {}
        for app in sorted(self._cache.apps()) if self._leads() else ():
            version, values = before.get(app, (-1, None))
            if version == -1 or version != self._cache.version(APPS, *app):
                version, values = self._read(app)
            self._kept[app] = version, values
            if values is not None:
                family.add_metric(values, 1)
        yield family

    def _read(self, app: AppKey) -> tuple[int, list[str] | None]:
        """Returns the version of an App, and its values, None if nothing is live. A version of -1: the values have to be read again."""
        raw = self._cache.get(APPS, *app)
        live = (raw.get("status") or {}).get("live") if raw is not None else None
        if not live:
            return self._cache.version(APPS, *app), None
        row = self._cache.get(ROWS, app[0], live["row"])
        values = [*app, live["workflowVersion"], str(live["sequence"]), _digest(row) if row is not None else ""]
        return self._cache.version(APPS, *app) if row is not None else -1, values


def _digest(row: Manifest) -> str:
    """Returns the digest of a row's pins, which never change, as its pods have it; empty if the pins are unreadable."""
    try:
        return Pins.of(Pinned.model_validate(row["spec"]["pinned"])).digest
    except (KeyError, ValidationError):
        return ""
