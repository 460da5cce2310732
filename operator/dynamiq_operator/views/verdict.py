"""What verifying a history found, in words and as an exit code."""

from __future__ import annotations

from collections.abc import Iterable

from dynamiq_operator.model.chain import Verdict, verify
from dynamiq_operator.model.manifests import Manifest


def report(app: str, verdict: Verdict) -> tuple[str, int]:
    """What to print, and the exit code: 0 where every row fits, 1 where one does not, 3 where there is no row."""
    if not verdict.rows:
        return f"{app}: no row was found", 3
    if verdict.misfits:
        first, *others = verdict.misfits
        more = "".join(f"\n  also {misfit.row}: {misfit.reason}" for misfit in others)
        return f"{app}: row {first.row} does not fit: {first.reason}{more}", 1
    return f"{app}: {verdict.rows} row{'s fit' if verdict.rows != 1 else ' fits'}, from {verdict.oldest} to {verdict.newest}", 0


def check(app: str, rows: Iterable[Manifest], expected: str | None) -> tuple[str, int]:
    """The report on the rows of an App; `expected`: a digest that some row must have."""
    return report(app, verify(rows, expected=expected))
