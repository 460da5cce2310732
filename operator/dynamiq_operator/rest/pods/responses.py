"""Responses about pods, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import ResponseModel, Time, example


class PodEvent(ResponseModel):
    """An Event of Kubernetes about a pod."""

    type: Annotated[str, Field(description="Normal or Warning.")]
    reason: str
    message: str
    count: int
    last_at: Time | None


class Pod(ResponseModel):
    """A pod of a deployment."""

    model_config = example(
        name="support-6d5f7b9c4-x2x9q",
        phase="Pending",
        ready=False,
        restarts=0,
        reason="ImagePullBackOff",
        message="image registry.example/runtime@sha256:5d7a… cannot be pulled: not found",
        node="node-1",
        created_at="2026-11-24T22:22:46Z",
        is_serving=False,
        events=[
            {
                "type": "Warning",
                "reason": "Failed",
                "message": "Failed to pull image: not found",
                "count": 3,
                "last_at": "2026-11-24T22:23:20Z",
            }
        ],
    )

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


class PodLog(ResponseModel):
    """The end of a pod's log."""

    model_config = example(
        pod="support-6d5f7b9c4-x2x9q",
        lines=['{"level":"info","message":"serving","version":"v2"}'],
        is_cut=False,
        previous=False,
        message=None,
    )

    pod: str
    lines: Annotated[list[str], Field(description="Oldest first.")]
    is_cut: Annotated[bool, Field(description="True: there are older lines.")]
    previous: Annotated[bool, Field(description="Of the container before its last restart.")]
    message: Annotated[
        str | None, Field(description="Why there is no log, if the cluster reports it, such as a container that has not started.")
    ]
