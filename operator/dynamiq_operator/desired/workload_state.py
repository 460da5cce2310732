"""Reads the rollout of a workload from its status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dynamiq_operator.model.objects import parse_time


@dataclass(frozen=True)
class WorkloadState:
    """The rollout of a workload, as its status has it. Counts are of pods. `failure`: why pods cannot be created. `failing_since`: since when.

    `progressed_at`: the time of the last progress, by the clock of the workload's controller; None if that has not seen the workload yet.
    After `ProgressDeadlineExceeded` it is an upper bound: the controller then notes the time of that report.
    """

    replicas: int
    updated: int
    available: int
    total: int
    observed: bool
    progressed_at: datetime | None
    failure: str | None
    failing_since: datetime | None = None

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
            failing_since=parse_time(failing["lastTransitionTime"]) if failing.get("lastTransitionTime") else None,
        )

    @property
    def complete(self) -> bool:
        """True if all pods have the newest template, are available, and are as many as desired, at least one."""
        return self.observed and 0 < self.replicas == self.updated == self.total == self.available


def _progressed_at(progressing: Mapping[str, Any], spec: Mapping[str, Any]) -> datetime | None:
    """Returns the time of the last progress: `lastUpdateTime`, minus the deadline if the deadline has passed."""
    if not progressing.get("lastUpdateTime"):
        return None
    passed = spec.get("progressDeadlineSeconds", 0) if progressing.get("reason") == "ProgressDeadlineExceeded" else 0
    return parse_time(progressing["lastUpdateTime"]) - timedelta(seconds=passed)
