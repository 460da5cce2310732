"""The live row at a time, and a report of deploys, over HTTP."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS
from dynamiq_operator.model.objects import format_time
from dynamiq_operator.rest.deployments import live, rows
from dynamiq_operator.rest.deployments.responses import LiveAtShape
from dynamiq_operator.rest.reports import reading
from dynamiq_operator.rest.reports.responses import DeployReport, ReportedDeploy
from dynamiq_operator.views.audited import COLUMNS
from dynamiq_operator.views.live_at import live_at
from tests.support import factories as make
from tests.support.rest_stage import UNKNOWN, RestStage, row
from tests.support.scripted import Sent, failure, listed

OF_A_DELETED_APP = make.with_meta(ownerReferences=[{"apiVersion": APPS.api_version, "kind": APPS.kind, "name": "chat", "uid": UNKNOWN}])
DAY = 24 * 60.0  # minutes


def at(stage: RestStage, time: str | None, name: str = "chat") -> Any:
    answer = stage.get(f"/v1/apps/{stage.uid(APPS, name)}/at{f'?time={time}' if time else ''}")
    LiveAtShape.model_validate(answer)
    return answer


def report(stage: RestStage, asked: str = "since=2026-11-01&until=2026-11-28") -> Any:
    answer = stage.get(f"/v1/report?{asked}")
    DeployReport.model_validate(answer)
    return answer


def begun(name: str, minutes: float, *modifiers: make.Modifier) -> Any:
    """Returns a row of App chat whose deploy began `minutes` after noon of November 24, and ended ten minutes later."""

    def modify(made: Any) -> None:
        made["spec"]["pinned"]["createdAt"] = format_time(make.NOW + timedelta(minutes=minutes))
        if outcome := made["spec"].get("outcome"):
            outcome["at"] = format_time(make.NOW + timedelta(minutes=minutes + 10))

    return row(name, *modifiers, modify)


# The live row at a time. The rows are #1 v1 and #2 v2, of the same second, and these.


@pytest.fixture
def days(stage: RestStage) -> RestStage:
    """Returns a stage with four days, each with a deploy. The second day's deploy failed."""
    stage.put(begun("chat-c", DAY, make.failed(3, "v3")))
    stage.put(begun("chat-d", 2 * DAY, make.superseded(4, "v4")))
    stage.put(begun("chat-e", 3 * DAY, make.live(5, "v5")))
    return stage


@pytest.mark.parametrize(
    ("time", "sequence", "until", "rolling_out"),
    [
        ("0001-01-01", None, None, None),
        ("2026-11-23", None, None, None),
        ("2026-11-24T12:00:00Z", 2, "2026-11-26T12:10:00Z", None),
        ("2026-11-25T12:05:00Z", 2, "2026-11-26T12:10:00Z", 3),
        ("2026-11-26", 2, "2026-11-26T12:10:00Z", None),
        ("2026-11-26T13:00:00%2B01:00", 2, "2026-11-26T12:10:00Z", 4),
        ("2026-11-27T12:09:59.5Z", 4, "2026-11-27T12:10:00Z", 5),
        ("2026-11-27T12:10:00Z", 5, None, None),
    ],
)
def test_the_row_that_was_live(days: RestStage, time: str, sequence: int | None, until: str | None, rolling_out: int | None) -> None:
    answer = at(days, time)
    shown = (
        answer["deployment"] and answer["deployment"]["sequence"],
        answer["live_until"],
        answer["rolling_out"] and answer["rolling_out"]["sequence"],
    )
    assert shown == (sequence, until, rolling_out)


def test_the_row_of_a_time_has_the_shape_of_the_list(days: RestStage) -> None:
    answer = at(days, "2026-11-27T13:00:00Z")
    assert answer["deployment"] == days.get(f"/v1/apps/{days.uid(APPS, 'chat')}/deployments")[0]
    assert answer["says"] == "v5 (#5, chat-e) was live, from 2026-11-27T12:10:00Z and still is"
    assert answer["live_from"] == "2026-11-27T12:10:00Z"


def test_without_a_time_it_is_what_is_live(days: RestStage) -> None:
    assert at(days, None)["deployment"]["is_live"] is True


