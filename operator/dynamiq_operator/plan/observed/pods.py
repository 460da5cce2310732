"""The pods of an App's workload, as their statuses show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dynamiq_operator.desired.base import is_ending
from dynamiq_operator.desired.pin_labels import label_of
from dynamiq_operator.desired.pod_template import CONTAINER, journal_of, recorder_of
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import parse_time
from dynamiq_operator.plan.observed.activity import Activity

NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
"""Reasons of a container that waits because its image cannot be pulled."""


@dataclass(frozen=True)
class Container:
    """The state of the container that runs the flow, from the pod's status."""

    image: str
    ready: bool
    running: bool
    restarts: int
    waiting_reason: str | None = None
    waiting_message: str | None = None
    exit_code: int | None = None
    exit_reason: str | None = None
    exit_message: str | None = None


@dataclass(frozen=True)
class ObservedPod:
    """A pod of an App.

    - `version`: its resourceVersion.
    - `keys`: the version of the Access Keys in its annotation; empty without one.
    - `template_digest`: of its template, from its label.
    - `container`: the one that runs the flow, whatever else admission injected.
    - `scheduled_at`: when the scheduler chose its node, or found that none can take it.
    - `displaced`: why the pod ended because its node evicted, preempted or refused it. A failed container is restarted in the same pod
      instead.
    - `beside`: another container that is not ready, and why.
    - `ip`: its address; empty before it has one.
    - `pins`: its pins label; empty under strategy Rolling.
    - `standby`: True if its annotation shows that the Service left it.
    - `recorder`: the recorder that gets its runs; None if none does.
    - `journal`: the journal from which it takes background runs; None if it takes none.
    - `verification`: SHA-256 of the key with which it is verified; empty if it is not.
    """

    name: str
    uid: str
    version: str
    created: datetime
    keys: str
    template_digest: str
    deleting: bool
    ready: bool
    container: Container | None
    unschedulable: str | None
    scheduled_at: datetime | None = None
    displaced: str | None = None
    beside: str | None = None
    ip: str = ""
    pins: str = ""
    standby: bool = False
    recorder: str | None = None
    journal: str | None = None
    verification: str = ""

    @property
    def awaits_mounts(self) -> bool:
        """True if its container has not started: the kubelet may lack a mounted Secret or ConfigMap."""
        begun = self.container is not None and self.container.waiting_reason != "ContainerCreating"
        return not self.deleting and not self.ready and self.displaced is None and not begun

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> ObservedPod:
        status = raw.get("status") or {}
        conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
        scheduled = conditions.get("PodScheduled", {})
        return cls(
            name=raw["metadata"]["name"],
            uid=raw["metadata"].get("uid", ""),
            version=raw["metadata"].get("resourceVersion", ""),
            created=parse_time(raw["metadata"].get("creationTimestamp") or "1970-01-01T00:00:00Z"),
            keys=(raw["metadata"].get("annotations") or {}).get(names.KEYS_ANNOTATION, ""),
            template_digest=(raw["metadata"].get("labels") or {}).get(names.TEMPLATE_LABEL, ""),
            deleting=is_ending(raw),
            ready=conditions.get("Ready", {}).get("status") == "True",
            container=_container(raw, status),
            unschedulable=scheduled.get("message") if scheduled.get("status") == "False" else None,
            scheduled_at=parse_time(scheduled["lastTransitionTime"]) if scheduled.get("lastTransitionTime") else None,
            displaced=_displaced(status, conditions.get("DisruptionTarget", {})),
            beside=_beside(status),
            ip=status.get("podIP") or "",
            pins=label_of(raw),
            standby=(raw["metadata"].get("annotations") or {}).get(names.STANDBY_ANNOTATION) == "true",
            recorder=recorder_of(raw),
            journal=journal_of(raw),
            verification=(raw["metadata"].get("annotations") or {}).get(names.VERIFICATION_ANNOTATION, ""),
        )


@dataclass(frozen=True)
class ObservedPods:
    """The pods of one App, and their reports."""

    observed: tuple[ObservedPod, ...] = ()
    activity: Mapping[str, Activity] = field(default_factory=dict)
    """The last report of each pod, by uid. A pod without a report is unknown."""
    silent: frozenset[str] = frozenset()
    """Uids of pods that repeatedly failed to report."""
    finishing: tuple[ObservedPod, ...] = ()
    """Pods that only finish background runs of earlier versions. No caller reaches them, and none of them is in `observed`."""


def named(parts: Iterable[Mapping[str, Any]] | None, name: str) -> Mapping[str, Any] | None:
    """Returns the container, or container status, of this name: the order is not guaranteed, and admission may insert one in front."""
    return next((each for each in parts or () if each.get("name") == name), None)


def _displaced(status: Mapping[str, Any], disruption: Mapping[str, Any]) -> str | None:
    """Returns why the pod has ended, or is about to; None if it stays. Failed containers are restarted, so no pod ends by itself."""
    if disruption.get("status") == "True":
        return str(disruption.get("message") or disruption.get("reason") or "")
    if status.get("phase") not in ("Failed", "Succeeded"):
        return None
    return str(status.get("message") or status.get("reason") or "")


def _beside(status: Mapping[str, Any]) -> str | None:
    """Returns another container that keeps the pod from being ready, and why. A container that succeeded, such as an init container, is
    ignored.
    """
    for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        state = each.get("state") or {}
        terminated, waiting = state.get("terminated") or {}, state.get("waiting") or {}
        if each.get("name") == CONTAINER or each.get("ready") or (terminated and terminated.get("exitCode") == 0):
            continue
        why = waiting.get("reason") or terminated.get("reason") or "it runs and is not ready"
        if why not in _BEGINNING:
            return f"{each.get('name')}: {why}"
    return None


_BEGINNING = ("PodInitializing", "ContainerCreating")


def _container(raw: Mapping[str, Any], pod: Mapping[str, Any]) -> Container | None:
    status, spec = named(pod.get("containerStatuses"), CONTAINER), named(raw["spec"].get("containers"), CONTAINER)
    if status is None:
        return None
    state, last = status.get("state") or {}, status.get("lastState") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or last.get("terminated") or {}
    return Container(
        image=str((spec or status).get("image") or ""),
        ready=bool(status.get("ready")),
        running="running" in state,
        restarts=status.get("restartCount", 0),
        waiting_reason=waiting.get("reason"),
        waiting_message=waiting.get("message"),
        exit_code=ended.get("exitCode"),
        exit_reason=ended.get("reason"),
        exit_message=ended.get("message"),
    )
