"""dynamiq_app_live_row: what each App serves, a series of value 1 for each, made of the informer cache at a scrape.

Nothing has to be kept up to date, and nothing stays of an App that is gone. A replica that follows has none: two would tell all of it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import ValidationError

from dynamiq_operator.controller.cache import AppKey, Cache
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.kube.resources import APPS, RECORDS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.record import Pinned

LABELS = ("namespace", "app", "workflow_version", "sequence", "pins")


class LiveRows(Collector):
    """The series of the Apps in `cache`, while this replica `leads`."""

    def __init__(self, cache: Cache, leads: Callable[[], bool]) -> None:
        self._cache, self._leads = cache, leads
        self._digests: dict[str, str] = {}
        """By the uid of a live row, the digest of its pins, which never change."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("dynamiq_app_live_row", "1 for the row that an App serves.", labels=LABELS)
        before, self._digests = self._digests, {}
        for app in sorted(self._cache.apps()) if self._leads() else ():
            if (values := self._values(app, before)) is not None:
                family.add_metric(values, 1)
        yield family

    def _values(self, app: AppKey, digests: dict[str, str]) -> list[str] | None:
        """The labels' values; None where the App serves nothing, or is not there."""
        raw = self._cache.get(APPS, *app)
        live = (raw.get("status") or {}).get("live") if raw is not None else None
        if not live:
            return None
        row = self._cache.get(RECORDS, app[0], live["row"])
        return [*app, live["workflowVersion"], str(live["sequence"]), self._pins(row, digests) if row is not None else ""]

    def _pins(self, row: Manifest, digests: dict[str, str]) -> str:
        """The digest of a row's pins, as its pods are given it; empty where they cannot be read."""
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
