"""What a workload's status says of its rollout: how its readiness is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dynamiq_operator.model.objects import parse_time


@dataclass(frozen=True)
class WorkloadState:
    """What the workload's status says of its rollout. Counts are of pods; `failure` is why pods cannot be created.

    `progressed_at`: when its controller saw progress last, by that controller's own clock, which begins when it first comes to the
    workload; None where it has not. It is a bound from above once the controller says that the deadline has passed: it then notes
    when it said so, and not since when.
    """

    replicas: int
    updated: int
    available: int
    total: int
    observed: bool
    progressed_at: datetime | None
    failure: str | None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> WorkloadState:
        status = raw.get("status") or {}
        conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
        progressing = conditions.get("Progressing", {})
        failing = conditions.get("ReplicaFailure", {})
        observed = status.get("observedGeneration", 0) >= raw["metadata"].get("generation", 0)
        return cls(
            replicas=raw["spec"].get("replicas", 1),
            updated=status.get("updatedReplicas", 0),
            available=status.get("availableReplicas", 0),
            total=status.get("replicas", 0),
            observed=observed,
            progressed_at=_progressed_at(progressing, raw["spec"]) if observed else None,
            failure=failing.get("message") if failing.get("status") == "True" else None,
        )

    @property
    def complete(self) -> bool:
        """Every pod is of the newest template, as many as wanted, all available, and at least one."""
        return self.observed and 0 < self.replicas == self.updated == self.total == self.available


def _progressed_at(progressing: Mapping[str, Any], spec: Mapping[str, Any]) -> datetime | None:
    """Progress is what sets `lastUpdateTime`, and so is, at its end, the deadline that passed without any."""
    if not progressing.get("lastUpdateTime"):
        return None
    passed = spec.get("progressDeadlineSeconds", 0) if progressing.get("reason") == "ProgressDeadlineExceeded" else 0
    return parse_time(progressing["lastUpdateTime"]) - timedelta(seconds=passed)
