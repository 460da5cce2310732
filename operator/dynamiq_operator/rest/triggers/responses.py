"""Responses about triggers, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from dynamiq_operator.model.triggers import Status
from dynamiq_operator.rest.http.models import Id, ResponseModel, Time, example

_TRIGGER = "a3c1f3f4-94f0-5b4e-8d49-6b7cf1f6f6b5"
CONFIG: dict[str, Any] = {"timezone": "Europe/Berlin", "schedule": "0 9 * * 1-5"}
TRANSFORMER: dict[str, Any] = {"path": None, "selector": {"question": "What is new?"}}


class TriggerConfigShape(ResponseModel):
    timezone: str
    schedule: str | None
    run_at: Time | None
    expires_at: Time | None


class TriggerInputShape(ResponseModel):
    path: str | None
    selector: dict[str, str] | None


class Trigger(ResponseModel):
    """A trigger of an App: a part of its spec."""

    model_config = example(
        id=_TRIGGER,
        app_id="005c60c5-18dd-4f38-a146-a82be134a95f",
        name="Every working day",
        provider="schedule",
        status="draft",
        config={**CONFIG, "run_at": None, "expires_at": None},
        input_transformer=TRANSFORMER,
    )

    id: Annotated[Id, Field(description="It survives a rename, and no later trigger gets it.")]
    app_id: Id
    name: str
    provider: Annotated[str, Field(json_schema_extra={"enum": ["schedule"]})]
    status: Annotated[str, Field(json_schema_extra={"enum": [each.value for each in Status]}, description="draft: it was never active.")]
    config: TriggerConfigShape
    input_transformer: TriggerInputShape | None


class TriggerEvent(ResponseModel):
    """One run of a trigger: the Job that ran it."""

    model_config = example(
        id="0e0c5e0e-6a57-4f0c-9c0a-4f8f2d0f8d0e",
        trigger_id=_TRIGGER,
        name="support-every-working-day-29735520",
        status="succeeded",
        created_at="2026-11-25T08:00:00Z",
        started_at="2026-11-25T08:00:00Z",
        ended_at="2026-11-25T08:00:03Z",
        message=None,
    )

    id: Id
    trigger_id: Id
    name: Annotated[str, Field(description="The Job's name: kubectl get job.")]
    status: Annotated[str, Field(json_schema_extra={"enum": ["running", "succeeded", "failed"]})]
    created_at: Time
    started_at: Time | None
    ended_at: Time | None
    message: Annotated[str | None, Field(description="Why it failed.")]
