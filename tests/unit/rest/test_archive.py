"""A history with archived rows over HTTP, with a real recorder behind the API, which checks who may read it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model.digests import row_digest
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.deployments import verification
from dynamiq_operator.rest.deployments.responses import DeploymentDetail, HistoryResponse, LiveAtShape, VerificationResponse
from tests.support import factories as make
from tests.support.archived_rows import flows, history, moment
from tests.support.recorder_stage import OPERATOR, RecorderStage
from tests.support.recorder_stage import app as known_app
from tests.support.rest_stage import ANNA, TOKEN, RestStage, row

APP_UID = make.an_app().meta.uid
COUNT = 30
ALL_ROWS = history(COUNT, app_uid=APP_UID, namespace=make.NAMESPACE)
LAST = ALL_ROWS[-1]["spec"]["pinned"]["digest"]


@dataclass(frozen=True)
class Archived:
    """The API with a recorder that has rows #1 to #30. #31 and #32, which is live, are in the cluster."""

    stage: RestStage
    recorder: RecorderStage

    def path(self, more: str = "") -> str:
        return f"/v1/apps/{APP_UID}{more}"

    def history(self, asked: str = "") -> Any:
        answered = self.stage.call("GET", self.path(f"/deployments?{asked}")).json
        HistoryResponse.model_validate(answered)
        return answered

    def sequences(self, asked: str = "") -> list[int]:
        return [each["sequence"] for each in self.history(asked)["data"]]

    def hand_over(self, rows: list[Manifest]) -> None:
        body = {"rows": rows, "flows": flows(rows)}
        answer = self.recorder.call("POST", f"/v1/apps/{APP_UID}/archive", OPERATOR, json=body).json()["data"]
        assert answer["refused"] == []


def in_cluster(name: str, sequence: int, previous: str, *, is_live: bool = False) -> Manifest:
    made = row(
        name,
        (make.live if is_live else make.superseded)(sequence, "v2", previousDigest=previous, createdAt=moment(sequence)),
        make.ended("Succeeded", seconds=3600 * sequence + 10),
        make.with_meta(resourceVersion=str(sequence)),
    )
    return make.stored(made)


@pytest.fixture
def archived(tmp_path: Path) -> Iterator[Archived]:
    with RecorderStage(tmp_path) as recorder, RestStage(recorder=recorder.url) as stage:
        recorder.apps[:] = [known_app(APP_UID, make.NAMESPACE)]
        recorder.users[TOKEN] = {"username": ANNA}
        recorder.rights = lambda spec: spec["user"] == ANNA
        recorder.start()
        stage.put(make.app_manifest(make.with_spec(history={"limit": 10, "archive": True})))
        before = stage.put(in_cluster("chat-a", 31, LAST))
        stage.put(in_cluster("chat-b", 32, before["spec"]["pinned"]["digest"], is_live=True))
        made = Archived(stage, recorder)
        made.hand_over(ALL_ROWS)
        yield made


def test_a_history_goes_on_in_the_archive(archived: Archived) -> None:
    answered = archived.history("page_size=5")
    assert [each["sequence"] for each in answered["data"]] == [32, 31, 30, 29, 28]
    assert answered["pagination"]["total_count"] == COUNT + 2
    assert answered["archive"] == {"rows": COUNT, "says": None}
    assert archived.sequences("page_size=5&page=7") == [2, 1]
    assert archived.sequences("page_size=5&page=8") == []
    assert archived.sequences("page_size=500") == list(range(32, 0, -1))
    assert archived.sequences("page_size=7&page=5&sort=created_at") == [29, 30, 31, 32]


def test_a_row_that_both_have_is_shown_once(archived: Archived) -> None:
    """The row has been acknowledged and is about to be deleted, or a restore made it again under another uid."""
    archived.hand_over([archived.stage.object(ROWS, "chat-a")])
    twin = archived.stage.put({**ALL_ROWS[-1], "metadata": {**ALL_ROWS[-1]["metadata"], "uid": "c0ffee00-0000-4000-8000-000000000001"}})
    assert archived.sequences("page_size=500") == list(range(32, 0, -1))
    assert archived.history()["pagination"]["total_count"] == COUNT + 2
    assert archived.history("page_size=3")["data"][2]["id"] == twin["metadata"]["uid"]


def test_an_archived_row_is_returned_whole_with_its_flow(archived: Archived) -> None:
    wanted = ALL_ROWS[10]
    found = archived.stage.get(archived.path(f"/deployments/{wanted['metadata']['uid']}?deployable=true"))
    DeploymentDetail.model_validate(found)
    assert (found["sequence"], found["status"], found["digest"]) == (11, "Superseded", wanted["spec"]["pinned"]["digest"])
    assert found["deployable"]["ok"] is None
    assert "archive" in found["deployable"]["reasons"][0]
    unknown = "00000000-0000-4000-8000-00000000000f"
    assert archived.stage.call("GET", archived.path(f"/deployments/{unknown}")).status == 404


def test_a_rollback_to_an_archived_row_is_as_to_any_other(archived: Archived) -> None:
    """Its flow is in the archive too, and the preview compares with it."""
    wanted = ALL_ROWS[10]
    body = {"restores": wanted["metadata"]["uid"], "message": "back"}
    preview = archived.stage.call("POST", archived.path("/deploy/preview"), body).data
    assert preview["to"]["version"] == "v3"
    assert any("return 'v3'" in line for line in preview["flow_diff"].splitlines())
    answered = archived.stage.call("POST", archived.path("/deploy"), body)
    assert answered.status == 201, answered.content
    (row_made,) = archived.stage.created(ROWS)
    assert row_made["spec"]["restores"] == wanted["metadata"]["name"]
    confirmed = {**body, "confirmed": {"version": "v3"}}
    assert archived.stage.call("POST", archived.path("/deploy"), confirmed).status == 201


