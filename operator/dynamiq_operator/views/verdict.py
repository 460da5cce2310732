"""What verifying a history found, in words and as an exit code."""

from __future__ import annotations

from collections.abc import Iterable

from dynamiq_operator.model.chain import Verdict, verify, verify_changes
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


def settings_sentence(verdict: Verdict) -> str:
    """The verdict on the records of an App's settings in a sentence: of misfits the first."""
    if verdict.misfits:
        return f"AppChange {verdict.misfits[0].row} does not fit: {verdict.misfits[0].reason}"
    return f"{verdict.rows} record{'s of its settings fit' if verdict.rows != 1 else ' of its settings fits'}"


def check(app: str, rows: Iterable[Manifest], expected: str | None, changes: Iterable[Manifest] = ()) -> tuple[str, int]:
    """The report on the rows of an App and on the records of its settings; `expected`: a digest that one of them must have."""
    verdict = verify_changes(changes, expected=expected)
    text, code = report(app, verify(rows, expected=expected if verdict.expected_row is None else None))
    if not verdict.rows:
        return text, code
    if not verdict.misfits:
        return f"{text}\n{app}: {settings_sentence(verdict)}, from {verdict.oldest} to {verdict.newest}", code
    more = "".join(f"\n  also {misfit.row}: {misfit.reason}" for misfit in verdict.misfits[1:])
    return f"{text}\n{app}: {settings_sentence(verdict)}{more}", 1
