"""The Jobs of an App's triggers, and their pods, as observed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dynamiq_operator.desired.job import CONTAINER
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest, parse_time
from dynamiq_operator.plan.observed.pods import named

JOB_NAME_LABEL = "batch.kubernetes.io/job-name"


@dataclass(frozen=True)
class CallerPod:
    """The pod of a run. `message`: its termination message. `why` it ended, and what it `waits` for, are in Kubernetes' words."""

    job: str
    ended: bool
    message: str = ""
    why: str = ""
    waits: str = ""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> CallerPod:
        status = raw.get("status") or {}
        state = (named(status.get("containerStatuses"), CONTAINER) or {}).get("state") or {}
        terminated = state.get("terminated") or {}
        why = status.get("reason") or (f"exit code {terminated['exitCode']}, {terminated.get('reason')}" if terminated else "")
        return cls(
            job=(raw["metadata"].get("labels") or {}).get(JOB_NAME_LABEL, ""),
            ended=status.get("phase") in ("Succeeded", "Failed"),
            message=terminated.get("message") or "",
            why=why,
            waits=(state.get("waiting") or {}).get("reason") or "",
        )


@dataclass(frozen=True)
class TriggerJob:
    """The Job of a trigger's run. `failed`: why it failed, in Kubernetes' words; empty if it did not."""

    job: str
    uid: str
    trigger: str
    made_at: datetime
    ended_at: datetime | None
    failed: str
    raw: Manifest
    pod: CallerPod | None = None

    @classmethod
    def of(cls, raw: Manifest, pod: CallerPod | None = None) -> TriggerJob:
        meta, (ended_at, failed) = raw["metadata"], end_of_job(raw.get("status") or {})
        return cls(
            job=meta["name"],
            uid=meta.get("uid", ""),
            trigger=meta["labels"][names.TRIGGER_LABEL],
            made_at=parse_time(meta["creationTimestamp"]),
            ended_at=ended_at,
            failed=failed,
            raw=raw,
            pod=pod,
        )


def end_of_job(status: Mapping[str, Any]) -> tuple[datetime | None, str]:
    """Returns when a Job ended, None if it has not, and why it failed, in Kubernetes' words; empty if it did not."""
    ends = {each["type"]: each for each in status.get("conditions") or () if each.get("status") == "True"}
    end = ends.get("Failed") or ends.get("Complete")
    ended_at = parse_time(status.get("completionTime") or end["lastTransitionTime"]) if end else None
    return ended_at, ends["Failed"].get("reason") or "Failed" if "Failed" in ends else ""
