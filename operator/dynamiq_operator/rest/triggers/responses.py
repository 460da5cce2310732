"""Responses about triggers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field

from dynamiq_operator.model import triggers
from dynamiq_operator.model.objects import Manifest, format_time
from dynamiq_operator.model.triggers import Status
from dynamiq_operator.rest.http.models import Id, ResponseModel, Time
from dynamiq_operator.rest.parts.responses import identity

PROVIDER = "schedule"


class TriggerConfigShape(ResponseModel):
    timezone: str
    schedule: str | None
    run_at: Time | None
    expires_at: Time | None

    @classmethod
    def read(cls, data: Any, **fields: Any) -> Self:
        """Returns the times of a trigger of the App's spec."""
        times = {"run_at": _time(data.get("runAt")), "expires_at": _time(data.get("expiresAt"))}
        return super().read(data, timezone=data.get("timezone") or "UTC", **times, **fields)


class TriggerInputShape(ResponseModel):
    path: str | None
    selector: dict[str, str] | None


class TriggerResponse(ResponseModel):
    """A trigger of an App: a part of its spec."""

    id: Annotated[Id, Field(description="It survives a rename, and no later trigger gets it.")]
    app_id: Id
    name: str
    provider: Annotated[str, Field(json_schema_extra={"enum": [PROVIDER]})]
    status: Annotated[str, Field(json_schema_extra={"enum": [each.value for each in Status]}, description="draft: it was never active.")]
    config: TriggerConfigShape
    input_transformer: TriggerInputShape | None

    @classmethod
    def of(cls, app_id: str, raw: Mapping[str, Any], now: datetime) -> TriggerResponse:
        """Returns a trigger of the App's spec."""
        transformer = raw.get("inputTransformer")
        return cls(
            id=triggers.id_of(app_id, raw),
            app_id=app_id,
            name=triggers.shown_name(raw),
            provider=PROVIDER,
            status=triggers.status(raw, now).value,
            config=TriggerConfigShape.read(raw),
            input_transformer=TriggerInputShape.read(transformer) if transformer is not None else None,
        )


class TriggerEvent(ResponseModel):
    """One run of a trigger: the Job that ran it."""

    id: Id
    trigger_id: Id
    name: Annotated[str, Field(description="The Job's name: kubectl get job.")]
    status: Annotated[str, Field(json_schema_extra={"enum": ["running", "succeeded", "failed"]})]
    created_at: Time
    started_at: Time | None
    ended_at: Time | None
    message: Annotated[str | None, Field(description="Why it failed.")]
    run_id: Annotated[
        Id | None,
        Field(description="The App's run; null until it answered, if the caller may not list pods, or if the pod names none."),
    ]
    received_at: Annotated[Time, Field(description="The same as created_at.")]
    payload: Annotated[dict[str, Any] | None, Field(description="Nothing: a schedule receives none.")]

    @classmethod
    def of(cls, trigger_id: str, job: Manifest, message: str | None = None, run_id: str | None = None) -> TriggerEvent:
        """Returns the run of a Job. `message`: the one about it in the App's status. `run_id`: the App's run, if known."""
        status = job.get("status") or {}
        ends = {each["type"]: each for each in status.get("conditions") or () if each.get("status") == "True"}
        failed = ends.get("Failed")
        return cls(
            **identity(job["metadata"]),
            trigger_id=trigger_id,
            status="failed" if failed else "succeeded" if "Complete" in ends else "running",
            started_at=status.get("startTime"),
            ended_at=failed.get("lastTransitionTime") if failed else status.get("completionTime"),
            message=(message or failed.get("message") or failed.get("reason")) if failed else None,
            run_id=run_id,
            received_at=job["metadata"]["creationTimestamp"],
            payload=None,
        )


def _time(text: str | None) -> str | None:
    parsed = triggers.moment(text)
    return format_time(parsed) if parsed else text
