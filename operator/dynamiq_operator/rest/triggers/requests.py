"""Requests about triggers. Times and time zones are validated later, with the App at hand."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from dynamiq_operator.actions.triggers import Times
from dynamiq_operator.rest.http.models import RequestModel
from dynamiq_operator.rest.triggers.responses import PROVIDER

RFC_3339 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
SHOWN = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
Moment = Annotated[str, Field(pattern=RFC_3339, json_schema_extra={"format": "date-time"})]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=SHOWN, description="Name for people, unique among the App's triggers.")]


def _provider(value: Any) -> Any:
    if value == "pipedream":
        raise PydanticCustomError("provider", "use the provider schedule: pipedream exists only in the product's cloud")
    if value != PROVIDER:
        raise PydanticCustomError("provider", "the provider is schedule")
    return value


Provider = Annotated[
    Any,
    PlainValidator(_provider),
    WithJsonSchema({"type": "string", "enum": [PROVIDER]}),
    Field(description="schedule. The product's other provider, pipedream, belongs to its cloud."),
]


class TriggerConfig(RequestModel):
    """When a trigger runs its App: exactly one of schedule and run_at."""

    timezone: Annotated[str | None, Field(max_length=64, description="IANA time zone of the schedule. Left out: UTC.")] = None
    schedule: Annotated[
        str | None,
        Field(max_length=128, description="Cron expression of five fields: minute, hour, day of month, month, day of week (0 to 6)."),
    ] = None
    run_at: Annotated[Moment | None, Field(description="Run once, at this time in the future.")] = None
    expires_at: Annotated[Moment | None, Field(description="No run of the schedule after this time in the future.")] = None

    def times(self) -> Times:
        """Returns the times for the action."""
        return Times(self.timezone, self.schedule, self.run_at, self.expires_at)


class TriggerInput(RequestModel):
    """The transformer that makes the input of a run, as a node's input_transformer does."""

    path: Annotated[str | None, Field(max_length=1024, description="JSONPath of the part to take.")] = None
    selector: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]] | None, Field(max_length=64, description="By field: a JSONPath, or a text.")
    ] = None


class NewTrigger(RequestModel):
    """A trigger, which is a draft until it is activated."""

    name: Name
    provider: Provider = PROVIDER
    config: TriggerConfig
    input_transformer: TriggerInput | None = None


class TriggerChange(RequestModel):
    """The fields of a trigger to change. Omitted fields stay; config is replaced as a whole."""

    name: Name | None = None
    provider: Provider = PROVIDER
    config: TriggerConfig | None = None
    input_transformer: TriggerInput | None = None
