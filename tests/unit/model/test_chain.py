"""The chain of a history: `verify` names the row of any change in a copy."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from dynamiq_operator.model.chain import verify
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given

Place = tuple[str | int, ...]


def a_chain() -> list[Manifest]:
    """Returns rows of every kind: with every field, failed with and without pins, restoring, overtaken, in progress."""
    config = {"type": "server", "autoscaling": {"minReplicas": 1, "maxReplicas": 2}}
    source = {"namespace": "staging", "app": "chat", "row": "chat-1", "hash": given.flow_hash("v2")}
    rows = given.a_history(
        given.row_manifest("a", given.superseded(1, "v1"), given.asking(message="first", createdBy="ada", workflowVersion="v1")),
        given.row_manifest("b", given.superseded(2, "v2"), given.asking(config=config, promotedFrom=source, runtime="tiny-1")),
        given.row_manifest("c", given.never_deployed(3)),
        given.row_manifest("d", given.failed(4, "v3")),
        given.row_manifest("e", given.live(6, "v1", restores={"row": "a", "sequence": 1}), given.asking(restores="a")),
        given.row_manifest("f", given.overtaken(7, "v2")),
        given.row_manifest("g", given.progressing(8, "v2")),
    )
    return [{"metadata": {"name": row.name}, "spec": copy.deepcopy(dict(row.raw_spec))} for row in rows]


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Yields the place of each value that is no object."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*at, key))
    else:
        yield at


def changed(value: Any, at: Place, character: int) -> Any:
    """Returns the value with one character of the field at `at` changed, or 1 added to a number."""
    if not at:
        return value + 1 if isinstance(value, int) else value[:character] + chr(ord(value[character]) ^ 1) + value[character + 1 :]
    return {**value, at[0]: changed(value[at[0]], at[1:], character)}


def test_a_whole_history_fits() -> None:
    verdict = verify(reversed(a_chain()))
    assert (verdict.misfits, verdict.rows) == ((), 7)
    assert (verdict.oldest, verdict.newest) == (a_chain()[0]["spec"]["pinned"]["digest"], a_chain()[-1]["spec"]["pinned"]["digest"])


def test_each_character_of_each_field_names_its_row() -> None:
    whole, tried = a_chain(), 0
    for number, row in enumerate(whole):
        for place in places(row["spec"]):
            value: Any = row["spec"]
            for step in place:
                value = value[step]
            for character in range(len(value) if isinstance(value, str) else 1):
                damaged = {**row, "spec": changed(row["spec"], place, character)}
                verdict = verify([*whole[:number], damaged, *whole[number + 1 :]])
                assert row["metadata"]["name"] in {misfit.row for misfit in verdict.misfits}, (row["metadata"]["name"], place, character)
                tried += 1
    print(f"{tried} characters changed, one at a time: {tried} rows named")
    assert tried > 3000


def test_each_field_removed_or_made_another_type_names_its_row() -> None:
    whole, tried = a_chain(), 0
    for number, row in enumerate(whole):
        for field in row["spec"]:
            without = {key: value for key, value in row["spec"].items() if key != field}
            for spec in (without, {**row["spec"], field: None}, {**row["spec"], field: [float("nan")]}, {**row["spec"], field: {"a": {1}}}):
                verdict = verify([*whole[:number], {**row, "spec": spec}, *whole[number + 1 :]])
                may_be_young = spec is without and (row["metadata"]["name"], field) in {("f", "outcome"), ("g", "pinned")}
                assert may_be_young or row["metadata"]["name"] in {misfit.row for misfit in verdict.misfits}, (
                    row["metadata"]["name"],
                    field,
                    spec,
                )
                tried += 1
    print(f"{tried} fields removed or replaced")


@pytest.mark.parametrize("spec", [None, "x", 7, [], {"app": "chat", "sequence": "1"}, {"app": "chat", "sequence": 0, "pinned": 1}])
def test_a_row_that_is_no_row_is_named(spec: Any) -> None:
    assert [misfit.row for misfit in verify([*a_chain(), {"metadata": {"name": "x"}, "spec": spec}]).misfits] == ["x"]


@pytest.mark.parametrize("gone", ["b", "d", "e", "f"])
def test_a_pinned_row_removed_in_the_middle_is_missed(gone: str) -> None:
    names = [row["metadata"]["name"] for row in a_chain()]
    verdict = verify([row for row in a_chain() if row["metadata"]["name"] != gone])
    after = next(name for name in names[names.index(gone) + 1 :] if name != "c")
    assert [misfit.row for misfit in verdict.misfits] == [after]


def test_the_oldest_rows_may_go() -> None:
    assert all(verify(a_chain()[gone:]).misfits == () for gone in range(7))


def test_the_newest_row_is_missed_by_the_digest_that_was_noted() -> None:
    noted = a_chain()[-1]["spec"]["pinned"]["digest"]
    assert verify(a_chain(), expected=noted).misfits == ()
    assert verify(a_chain()[:-1]).misfits == ()
    assert noted in verify(a_chain()[:-1], expected=noted).misfits[0].reason


def test_two_rows_of_one_sequence_and_a_row_renamed_are_named() -> None:
    rows = a_chain()
    twin = verify([*rows, {**rows[0], "metadata": {"name": "z"}}]).misfits
    assert "sequence 1 is that of row a, too" in {misfit.reason for misfit in twin if misfit.row == "z"}
    rows[0]["metadata"]["name"] = "y"
    assert [(misfit.row, misfit.reason) for misfit in verify(rows).misfits] == [("y", "row e restored it under the name a: it was renamed")]