def test_rows_of_cluster_and_archive_are_compared(archived: Archived) -> None:
    oldest = archived.stage.uid(ROWS, "chat-a")
    found = archived.stage.get(archived.path(f"/deployments/{oldest}/diff"))
    assert (found["from"]["sequence"], found["to"]["sequence"]) == (30, 31)
    ids = [ALL_ROWS[number]["metadata"]["uid"] for number in (9, 10)]
    found = archived.stage.get(archived.path(f"/deployments/{ids[1]}/diff?with={ids[0]}"))
    assert (found["from"]["sequence"], found["to"]["sequence"]) == (10, 11)
    assert [line for line in found["flow_diff"].splitlines() if line[:1] == "+" and "return 'v3'" in line], (
        "the archive alone has these flows"
    )


def test_verify_walks_the_chain_over_the_seam(archived: Archived) -> None:
    found = archived.stage.get(archived.path(f"/verify?expect={ALL_ROWS[0]['spec']['pinned']['digest']}"))
    VerificationResponse.model_validate(found)
    assert (found["rows"], found["fits"], found["expected"]["sequence"]) == (COUNT + 2, True, 1)


def test_a_row_that_was_put_in_at_the_seam_is_found(archived: Archived) -> None:
    """The oldest row in the cluster has to follow the newest archived one."""
    changed = in_cluster("chat-a", 31, ALL_ROWS[-2]["spec"]["pinned"]["digest"])
    assert changed["spec"]["pinned"]["digest"] == row_digest(changed["spec"])
    archived.stage.put(changed)
    found = archived.stage.get(archived.path("/verify"))
    assert found["fits"] is False
    assert found["misfits"][0]["sequence"] == 31


def test_a_row_that_is_missing_in_the_archive_is_found(archived: Archived) -> None:
    store = archived.recorder.folder / "runs.db"
    archived.recorder.stop()

    with sqlite3.connect(store) as database:
        database.execute("DELETE FROM archived_rows WHERE sequence = 20")
    archived.recorder.start()
    found = archived.stage.get(archived.path("/verify"))
    assert (found["fits"], [each["sequence"] for each in found["misfits"]]) == (False, [21])


def test_the_live_row_of_a_time_is_found_in_the_archive(archived: Archived) -> None:
    def at(time: str) -> Any:
        found = archived.stage.get(archived.path(f"/at?time={time}"))
        LiveAtShape.model_validate(found)
        return found

    found = at(moment(8))
    assert (found["known"], found["deployment"]["sequence"], found["rolling_out"]["sequence"]) == (True, 7, 8)
    assert found["live_until"] == ALL_ROWS[7]["spec"]["outcome"]["at"]
    newest = at(moment(31))
    assert (newest["deployment"]["sequence"], newest["rolling_out"]["sequence"]) == (30, 31)
    assert newest["live_until"] == archived.stage.object(ROWS, "chat-a")["spec"]["outcome"]["at"]
    assert (at(moment(0))["known"], at(moment(0))["deployment"]) == (True, None)


def test_a_report_has_deploys_that_are_in_the_archive(archived: Archived) -> None:
    answered = archived.stage.call("GET", f"/v1/report?since={moment(20)}&until={moment(40)}").data
    assert sorted(each["sequence"] for each in answered["deploys"]) == list(range(20, 33))
    assert answered["fits"] is True
    (told,) = answered["histories"]
    assert told["rows"] == COUNT + 2


def test_an_unavailable_recorder_is_reported_beside_the_rows_of_the_cluster(archived: Archived) -> None:
    """A person who has to roll back at night sees the available rows, and that they are not all."""
    archived.recorder.stop()
    answered = archived.history()
    assert [each["sequence"] for each in answered["data"]] == [32, 31]
    assert answered["archive"]["rows"] is None
    assert "recorder" in answered["archive"]["says"]
    for more in ("/deployments?page=2", "/deployments?sort=created_at", "/verify", f"/at?time={moment(8)}"):
        assert archived.stage.call("GET", archived.path(more)).status == 503, more
    assert archived.stage.get(archived.path(f"/at?time={moment(33)}"))["deployment"]["sequence"] == 32


def test_filters_report_that_they_cover_the_cluster_only(archived: Archived) -> None:
    answered = archived.history("version=v2")
    assert [each["sequence"] for each in answered["data"]] == [32, 31]
    assert "filters" in answered["archive"]["says"]


def test_whom_the_recorder_shows_nothing_is_shown_nothing_of_it(archived: Archived) -> None:
    archived.recorder.rights = lambda _: False
    assert archived.stage.call("GET", archived.path("/deployments")).status == 404
    assert archived.stage.call("GET", archived.path(f"/deployments/{ALL_ROWS[3]['metadata']['uid']}")).status == 404


def test_an_app_without_an_archive_asks_no_recorder(archived: Archived) -> None:
    archived.stage.put(make.app_manifest())
    archived.recorder.stop()
    answered = archived.history()
    assert [each["sequence"] for each in answered["data"]] == [32, 31]
    assert "archive" not in answered


def test_an_archive_that_is_too_long_for_one_request_is_reported(archived: Archived, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "ARCHIVED_MOST", COUNT - 1)
    error = archived.stage.call("GET", archived.path("/verify")).error(422)
    assert "one request verifies no more" in error["message"]
