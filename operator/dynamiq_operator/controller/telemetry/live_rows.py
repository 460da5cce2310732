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
        self._digests: dict[str, str] = {}
        """Digests of the pins of live rows, by row uid. They never change."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("dynamiq_app_live_row", "1 for the row that an App serves.", labels=LABELS)
        before, self._digests = self._digests, {}
        for app in sorted(self._cache.apps()) if self._leads() else ():
            if (values := self._values(app, before)) is not None:
                family.add_metric(values, 1)
        yield family

    def _values(self, app: AppKey, digests: dict[str, str]) -> list[str] | None:
        raw = self._cache.get(APPS, *app)
        live = (raw.get("status") or {}).get("live") if raw is not None else None
        if not live:
            return None
        row = self._cache.get(ROWS, app[0], live["row"])
        return [*app, live["workflowVersion"], str(live["sequence"]), self._pins(row, digests) if row is not None else ""]

    def _pins(self, row: Manifest, digests: dict[str, str]) -> str:
        """Returns the digest of a row's pins, as its pods have it; empty if the pins are unreadable."""
        uid = row["metadata"]["uid"]
        digest = digests.get(uid) or _digest(row)
        if digest:
            self._digests[uid] = digest
        return digest


def _digest(row: Manifest) -> str:
    try:
        return Pins.of(Pinned.model_validate(row["spec"]["pinned"])).digest
    except (KeyError, ValidationError):
        return ""
