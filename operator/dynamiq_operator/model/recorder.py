"""Where the recorder is, and the words of its answers that a surface needs before it has one. It imports no pydantic: the plugin starts with it."""

from __future__ import annotations

from enum import StrEnum

RECORDER_AUDIENCE = "dynamiq-recorder"
"""Of the tokens by which pods send their runs: the API server takes none of them."""
RECORDER_NAMESPACE = "dynamiq-recorder"
RECORDER_SERVICE = "dynamiq-recorder"
TOKEN_HEADER = "X-Dynamiq-Token"  # noqa: S105 - a header's name
"""Carries the caller's token where `Authorization` does not arrive: the API server takes it off what it proxies to a Service."""
APP_ID_HEADER = "X-Dynamiq-App-Id"
"""Of what is relayed for an App by an account that is not its pods'."""
COUNTED = 10_000
"""A list of runs counts what its filter takes up to here."""


class RunStatus(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    """The input was wrong: the caller's doing."""
    TIMED_OUT = "timed_out"
    CUT_OFF = "cut_off"
    ABANDONED = "abandoned"
    """The caller left before the answer: nobody can say how it would have ended."""


class RunSort(StrEnum):
    """The order of a list of runs; those without a cost come last."""

    OLDEST = "started_at"
    NEWEST = "-started_at"
    QUICKEST = "duration_ms"
    SLOWEST = "-duration_ms"
    CHEAPEST = "cost_usd"
    DEAREST = "-cost_usd"


class Verdict(StrEnum):
    """What a row did to a figure, against another row."""

    REGRESSED = "regressed"
    IMPROVED = "improved"
    UNCHANGED = "unchanged"
    TOO_FEW_RUNS = "too_few_runs"
    UNKNOWN = "unknown"
    """There is nothing to compare: no earlier row, or no run of this kind (such as none with a price)."""
