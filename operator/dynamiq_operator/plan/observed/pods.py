"""The pods of an App's workload: what their statuses say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dynamiq_operator.desired.base import is_ending
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import parse_time


@dataclass(frozen=True)
class Container:
    """State of a pod's container, from its status."""

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
class Pod:
    """`keys`: the version of the Access Keys that its kubelet was told of, empty where it has never been told.

    `template_digest`: of the template that it was made of, as its label says.
    """

    name: str
    uid: str
    created: datetime
    keys: str
    template_digest: str
    deleting: bool
    ready: bool
    container: Container | None
    unschedulable: str | None

    @property
    def awaits_mounts(self) -> bool:
        """Whether its container has not begun: the kubelet may lack a Secret or a ConfigMap that it mounts."""
        begun = self.container is not None and self.container.waiting_reason != "ContainerCreating"
        return not self.deleting and not self.ready and not begun

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Pod:
        status = raw.get("status") or {}
        conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
        scheduled = conditions.get("PodScheduled", {})
        statuses = status.get("containerStatuses") or ()
        return cls(
            name=raw["metadata"]["name"],
            uid=raw["metadata"].get("uid", ""),
            created=parse_time(raw["metadata"].get("creationTimestamp") or "1970-01-01T00:00:00Z"),
            keys=(raw["metadata"].get("annotations") or {}).get(names.KEYS_ANNOTATION, ""),
            template_digest=(raw["metadata"].get("labels") or {}).get(names.TEMPLATE_LABEL, ""),
            deleting=is_ending(raw),
            ready=conditions.get("Ready", {}).get("status") == "True",
            container=_container(raw, statuses[0]) if statuses else None,
            unschedulable=scheduled.get("message") if scheduled.get("status") == "False" else None,
        )


def _container(raw: Mapping[str, Any], status: Mapping[str, Any]) -> Container:
    state, last = status.get("state") or {}, status.get("lastState") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or last.get("terminated") or {}
    return Container(
        image=raw["spec"]["containers"][0]["image"],
        ready=bool(status.get("ready")),
        running="running" in state,
        restarts=status.get("restartCount", 0),
        waiting_reason=waiting.get("reason"),
        waiting_message=waiting.get("message"),
        exit_code=ended.get("exitCode"),
        exit_reason=ended.get("reason"),
        exit_message=ended.get("message"),
    )
