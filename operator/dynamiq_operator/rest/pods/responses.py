"""Responses about pods and their Events.

Events and pods contain untrusted text: it is bounded, and stays text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import Field

from dynamiq_operator.desired.base import is_ending
from dynamiq_operator.desired.pin_labels import label_of
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.causes import find_cause
from dynamiq_operator.plan.observed.pods import ObservedPod
from dynamiq_operator.rest.http.models import ResponseModel, Time

EVENTS_MOST = 20
MESSAGE_MOST = 2048
"""Letters of a message, at most."""


class PodEvent(ResponseModel):
    """An Event of Kubernetes about a pod."""

    type: Annotated[str, Field(description="Normal or Warning.")]
    reason: str
    message: str
    count: int
    last_at: Time | None

    @classmethod
    def read(cls, data: Any, **fields: Any) -> Self:
        """Returns a stored Event."""
        reason, message = ((data.get(name) or "")[:MESSAGE_MOST] for name in ("reason", "message"))
        count = data.get("count") or (data.get("series") or {}).get("count") or 1
        return cls(type=data.get("type") or "Normal", reason=reason, message=message, count=count, last_at=_last(data) or None, **fields)


class PodResponse(ResponseModel):
    """A pod of a deployment."""

    name: str
    phase: Annotated[str, Field(description="As Kubernetes has it: Pending, Running, Succeeded, Failed or Unknown.")]
    ready: bool
    restarts: Annotated[int, Field(description="How often its runtime was restarted.")]
    reason: Annotated[str | None, Field(description="Why it is not ready, as one word.")]
    message: Annotated[str | None, Field(description="Why it is not ready, as a sentence.")]
    node: str | None
    created_at: Time
    is_serving: Annotated[bool, Field(description="True: it gets calls.")]
    events: Annotated[list[PodEvent], Field(description="The last 20, newest first; none if the caller may not list Events.")]

    @classmethod
    def of(cls, raw: Manifest, selected: str, events: Iterable[Manifest]) -> PodResponse:
        """Returns a pod.

        `selected`: the pins label by which the App's Service selects, empty if it selects any pod. `events`: the pod's own.
        """
        meta, seen = raw["metadata"], ObservedPod.of(raw)
        reason, message = _why(raw, seen)
        return cls(
            name=meta["name"],
            phase=(raw.get("status") or {}).get("phase") or "Unknown",
            ready=seen.ready,
            restarts=seen.container.restarts if seen.container is not None else 0,
            reason=reason,
            message=message[:MESSAGE_MOST] if message else None,
            node=raw["spec"].get("nodeName"),
            created_at=meta["creationTimestamp"],
            is_serving=seen.ready and not seen.deleting and selected in ("", label_of(raw)),
            events=[PodEvent.read(each) for each in sorted(events, key=_last, reverse=True)[:EVENTS_MOST]],
        )


class PodLog(ResponseModel):
    """The end of a pod's log."""

    pod: str
    lines: Annotated[list[str], Field(description="Oldest first.")]
    is_cut: Annotated[bool, Field(description="True: there are older lines.")]
    previous: Annotated[bool, Field(description="Of the container before its last restart.")]
    message: Annotated[
        str | None, Field(description="Why there is no log, if the cluster reports it, such as a container that has not started.")
    ]


def _why(raw: Manifest, seen: ObservedPod) -> tuple[str | None, str | None]:
    """Returns why a pod is not Ready: as a deploy that fails for it reports it, else in the pod's own words."""
    if is_ending(raw):
        return "Terminating", None
    if seen.ready:
        return None, None
    if (cause := find_cause([seen], None)) is not None:
        return cause.reason, cause.message
    status = raw.get("status") or {}
    waiting = seen.container.waiting_reason if seen.container is not None else None
    return waiting or status.get("reason"), status.get("message")


def _last(raw: Manifest) -> str:
    """Returns when an Event last occurred, from whichever of its fields has that."""
    times = ((raw.get("series") or {}).get("lastObservedTime"), raw.get("lastTimestamp"), raw.get("eventTime"), raw.get("firstTimestamp"))
    return next((time for time in times if time), "")
