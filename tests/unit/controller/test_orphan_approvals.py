"""Approvals of missing rows are deleted, some at a time. Approvals of the history are kept."""

from __future__ import annotations

import pytest

from dynamiq_operator.controller.upkeep import orphan_approvals
from dynamiq_operator.kube.resources import APPROVALS, ROWS
from dynamiq_operator.model.objects import format_time
from tests.support import factories as given
from tests.support.controller import NAMED, Process, at, stored
from tests.support.guards import approval_manifest
from tests.support.scripted import Script, failure

LONG_AGO = given.with_meta(creationTimestamp="2020-01-01T00:00:00Z")
GONE = failure(404, "NotFound")


def add_approval(process: Process, script: Script, name: str, row: str, *modifiers: given.Modifier) -> None:
    made = stored(approval_manifest(name, row, *(modifiers or (LONG_AGO,))))
    process.cache.update(APPROVALS, made)
    script.on("DELETE", at(APPROVALS, name), NAMED)
    script.on("GET", at(ROWS, row), GONE)


async def swept(process: Process, script: Script) -> list[str]:
    """Returns the names of the Approvals that a sweep deletes."""
    await process.lead()
    await process.orphan_approvals.sweep()
    return [sent.path.rpartition("/")[2] for sent in script.sent if sent.method == "DELETE"]


async def test_approvals_of_missing_rows_are_deleted_and_those_of_the_history_stay(process: Process, script: Script) -> None:
    add_approval(process, script, "flood-1", "never")
    add_approval(process, script, "flood-2", "never")
    add_approval(process, script, "of-waiting", "waiting")
    add_approval(process, script, "of-closed", "closed")
    add_approval(process, script, "new", "to-come", given.with_meta(creationTimestamp=format_time(process.client.now())))
    process.cache.update(ROWS, stored(given.row_manifest("waiting", given.progressing(1))))
    script.on("GET", at(ROWS, "closed"), stored(given.row_manifest("closed", given.superseded(1))))
    assert sorted(await swept(process, script)) == ["flood-1", "flood-2"]
    assert at(ROWS, "waiting") not in [sent.path for sent in script.sent], "it is cached"
    assert at(ROWS, "to-come") not in [sent.path for sent in script.sent], "a backup may bring words first"


async def test_a_row_that_cannot_be_read_does_not_count_as_missing(process: Process, script: Script) -> None:
    add_approval(process, script, "yes", "row")
    script.on("GET", at(ROWS, "row"), failure(403, "Forbidden", "no right"))
    assert await swept(process, script) == []
    script.on("GET", at(ROWS, "row"), GONE)
    process.denials.note(ROWS, "", "no such kind")
    assert await swept(process, script) == []
    process.denials.note(ROWS, "", None)
    assert await swept(process, script) == ["yes"]


async def test_a_sweep_does_a_part_and_the_next_one_goes_on(process: Process, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphan_approvals, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(orphan_approvals, "APPROVALS_AT_ONCE", 3)
    for row in ("a", "b", "c", "d"):
        for number in (1, 2):
            add_approval(process, script, f"{row}-{number}", row)
    script.on("GET", at(ROWS, "a"), stored(given.row_manifest("a", given.superseded(1))))
    found = []
    for _ in range(4):
        deleted = await swept(process, script)
        assert len(deleted) <= 3
        for name in deleted:
            process.cache.delete(APPROVALS, stored(approval_manifest(name, name[0]), 9))
        found += deleted
    assert sorted(found) == ["b-1", "b-2", "c-1", "c-2", "d-1", "d-2"]
