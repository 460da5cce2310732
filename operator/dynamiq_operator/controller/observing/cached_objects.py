"""Groups an App's objects in the informer cache by kind. It reads nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dynamiq_operator.controller.cached.slim import CONTENT_HASH
from dynamiq_operator.desired.base import CONFIG_MAP, WORKLOAD, ChildKey
from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, Row, Unreadable
from dynamiq_operator.plan.observed.endpoints import Slice
from dynamiq_operator.plan.observed.jobs import TriggerJob
from dynamiq_operator.plan.observed.pods import ObservedPod
from dynamiq_operator.plan.observed.rows import OrphanedRow
from dynamiq_operator.plan.observed.verification import EvaluationJob


@dataclass
class CachedObjects:
    """The cached objects of one App. `orphaned`: rows of an App of the same name that was deleted."""

    records: dict[str, Row] = field(default_factory=dict)
    children: dict[ChildKey, Manifest] = field(default_factory=dict)
    pods: list[ObservedPod] = field(default_factory=list)
    finishing: list[ObservedPod] = field(default_factory=list)
    runs: list[TriggerJob] = field(default_factory=list)
    evaluations: list[EvaluationJob] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    more_rows: bool = False
    orphaned: list[OrphanedRow] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)

    @property
    def workloads(self) -> tuple[Manifest, ...]:
        return tuple(raw for (kind, _), raw in self.children.items() if kind == WORKLOAD.kind)

    def flows(self, app: App) -> frozenset[str]:
        """Returns the hashes of the flows that its ConfigMaps have."""
        config_maps = [
            (name, raw) for (kind, name), raw in self.children.items() if kind == CONFIG_MAP.kind and raw.get("immutable") is True
        ]
        return frozenset(raw[CONTENT_HASH] for name, raw in config_maps if names.flow(app.meta.name, raw[CONTENT_HASH]) == name)

    def add_closed(self, closed: Mapping[str, Row | Unreadable], app: App) -> dict[ChildKey, str]:
        """Adds closed rows that were read. Returns why rows wait: each of them restores an unreadable row.

        No row waits for any other unreadable row.
        """
        served = app.status.live.row if app.status.live is not None else None
        watched, waits = tuple(self.records.values()), dict[ChildKey, str]()
        for name, row in closed.items():
            if not isinstance(row, Unreadable):
                self.records[name] = row
            elif name == served:
                self.unreadable.append(row)
            else:
                why = f"the row that it restores cannot be read: {row.message}"
                waits |= {(ROWS.kind, each.name): why for each in watched if each.spec.restores == name}
        return waits

    def add(self, row: Row | Unreadable) -> None:
        """Adds a row, or notes that it is unreadable."""
        if isinstance(row, Unreadable):
            self.unreadable.append(row)
        else:
            self.records[row.name] = row
