"""Parses the body of a trigger into the request of the action."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.actions.triggers import Times
from dynamiq_operator.rest.triggers.requests import TriggerConfig, TriggerInput


def times(config: TriggerConfig) -> Times:
    """When it runs."""
    return Times(config.timezone, config.schedule, config.run_at, config.expires_at)


def transformer(given: TriggerInput | None) -> dict[str, Any] | None:
    """What makes the input of a run."""
    return given.model_dump(exclude_none=True) if given is not None else None