def test_only_the_rows_around_the_time_are_read(stage: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    every = [stage.object(ROWS, name) for name in ("chat-a", "chat-b")]
    for number in range(3, 29):
        kind = make.superseded if number % 5 == 0 else make.failed
        every.append(stage.put(begun(f"chat-{number}", 20 * number, kind(number, "v1", previousDigest=make.UNSEALED))))
    monkeypatch.setattr(rows, "LISTED_MOST", 10)
    monkeypatch.setattr(live, "AT_ONCE", 2)
    for minutes in (25, 240, 345, 505, 900):
        time = format_time(make.NOW + timedelta(minutes=minutes))
        before = len(stage.script.sent)
        answer, expected = at(stage, time), live_at(every, time)
        assert answer["says"] == expected.says
        assert (answer["rolling_out"] and answer["rolling_out"]["name"]) == (expected.rolling_out and expected.rolling_out.row.name)
        read = [sent.path for sent in stage.script.sent[before:] if sent.path.startswith(ROWS.path("demo", ""))]
        assert len(read) <= 14, time


def test_the_live_row_before_the_retention_is_unknown(stage: RestStage) -> None:
    made = stage.put(make.app_manifest(name="old"))
    owner = {"apiVersion": APPS.api_version, "kind": APPS.kind, "name": "old", "uid": made["metadata"]["uid"]}
    kept = make.live(7, "v7", previousDigest=make.UNSEALED)
    stage.put(make.row_manifest("old-g", make.of_app("old"), make.with_meta(ownerReferences=[owner]), kept))
    answer = at(stage, "2026-11-24", "old")
    assert (answer["known"], answer["deployment"]) == (False, None)
    assert "rows before #7 are not kept any more" in answer["says"]
    assert at(stage, "2026-11-24T12:00:00Z", "old")["deployment"]["sequence"] == 7


@pytest.mark.parametrize(("time", "says"), [("2999-01-01", "in the future"), ("yesterday", "pattern"), ("2026-02-30", "write a time")])
def test_a_time_that_is_none_is_refused(days: RestStage, time: str, says: str) -> None:
    details = days.call("GET", f"/v1/apps/{days.uid(APPS, 'chat')}/at?time={time}").error(422)["details"]
    assert says in details["time"]


def test_a_caller_who_may_not_list_rows_gets_not_found(days: RestStage) -> None:
    days.script.on("GET", ROWS.path("demo"), failure(403, "Forbidden"))
    days.call("GET", f"/v1/apps/{days.uid(APPS, 'chat')}/at").error(404)


# A report.


@pytest.fixture
def chained(stage: RestStage) -> RestStage:
    """Returns a stage with three rows in a chain; the last one is of the next day."""
    made = [row("chat-a", make.superseded(1, "v1")), row("chat-b", make.superseded(2, "v2")), begun("chat-c", DAY, make.live(3, "v3"))]
    for made_row, record in zip(made, make.a_history(*made), strict=True):
        stage.put({**made_row, "spec": dict(record.raw_spec)})
    return stage


def test_a_report_has_the_deploys_of_its_time_and_verifies_all(chained: RestStage) -> None:
    answer = report(chained)
    assert [each["sequence"] for each in answer["deploys"]] == [1, 2, 3]
    assert (answer["fits"], answer["says"], answer["since"]) == (True, "3 deploys of 1 App; 3 rows fit", "2026-11-01T00:00:00Z")
    answer = report(chained, "since=2026-11-25&until=2026-11-26")
    assert [each["sequence"] for each in answer["deploys"]] == [3]
    assert answer["says"] == "1 deploy of 1 App; 3 rows fit"
    chained.object(ROWS, "chat-a")["spec"]["message"] = "It was always so"
    answer = report(chained, "since=2026-11-25&until=2026-11-26")
    assert (answer["fits"], answer["histories"][0]["misfits"][0]["row"]) == (False, "chat-a")


def test_each_value_of_a_deploy_is_in_the_document(chained: RestStage) -> None:
    assert list(ReportedDeploy.model_fields) == [column.key for column in COLUMNS]
    assert list(report(chained)["deploys"][0]) == list(ReportedDeploy.model_fields)


def test_a_report_comes_as_a_spreadsheet_and_as_a_document(chained: RestStage) -> None:
    path = "/v1/report?since=2026-11-01&until=2026-11-28"
    answered = chained.call("GET", f"{path}&format=csv")
    assert answered.headers["content-type"] == "text/csv; charset=utf-8"
    assert answered.headers["x-dynamiq-report"] == "3 deploys of 1 App; 3 rows fit"
    assert answered.headers["content-disposition"] == 'attachment; filename="deploys-2026-11-01-2026-11-28.csv"'
    assert [line["sequence"] for line in csv.DictReader(io.StringIO(answered.content.decode()))] == ["1", "2", "3"]
    document = chained.call("GET", f"{path}&format=md")
    assert (document.headers["content-type"], document.content[:9]) == ("text/markdown; charset=utf-8", b"# Deploys")


def test_a_report_of_one_project(chained: RestStage) -> None:
    chained.put(make.row_manifest("other-a", make.in_namespace("prod"), make.of_app("other"), make.live(1, "v1")))
    assert {each["namespace"] for each in report(chained)["deploys"]} == {"demo", "prod"}
    of_one = report(chained, f"since=2026-11-01&until=2026-11-28&project_id={chained.uid(NAMESPACES, 'prod')}")
    assert [each["app"] for each in of_one["deploys"]] == ["other"]
    assert "project_id" in chained.call("GET", f"/v1/report?project_id={UNKNOWN}").error(404)["details"]


def test_a_caller_who_may_list_rows_of_one_project_gets_its_report(chained: RestStage) -> None:
    chained.put(make.row_manifest("other-a", make.in_namespace("prod"), make.of_app("other"), make.live(1, "v1")))
    chained.allow(lambda _, __, namespace: namespace != "")
    chained.script.on("GET", ROWS.path("prod"), failure(403, "Forbidden")).on("GET", ROWS.path(), failure(403, "Forbidden"))
    assert {each["namespace"] for each in report(chained)["deploys"]} == {"demo"}
    project = chained.uid(NAMESPACES, "prod")
    chained.call("GET", f"/v1/report?project_id={project}").error(404)


def test_rows_of_a_deleted_app_are_in_no_report(chained: RestStage) -> None:
    chained.put(row("chat-old", make.superseded(2, "v2"), OF_A_DELETED_APP))
    assert report(chained)["says"] == "3 deploys of 1 App; 3 rows fit"


def test_the_default_period_is_the_last_30_days(chained: RestStage) -> None:
    answer = report(chained, "until=2026-11-25")
    assert (answer["since"], answer["until"]) == ("2026-10-26T00:00:00Z", "2026-11-25T00:00:00Z")
    assert report(chained, "since=2026-11-24&until=2100-01-01")["until"] is None, "what is still to come is no bound"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ("since=2026-11-02&until=2026-11-01", "since"),
        ("since=2999-01-01", "since"),
        ("since=2020-01-01", "since"),
        ("since=soon", "since"),
        ("since=0001-01-01T00:00:00%2B14:00", "since"),
        ("until=0001-01-01", "until"),
        ("format=xml", "format"),
        ("app_id=x", "app_id"),
    ],
)
def test_a_report_that_cannot_be_made_names_what_is_wrong(chained: RestStage, asked: str, field: str) -> None:
    assert set(chained.call("GET", f"/v1/report?{asked}").error(422)["details"]) == {field}


