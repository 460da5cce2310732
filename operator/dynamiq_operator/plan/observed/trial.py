"""The runs of a watched version, as observed. It decides nothing: `plan.revert` does."""

from __future__ import annotations

from dataclasses import dataclass, field

from dynamiq_operator.plan.observed.comparison import RecordedComparison
from dynamiq_operator.plan.observed.run_counts import RunCounts


@dataclass(frozen=True)
class ObservedTrial:
    """The runs of a watched version, and the recorder's comparison of them."""

    counts: RunCounts = field(default_factory=RunCounts)
    """Runs that were counted while a version is watched."""
    comparison: RecordedComparison | None = None
    """The recorder's last comparison of a row with the one before."""
    unanswered: str = ""
    """Why the recorder gave no answer, if it had to compare."""
