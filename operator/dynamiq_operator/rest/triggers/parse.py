"""Parses the body of a trigger into the request of the action."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.actions.triggers import Times
from dynamiq_operator.rest.triggers.requests import TriggerConfig, TriggerInput


def times(config: TriggerConfig) -> Times:
    """Returns when the trigger runs."""
    return Times(config.timezone, config.schedule, config.run_at, config.expires_at)


def transformer(input_: TriggerInput | None) -> dict[str, Any] | None:
    """Returns the transformer that makes the input of a run; None if there is none."""
    return input_.model_dump(exclude_none=True) if input_ is not None else None
