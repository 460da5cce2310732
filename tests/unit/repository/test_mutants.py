"""Mutants are chosen by seed alone, and the next run continues from their table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants import table
from tests.mutants.picking import Place, hunk, lines_of_functions, pick
from tests.mutants.reach import function_of
from tests.mutants.table import OLD, Row

PLACES = [("a.py", line) for line in range(1, 40)]


def candidates(place: Place) -> list[str]:
    """Returns three candidates for every second line."""
    return [f"{place[1]}{name}" for name in "xyz"] if place[1] % 2 else []


def a_row(number: int = 1, **more: object) -> Row:
    known = {"seed": 1, "number": number, "file": "operator/a.py", "line": 2, "operator": "swap", "old": "b\n  c", "new": "d"}
    return Row(**(known | more))  # type: ignore[arg-type]


def test_a_seed_picks_the_same_mutants_and_a_larger_count_begins_with_those_of_a_smaller_one() -> None:
    few, many = pick(PLACES, 7, 5, candidates), pick(list(reversed(PLACES)), 7, 15, candidates)
    assert many[:5] == few
    assert len({place for place, _ in many}) == 15, "a line has one mutant"
    assert all(line % 2 for (_, line), _ in many), "the others have none"
    assert [place for place, _ in pick(PLACES, 8, 5, candidates)] != [place for place, _ in few]


def test_lines_are_those_of_what_functions_do() -> None:
    source = "A = 1\n\n\ndef f(b=2):\n    'c'\n    if b:\n        return g(\n            b\n        )\n"
    assert lines_of_functions(source) == {5, 6, 7, 8}


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ("a\nx\nc\n", (2, "b", "x")),
        ("a\nc\n", (2, "b", "")),
        ("a\nb\nb\nc\n", (3, "", "b")),
        ("x\nb\nc\n", (1, "a", "x")),
        ("a\nb\nx\ny\n", (3, "c", "x\ny")),
    ],
)
def test_a_change_is_known_by_the_lines_that_differ(after: str, found: tuple[int, str, str]) -> None:
    before = "a\nb\nc\n"
    assert hunk(before, after) == found
    line, old, new = found
    assert a_row(line=line, old=old, new=new).mutated(before) == after


def test_a_mutant_of_lines_that_are_others_by_now_is_refused() -> None:
    assert a_row().mutated("a\nb\n  c\n") == "a\nd\n"
    with pytest.raises(ValueError, match=r"operator/a\.py:2 is not what mutant 1/1 changes"):
        a_row().mutated("a\nb\nc\n")


def test_the_table_is_read_as_it_was_written_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    rows = [
        a_row(2, old="", new="x\n\n  y"),
        a_row(1).ran("unit", "abc", None, 1.25).ran("api", "def", "tests/api/test_a.py::test_b", 3),
    ]
    table.write(tmp_path / "mutants.tsv", rows)
    assert table.read(tmp_path / "mutants.tsv") == list(reversed(rows))
    assert table.read(tmp_path / "none.tsv") == []


def test_a_suite_is_due_until_it_has_run_or_another_has_killed() -> None:
    passed = a_row().ran("unit", "abc", None, 1)
    killed = passed.ran("api", "abc", "tests/api/test_a.py::test_b", 1)
    assert [row.is_due(suite) for row in (a_row(), passed, killed) for suite in ("unit", "api")] == [True, True, False, True, False, False]
    assert (killed.killed_by, killed.survived, killed.seconds, killed.again()) == ("api", ("unit",), 2, a_row())


def test_the_summary_counts_the_kills_of_the_new_suite_among_those_of_the_old_one() -> None:
    new = [a_row(number).ran("unit", "abc", "a test", 1) for number in range(3)]
    rows = [*new, a_row(4).ran("unit", "abc", None, 1).ran(OLD + "api", "abc", "a test", 1), a_row(5).ran("unit", "abc", None, 1), a_row(6)]
    assert table.summary(rows) == (
        "6 mutants, 3 killed by unit, 1 killed by old-api, 1 survived unit, 1 not run; of 4 that a suite kills the new one kills 75.0 %"
    )
    assert table.summary([a_row()]) == "1 mutants, 1 not run"


@pytest.mark.parametrize("context", ["a.py::test_b[1-x::y]|run", "a.py::test_b[1] (call)", "a.py::test_b (setup)", "a.py::test_b|setup"])
def test_a_context_names_its_test_function(context: str) -> None:
    assert function_of(context) == "a.py::test_b"