def test_a_report_that_would_be_too_long_is_none(chained: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "REPORTED_MOST", 2)
    path = "/v1/report?since=2026-11-01&until=2026-11-28"
    assert "more than 2 deploys in that time" in chained.call("GET", path).error(422)["message"]
    assert len(report(chained, "since=2026-11-25&until=2026-11-26")["deploys"]) == 1
    monkeypatch.setattr(reading, "READ_MOST", 2)
    assert "more than 2 rows" in chained.call("GET", "/v1/report?since=2026-11-25&until=2026-11-26").error(422)["message"]


def test_rows_come_a_page_at_a_time(chained: RestStage) -> None:
    every = [chained.object(ROWS, name) for name in ("chat-c", "chat-a", "chat-b")]

    def page(sent: Sent) -> Any:
        return listed(*every[2:]) if "continue" in sent.query else listed(*every[:2], token="more")

    chained.script.on("GET", ROWS.path(), page)
    assert report(chained)["says"] == "3 deploys of 1 App; 3 rows fit"


def test_one_report_of_a_caller_is_made_at_once(chained: RestStage) -> None:
    async def several() -> set[int]:
        answers = await asyncio.gather(*(chained.ask("GET", "/v1/report") for _ in range(8)))
        return {answered.status for answered in answers}

    assert chained.run(several()) == {200, 429}
