"""Describes the verification of a history, in words and as an exit code."""

from __future__ import annotations

from collections.abc import Iterable

from dynamiq_operator.model.chain import Verdict, verify, verify_changes
from dynamiq_operator.model.manifests import Manifest


def report(app: str, verdict: Verdict) -> tuple[str, int]:
    """Returns what to print, and the exit code: 0 if every row fits, 1 if one does not, 3 if there is no row."""
    text = f"{app}: {sentence(verdict)}"
    return _completed(text, verdict) if verdict.rows else (text, 3)


def sentence(verdict: Verdict) -> str:
    """Returns the result in a sentence. It names only the first misfit."""
    if not verdict.rows:
        return "no row was found"
    if verdict.misfits:
        return f"row {verdict.misfits[0].row} does not fit: {verdict.misfits[0].reason}"
    return f"{verdict.rows} row{'s fit' if verdict.rows != 1 else ' fits'}"


def settings_sentence(verdict: Verdict) -> str:
    """Returns the result for the records of an App's settings in a sentence. It names only the first misfit."""
    if verdict.misfits:
        return f"AppChange {verdict.misfits[0].row} does not fit: {verdict.misfits[0].reason}"
    return f"{verdict.rows} record{'s of its settings fit' if verdict.rows != 1 else ' of its settings fits'}"


def check(app: str, rows: Iterable[Manifest], expected: str | None, changes: Iterable[Manifest] = ()) -> tuple[str, int]:
    """Returns the report on an App's rows and on the records of its settings, and the exit code.

    `expected`: a digest that one of them must have.
    """
    verdict = verify_changes(changes, expected=expected)
    text, code = report(app, verify(rows, expected=expected if verdict.expected_row is None else None))
    if not verdict.rows:
        return text, code
    of_settings, wrong = _completed(f"{app}: {settings_sentence(verdict)}", verdict)
    return f"{text}\n{of_settings}", wrong or code


def _completed(text: str, verdict: Verdict) -> tuple[str, int]:
    """Returns a sentence with the other misfits, or with both ends of what fits; and 1 if there is a misfit, else 0."""
    if verdict.misfits:
        return "".join([text, *(f"\n  also {misfit.row}: {misfit.reason}" for misfit in verdict.misfits[1:])]), 1
    return f"{text}, from {verdict.oldest} to {verdict.newest}", 0
