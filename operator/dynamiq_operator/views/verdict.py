"""What verifying a history found, in words and as an exit code."""

from __future__ import annotations

from collections.abc import Iterable

from dynamiq_operator.model.chain import Verdict, verify
from dynamiq_operator.model.manifests import Manifest


def report(app: str, verdict: Verdict) -> tuple[str, int]:
    """What to print, and the exit code: 0 where every row fits, 1 where one does not, 3 where there is no row."""
    if not verdict.rows:
        return f"{app}: {sentence(verdict)}", 3
    if verdict.misfits:
        more = "".join(f"\n  also {misfit.row}: {misfit.reason}" for misfit in verdict.misfits[1:])
        return f"{app}: {sentence(verdict)}{more}", 1
    return f"{app}: {sentence(verdict)}, from {verdict.oldest} to {verdict.newest}", 0


def sentence(verdict: Verdict) -> str:
    """The verdict in a sentence: of misfits the first."""
    if not verdict.rows:
        return "no row was found"
    if verdict.misfits:
        return f"row {verdict.misfits[0].row} does not fit: {verdict.misfits[0].reason}"
    return f"{verdict.rows} row{'s fit' if verdict.rows != 1 else ' fits'}"


def check(app: str, rows: Iterable[Manifest], expected: str | None) -> tuple[str, int]:
    """The report on the rows of an App; `expected`: a digest that some row must have."""
    return report(app, verify(rows, expected=expected))
