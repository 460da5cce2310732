"""Tables as files: a spreadsheet runs nothing in a CSV, and texts of users stay plain text in Markdown."""

from __future__ import annotations

import csv
import io

import pytest

from dynamiq_operator.views.sheets import Cell, csv_lines, escaped, markdown_table


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ('=HYPERLINK("http://x","y")', """'=HYPERLINK("http://x","y")"""),
        ("+1+1", "'+1+1"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("＝1+1", "'＝1+1"),
        (" =1+1", " '=1+1"),
        ("ok;=1+1", "ok;'=1+1"),
        ("ok;  @SUM(A1)", "ok;  '@SUM(A1)"),
        ('a",=1+1', """a",'=1+1"""),
        ("a\n=1+1", r"a\n=1+1"),
        ("\t=1", r"\t=1"),
        ("red \x1b[31m", r"red \x1b[31m"),
    ],
)
def test_text_that_a_spreadsheet_would_run_is_none_any_more(given: str, read: str) -> None:
    ((cell,),) = csv.reader(io.StringIO(csv_lines([[given]])))
    assert cell == read


def test_plain_values_are_read_as_they_were() -> None:
    row: list[Cell] = ["v3", "a - b", 'say "no"', "a, b", "déjà vu", 12, 0.5, True, None, ""]
    text = csv_lines([row, row])
    assert text.count("\r\n") == 2
    assert list(csv.reader(io.StringIO(text)))[1] == ["v3", "a - b", 'say "no"', "a, b", "déjà vu", "12", "0.5", "true", "", ""]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("a | b", r"a \| b"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
        ("[here](javascript:x)", r"\[here\](javascript:x)"),
        ("![x](http://x)", r"\!\[x\](http\://x)"),
        ("see https://x.test and www.x.test", r"see https\://x.test and www\.x.test"),
        ("*a* _b_ `c` ~d~ $e$", r"\*a\* \_b\_ \`c\` \~d\~ \$e\$"),
        ("a\\|b", r"a\\\|b"),
        ("anna@x.test", r"anna\@x.test"),
        ("mailto:a", r"mailto\:a"),
        ("two\nlines", r"two\\nlines"),
        ("2026-11-24T12:00:00Z, v1.2-3", "2026-11-24T12:00:00Z, v1.2-3"),
        (7, "7"),
        (None, ""),
    ],
)
def test_text_of_users_is_escaped(given: str | int | None, written: str) -> None:
    assert escaped(given) == written


def test_a_table_has_a_line_for_each_row_whatever_is_in_it() -> None:
    assert markdown_table(["A", "B"], [["x\n|y", None], [1, "z"]]) == ["| A | B |", "| --- | --- |", r"| x\\n\|y |  |", "| 1 | z |"]
