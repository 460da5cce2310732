"""Defines the address of the recorder, and those words of its answers that surfaces need before they have one.

It imports no pydantic: the plugin loads it at start.
"""

from __future__ import annotations

from enum import StrEnum

RECORDER_AUDIENCE = "dynamiq-recorder"
"""Audience of the tokens with which pods send their runs. The API server does not accept it."""
RECORDER_NAMESPACE = "dynamiq-recorder"
RECORDER_SERVICE = "dynamiq-recorder"
TOKEN_HEADER = "X-Dynamiq-Token"  # noqa: S105 - a header's name
"""Carries the caller's token where `Authorization` is dropped: the API server removes it when it proxies to a Service."""
APP_ID_HEADER = "X-Dynamiq-App-Id"
"""Names the App on requests that an account other than its pods' relays."""
COUNTED = 10_000
"""The limit up to which a list of runs counts its matches."""


class RunStatus(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    """The input was wrong: the caller's error."""
    TIMED_OUT = "timed_out"
    CUT_OFF = "cut_off"
    ABANDONED = "abandoned"
    """The caller left before the answer: the outcome is unknown."""


class RunSort(StrEnum):
    """The order of a list of runs; those without a cost come last."""

    OLDEST = "started_at"
    NEWEST = "-started_at"
    QUICKEST = "duration_ms"
    SLOWEST = "-duration_ms"
    CHEAPEST = "cost_usd"
    DEAREST = "-cost_usd"


class Verdict(StrEnum):
    """The change of a figure between two rows."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    UNCHANGED = "unchanged"
    TOO_FEW_RUNS = "too_few_runs"
    UNKNOWN = "unknown"
    """There is nothing to compare: no earlier row, or no run of this kind (such as none with a price)."""
