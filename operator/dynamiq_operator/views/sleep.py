"""Reads if an App is asleep, from its status as the API server sends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ASLEEP = "Asleep"
"""Reason of the condition Ready of a serverless App that has no pod until somebody calls it."""


def is_asleep(status: Mapping[str, Any]) -> bool:
    conditions = (each for each in status.get("conditions") or () if each.get("type") == "Ready")
    return any(each.get("status") == "True" and each.get("reason") == ASLEEP for each in conditions)
