"""AppChanges, as a history shows them."""

from __future__ import annotations

import pytest

from dynamiq_operator.views.app_changes import ChangeRow, among, as_data, newest_first
from dynamiq_operator.views.history import HistoryRow
from tests.support import factories as given


def change(sequence: int, after: int | None) -> ChangeRow:
    made = given.app_change_manifest(given.with_spec(sequence=sequence, after=after), name=f"chat-settings-{sequence}")
    return ChangeRow.of(given.stored(made))


def row(name: str, sequence: int | None) -> HistoryRow:
    return HistoryRow.of(given.stored(given.row_manifest(name, given.with_spec(sequence=sequence))))


@pytest.mark.parametrize(
    ("rows", "changes", "shown"),
    [
        ([2, 1], [], "r2 r1"),
        ([], [(2, None), (1, None)], "c2 c1"),
        ([2, 1], [(1, None)], "r2 r1 c1"),
        ([2, 1], [(2, 1), (1, None)], "r2 c2 r1 c1"),
        ([2, 1], [(3, 2), (2, 2), (1, 1)], "c3 c2 r2 c1 r1"),
        ([None, 2], [(1, 2)], "rNone c1 r2"),
        ([9, 7], [(3, 8), (2, 6), (1, 3)], "r9 c3 r7 c2 c1"),
    ],
    ids=[
        "rows alone",
        "changes alone",
        "before the first row",
        "between",
        "above",
        "a row that waits for its number",
        "retention took rows",
    ],
)
def test_a_change_stands_above_the_row_that_was_the_newest_then(
    rows: list[int | None], changes: list[tuple[int, int | None]], shown: str
) -> None:
    found = among([row(f"r{each}", each) for each in rows], [change(*each) for each in changes])
    assert " ".join(f"r{each.sequence}" if isinstance(each, HistoryRow) else f"c{each.sequence}" for each in found) == shown


def test_the_newest_is_first() -> None:
    made = [given.app_change_manifest(given.with_spec(sequence=sequence), name=str(sequence)) for sequence in (2, 10, 1)]
    assert [each.sequence for each in newest_first(made)] == [10, 2, 1]


def test_data_of_a_change_have_every_field_and_no_state() -> None:
    made = given.app_change_manifest(
        given.with_spec(
            by=None, byVerified=None, after=None, reason="Changed", changes=[{"field": "hostname", "change": "Added", "to": "a.test"}]
        )
    )
    data = as_data(ChangeRow.of(given.stored(made)))
    assert (data["by"], data["byVerified"], data["after"], data["generation"]) == (None, False, None, {"from": None, "to": 1})
    assert data["changes"] == [{"field": "hostname", "name": None, "change": "Added", "from": None, "to": "a.test"}]
    assert not {"states", "key"} & data.keys()
