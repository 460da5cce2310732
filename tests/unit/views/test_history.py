"""The text of a history: its order, the origin of a row, and values in words."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.model.history_columns import COLUMNS, HistoryColumn
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.views.columns import as_data, cell
from dynamiq_operator.views.history import HistoryRow, at_path, config_in_words, duration_in_words, history, newest_first, title
from tests.support import factories as given
from tests.unit.support import rules

SOURCE = {"namespace": "staging", "app": "chat", "row": "chat-s", "hash": "sha256:1"}


def row(name: str, *modifiers: given.Modifier) -> Manifest:
    return given.stored(given.row_manifest(name, *modifiers))


def column(key: str) -> HistoryColumn:
    return next(each for each in COLUMNS if each.key == key)


def test_rows_are_newest_first_and_those_without_a_sequence_newer_still() -> None:
    rows = [
        row("chat-9", given.superseded(9)),
        row("chat-b", given.created(1)),
        row("chat-10", given.live(10, "v2")),
        row("chat-a2", given.created(2)),
        row("chat-a10", given.created(2)),
        row("chat-early", given.created(0), given.with_status(phase="Failed")),
    ]
    assert [each.name for each in history(rows)] == ["chat-a10", "chat-a2", "chat-b", "chat-10", "chat-9", "chat-early"]
    assert [each["metadata"]["name"] for each in newest_first(rows)] == [each.name for each in history(rows)]


def test_a_row_without_pins_has_the_fields_of_its_request() -> None:
    made = given.row_manifest("chat-a", given.asking(workflowVersion="v3", config={"type": "serverless"}, createdBy="anna"))
    seen = HistoryRow.of(made)
    assert (seen.version, seen.config, seen.created_by, seen.status) == ("v3", {"type": "serverless"}, "anna", "Pending")
    assert (seen.sequence, seen.date, seen.duration, seen.digest, seen.runtime) == (None, None, None, None, None)
    assert HistoryRow.of(given.stored(made)).date == "2026-11-24T12:00:00Z", "until its deploy begins, that of its creation"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (row("a", given.live(4, restores={"row": "chat-a", "sequence": 3})), "restores #3"),
        (row("a", given.asking(restores="chat-a")), "restores chat-a"),
        (row("a", given.live(1), given.asking(promotedFrom=SOURCE)), "promoted from staging/chat chat-s (unverified)"),
        (row("a", given.live(1, promotedFrom={"verified": False}), given.asking(promotedFrom=SOURCE)), "promoted from staging/chat chat-s (unverified)"),
        (row("a", given.live(1, promotedFrom={"verified": True, "sequence": 12}), given.asking(promotedFrom=SOURCE)), "promoted from staging/chat #12"),
        (row("a", given.asking(promotedFrom=SOURCE)), "promoted from staging/chat chat-s"),
        (row("a", given.live(1, promotedFrom={"verified": False}), given.asking(promotedFrom={**SOURCE, "cluster": "eu"})), "promoted from staging/chat chat-s of cluster eu (unverified)"),
        (row("a", given.live(1, source="App")), "by spec.deploy"),
        (row("a", given.live(1)), None),
        (row("a"), None),
    ],
)  # fmt: skip
def test_a_row_has_its_provenance(made: Manifest, said: str | None) -> None:
    assert HistoryRow.of(made).provenance == said


@pytest.mark.parametrize(
    ("made", "seconds"),
    [
        (row("a", given.pinned(1), given.ended("Succeeded", seconds=8.0)), 8.0),
        (row("a", given.pinned(1), given.ended("Succeeded", seconds=-8.0)), 0.0),
        (row("a", given.progressing(1)), None),
    ],
)
def test_a_row_has_the_duration_of_its_deploy(made: Manifest, seconds: float | None) -> None:
    """A clock that was set back must not end a deploy before its start."""
    assert HistoryRow.of(made).duration == seconds


def test_a_reason_is_that_of_a_row_that_did_not_go_live() -> None:
    assert HistoryRow.of(row("a", given.failed(1, reason="no pod became Ready"))).reason == "no pod became Ready"
    assert HistoryRow.of(row("a", given.overtaken(1))).reason == "a newer row was deployed after it"
    assert HistoryRow.of(row("a", given.live(1))).reason is None


def scaled(fewest: int | None = None, most: int | None = None, cpu: int | None = None) -> Manifest:
    found = {"minReplicas": fewest, "maxReplicas": most, "targetCPUUtilizationPercentage": cpu}
    return {"type": "server", "autoscaling": {name: value for name, value in found.items() if value is not None}}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, ""),
        ({}, ""),
        ({"type": "serverless"}, "serverless"),
        (
            {"type": "serverless", "idleSeconds": 60, "maxReplicas": 3, "holdSeconds": 30},
            "serverless, 0 to 3 pods, asleep after 60 s, a call waits 30 s",
        ),
        ({"type": "server"}, ""),
        (scaled(1, 2, 60), "1 to 2 pods at 60 % CPU"),
        (scaled(1, 1), "1 pod at 80 % CPU"),
        (scaled(3, 3, 80), "3 pods at 80 % CPU"),
        (scaled(3), ""),
    ],
)
def test_a_config_in_words(config: Manifest | None, said: str) -> None:
    assert config_in_words(config) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0 s"), (8.4, "8 s"), (59.6, "1 min 0 s"), (125.0, "2 min 5 s"), (3600.0, "1 h 0 min"), (7384.0, "2 h 3 min")],
)
def test_a_duration_in_words(seconds: float, said: str) -> None:
    assert duration_in_words(seconds) == said


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (row("chat-a", given.live(4, "v2")), "v2 (#4, chat-a)"),
        (row("chat-a", given.asking(workflowVersion="v2")), "v2 (chat-a)"),
        (row("chat-a", given.waiting(4)), "(#4, chat-a)"),
        (row("chat-a"), "(chat-a)"),
    ],
)
def test_a_row_in_a_sentence(made: Manifest, said: str) -> None:
    assert title(HistoryRow.of(made)) == said


@pytest.mark.parametrize(
    ("path", "found"),
    [(".spec.app", "chat"), (".spec.pinned.runtime.version", "1.0.0"), (".spec.none.at.all", None), (".spec.app.deeper", None)],
)
def test_a_value_at_a_path(path: str, found: Any) -> None:
    assert at_path(row("a", given.live(1)), path) == found


def test_every_column_has_its_cell_and_what_is_not_there_an_empty_one() -> None:
    live = HistoryRow.of(row("chat-a", given.pinned(2, "v2"), given.ended("Succeeded", seconds=61.0), given.in_phase("Live")))
    shown = {each.key: cell(live, each) for each in COLUMNS if each.title}
    assert shown == {
        "name": "chat-a",
        "app": "chat",
        "version": "v2",
        "description": "What v2 does",
        "status": "Live",
        "created_by": "",
        "runtime": "1.0.0",
        "date": "2026-11-24T12:00:00Z",
        "sequence": "2",
        "config": "1 to 2 pods at 80 % CPU",
        "message": "",
        "provenance": "",
        "source": "Record",
        "duration": "1 min 1 s",
        "waits": "",
        "approved_by": "",
        "ending": "",
        "digest": (live.digest or "")[:19],
    }
    assert cell(HistoryRow.of(row("chat-b")), column("duration")) == ""


def test_every_path_of_a_column_is_where_its_value_is() -> None:
    modifier = given.asking(createdBy="anna", message="why", bypass={"reason": "the shop is down"})
    waits, ended = row("chat-a", rules.awaiting(2), modifier), row("chat-b", given.overtaken(2), given.with_status(ending="Overtaken"))
    for each in COLUMNS:
        if each.path:
            made = ended if each.key == "ending" else waits
            data = as_data(HistoryRow.of(made))
            assert at_path(made, each.path) == data[each.json_name] is not None, each.key


def test_the_shown_status_has_the_ending_that_the_phase_lacks() -> None:
    rows = [
        row("chat-a", given.superseded(1)),
        row("chat-b", given.superseded(2, "v2")),
        row(names.revert_row(given.NAME, "chat-b"), given.live(3, source="Revert", restores={"row": "chat-a", "sequence": 1})),
        row("chat-c", given.overtaken(4, "v3")),
    ]
    shown = history(rows)
    assert [cell(each, column("status")) for each in shown] == ["Overtaken", "Live", "Reverted", "Superseded"]
    assert [as_data(each)["status"] for each in shown] == ["Superseded", "Live", "Superseded", "Superseded"], "data has the phase"
    assert [as_data(each)["ending"] for each in shown] == ["Overtaken", None, "Reverted", None]
