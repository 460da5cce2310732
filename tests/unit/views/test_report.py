"""A report of deploys: its rows, their description, and whether all histories verify."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest, format_time
from dynamiq_operator.views.report import Report, ReportBuilder, as_csv, as_data, as_markdown
from tests.support import factories as given

HOSTILE = "=cmd|'/C calc'!A0 | <img src=x>\n# no heading"


def at(minutes: float) -> str:
    return format_time(given.NOW + timedelta(minutes=minutes))


def begun(name: str, minutes: float, *modifiers: given.Modifier) -> Manifest:
    """Returns a row whose deploy began `minutes` after noon, and ended a minute later."""

    def modify(made: Manifest) -> None:
        made["spec"]["pinned"]["createdAt"] = at(minutes)
        if outcome := made["spec"].get("outcome"):
            outcome["at"] = at(minutes + 1)

    return given.row_manifest(name, *modifiers, modify)


def a_chain(*rows: Manifest) -> list[Manifest]:
    return [
        given.stored({**given.row_manifest(each.name), "spec": dict(each.raw_spec), "status": {"phase": each.phase}})
        for each in given.a_history(*rows)
    ]


def history() -> list[Manifest]:
    return a_chain(
        begun("chat-a", 0, given.superseded(1, "v1"), given.asking(createdBy="anna")),
        begun("chat-b", 10, given.failed(2, "v2"), given.asking(createdBy="bo", message=HOSTILE)),
        begun("chat-c", 20, given.live(3, "v3", createdByVerified=True), given.asking(createdBy="anna")),
    )


def report(*rows: Manifest, since: str | None = None, until: str | None = None) -> Report:
    reading = ReportBuilder(since, until)
    for each in rows:
        reading.add(each)
    return reading.report(at(60))


@pytest.mark.parametrize(
    ("since", "until", "sequences"),
    [(None, None, [1, 2, 3]), (10, None, [2, 3]), (None, 10, [1]), (10, 20, [2]), (11, 20, []), (0, 21, [1, 2, 3])],
)
def test_a_deploy_is_of_the_time_in_which_it_began(since: float | None, until: float | None, sequences: list[int]) -> None:
    """Each deploy is therefore in exactly one of two consecutive reports."""
    found = report(*history()[::-1], since=at(since) if since is not None else None, until=at(until) if until is not None else None)
    assert [each.row.sequence for each in found.rows] == sequences


def test_a_reverted_row_is_marked_so() -> None:
    back = names.revert_row(given.NAME, "chat-c")
    rows = a_chain(
        begun("chat-b", 0, given.superseded(1, "v1")),
        begun("chat-c", 10, given.superseded(2, "v2")),
        begun(back, 20, given.live(3, "v1", source="Revert")),
    )
    assert [each["ending"] for each in as_data(report(*reversed(rows)))["deploys"]] == [None, "Reverted", None]


def test_a_row_has_author_version_and_ending() -> None:
    first, second, third = as_data(report(*history()))["deploys"]
    assert (first["createdBy"], first["result"], first["liveFrom"], first["liveUntil"]) == ("anna", "Succeeded", at(1), at(21))
    assert (second["result"], second["reason"], second["liveFrom"], second["liveUntil"]) == ("Failed", "no pod became Ready", None, None)
    assert (third["liveUntil"], third["authorVerified"], first["authorVerified"]) == (None, True, False)
    assert second["message"] == HOSTILE, "data has every letter as it is"


def test_a_row_has_its_approvers_and_its_guards() -> None:
    guards = [{"reason": "AwaitingApproval", "approvals": 1}, {"reason": "Frozen"}]
    released = {"at": at(5), "guards": ["AwaitingApproval", "Frozen"], "by": ["otto", "ida"]}
    (row,) = a_chain(begun("chat-a", 0, given.live(1, guards=guards), given.with_spec(released=released, bypass={"reason": "down"})))
    (deploy,) = as_data(report(row))["deploys"]
    assert (deploy["approvedBy"], deploy["waitedFor"], deploy["bypassReason"]) == ("otto, ida", ["AwaitingApproval", "Frozen"], "down")
    (line,) = csv.DictReader(io.StringIO(as_csv(report(row))))
    assert (line["approved_by"], line["waited_for"]) == ("otto, ida", "AwaitingApproval, Frozen")


def test_a_row_that_has_not_ended_has_its_phase() -> None:
    row = given.stored(given.row_manifest("chat-a", given.progressing(1)))
    (deploy,) = as_data(report(row))["deploys"]
    assert (deploy["result"], deploy["ended"]) == ("Progressing", None)
    unpinned = given.stored(given.row_manifest("chat-b", given.asking(createdBy="anna"), given.created(60)))
    (deploy,) = as_data(report(unpinned, since=at(1)))["deploys"]
    assert (deploy["began"], deploy["createdBy"], deploy["authorVerified"]) == (at(1), "anna", None)


def test_every_row_of_a_history_is_verified_whatever_the_time() -> None:
    rows = history()
    rows[0]["spec"]["message"] = "another one"
    found = report(*rows, since=at(10))
    assert not found.fits
    assert found.says == "2 deploys of 1 App; 1 of 1 histories does not fit"
    assert list(found.wrong) == ["demo/chat: row chat-a does not fit: its content does not have its digest: it was changed"]
    assert [each["fits"] for each in as_data(found)["deploys"]] == [True, True], "those of the time are as they were"
    assert as_data(found)["histories"][0]["misfits"][0]["row"] == "chat-a"


def test_a_row_that_does_not_fit_has_the_reason() -> None:
    rows = history()
    rows[1]["spec"]["outcome"]["result"] = "Succeeded"
    deploy = as_data(report(*rows))["deploys"][1]
    assert (deploy["fits"], deploy["misfit"]) == (False, "its outcome does not have its digest: it was changed")


def test_apps_of_one_name_in_two_namespaces_have_a_history_each() -> None:
    others = [given.stored(each) for each in history()]
    for each in others:
        each["metadata"] = {**each["metadata"], "namespace": "other"}
    found = report(*history(), *others)
    assert (found.fits, found.says) == (True, "6 deploys of 2 Apps; 6 rows fit")
    assert [(each.namespace, each.row.sequence) for each in found.rows][:2] == [("demo", 1), ("other", 1)], "in the order of their begin"


def test_no_row_is_a_report_too() -> None:
    assert report().says == "0 deploys of 0 Apps; 0 rows fit"
    assert as_csv(report()).count("\r\n") == 1


def test_a_spreadsheet_has_every_column_and_runs_nothing() -> None:
    found = report(*history())
    lines = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert [line["sequence"] for line in lines] == ["1", "2", "3"]
    assert lines[0]["config"] == "1 to 2 pods at 80 % CPU; 100m CPU and 256Mi memory"
    assert lines[1]["message"].startswith("'=cmd|")
    assert "\n" not in lines[1]["message"]
    assert (lines[0]["fits"], lines[0]["digest"]) == ("true", found.rows[0].row.digest)


def test_a_document_has_a_line_for_each_row_and_no_markup_of_users() -> None:
    rows = history()
    text = as_markdown(report(*rows, since=at(0), until=at(30)))
    assert f"Begun from {at(0)} and before {at(30)}, as of {at(60)}: 3 deploys of 1 App; 3 rows fit." in text
    assert [line for line in text.splitlines() if line.startswith("#")] == ["# Deploys", "## Histories"]
    assert "<img" not in text
    assert f"| demo/chat | 3 | yes | {rows[2]['spec']['pinned']['digest']} |" in text
    rows[2]["spec"]["message"] = "`changed`"
    wrong = as_markdown(report(*rows))
    assert "- demo/chat: row chat-c does not fit: its content does not have its digest: it was changed" in wrong
