"""The result of verifying a history, as text and exit code."""

from __future__ import annotations

from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.views.verdict import check
from tests.support import factories as given


def chain(*names: str) -> list[Manifest]:
    rows = given.a_history(*(given.row_manifest(name, given.superseded(at, f"v{at}")) for at, name in enumerate(names, 1)))
    return [{"metadata": {"name": row.name}, "spec": dict(row.raw_spec)} for row in rows]


def test_rows_that_fit_are_counted_with_both_ends_of_their_chain() -> None:
    rows = chain("a", "b", "c")
    oldest, _, newest = (row["spec"]["pinned"]["digest"] for row in rows)
    assert check("chat", rows, None) == (f"chat: 3 rows fit, from {oldest} to {newest}", 0)
    assert check("chat", rows[:1], oldest) == (f"chat: 1 row fits, from {oldest} to {oldest}", 0)


def test_the_first_row_that_does_not_fit_is_named_and_others_below_it() -> None:
    rows = chain("a", "b", "c")
    rows[0]["spec"]["message"] = rows[2]["spec"]["message"] = "changed"
    text, code = check("chat", rows, None)
    wrong = "its content does not have its digest: it was changed"
    assert (text.splitlines(), code) == ([f"chat: row a does not fit: {wrong}", f"  also c: {wrong}"], 1)


def test_no_row_is_neither() -> None:
    assert check("chat", [], None) == ("chat: no row was found", 3)
