"""Rows at the recorder: those that it accepts before the operator deletes its own, their senders, and their readers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from dynamiq_operator.model.manifests import Manifest
from dynamiq_recorder.store.results import Unavailable
from tests.support import factories as given
from tests.support.archived_rows import flows, history
from tests.support.recorder_stage import (
    ADMIN,
    APP_UID,
    GATE,
    OPERATOR,
    OTHER_UID,
    POD_TOKEN,
    READER,
    STRANGER,
    VIEWER,
    RecorderStage,
)
from tests.support.waiting import IN_TIME, eventually
from tests.unit.recorder.test_requests import problem

ARCHIVE = f"/v1/apps/{APP_UID}/archive"


def hand_over(recorder: RecorderStage, rows: list[Manifest], token: str = OPERATOR, **body: Any) -> Any:
    return recorder.call("POST", ARCHIVE, token, json={"rows": rows, "flows": flows(rows)} | body)


def refused(recorder: RecorderStage, row: Manifest, says: str, **body: Any) -> None:
    answer = hand_over(recorder, [row], **body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["archived"] == []
    (refusal,) = answer.json()["data"]["refused"]
    assert refusal["uid"] == row["metadata"]["uid"]
    assert says in refusal["says"]


def test_rows_are_acknowledged_by_their_digests_and_read_as_they_were(recorder: RecorderStage) -> None:
    rows = history(5, app_uid=APP_UID)
    for _ in range(2):
        result = hand_over(recorder, rows).json()["data"]
        assert result["refused"] == []
        assert {each["uid"]: (each["digest"], each["outcome_digest"]) for each in result["archived"]} == {
            row["metadata"]["uid"]: (row["spec"]["pinned"]["digest"], row["spec"]["outcome"]["digest"]) for row in rows
        }
        since = {each["uid"]: each["archived_at"] for each in result["archived"]}
        assert {each["uid"]: each["archived_at"] for each in recorder.get(f"{ARCHIVE}/keys?from=0")} == since

    page = recorder.call("GET", f"{ARCHIVE}?limit=3").json()
    assert [row["spec"] for row in page["data"]] == [row["spec"] for row in rows[:1:-1]]
    assert page["pagination"]["total_count"] == 5
    rest = recorder.call("GET", f"{ARCHIVE}?limit=3&cursor={page['pagination']['next_cursor']}").json()
    assert [row["spec"]["sequence"] for row in rest["data"]] == [2, 1]
    assert rest["pagination"]["next_cursor"] is None
    assert [row["spec"]["sequence"] for row in recorder.get(f"{ARCHIVE}?order=oldest&offset=1&limit=2")] == [2, 3]
    for field in ("uid", "name"):
        found = recorder.get(f"{ARCHIVE}/rows/{rows[2]['metadata'][field]}")
        assert (found["spec"], found["status"]) == (rows[2]["spec"], {"phase": "Superseded"})
        assert found["metadata"] == {
            name: rows[2]["metadata"][name] for name in ("name", "namespace", "uid", "creationTimestamp", "ownerReferences")
        }
    assert recorder.get(f"{ARCHIVE}/flows/{given.flow_hash('v1')}")["flow"] == given.flow("v1")
    assert recorder.metrics()["dynamiq_recorder_rows_archived_total"] == 10


def test_keys_of_rows_and_the_live_row_of_a_time_are_returned(recorder: RecorderStage) -> None:
    rows = history(5, app_uid=APP_UID)
    hand_over(recorder, rows)
    answer = recorder.call("GET", f"{ARCHIVE}/keys?from=4", READER).json()
    assert [each["uid"] for each in answer["data"]] == [rows[4]["metadata"]["uid"], rows[3]["metadata"]["uid"]]
    assert answer["pagination"]["total_count"] == 5
    at = rows[0]["spec"]["outcome"]["at"]
    assert {row["spec"]["sequence"] for row in recorder.get(f"{ARCHIVE}/at?time={at}", READER)} >= {1}
    for path in ("keys?from=0", f"at?time={at}"):
        problem(recorder.call("GET", f"{ARCHIVE}/{path}", VIEWER), 404)
    for path in ("keys", "keys?from=-1", "at", "at?time=now", "?limit=501", "?cursor=x", "?order=any"):
        problem(recorder.call("GET", f"{ARCHIVE}{'' if path[0] == '?' else '/'}{path}"), 422)


def test_the_operator_alone_hands_over(recorder: RecorderStage) -> None:
    """A tenant's admin may do everything with Apps and rows in their namespace, but not invent archived rows."""
    for token in (ADMIN, VIEWER, READER, GATE, POD_TOKEN, STRANGER):
        problem(hand_over(recorder, history(1, app_uid=APP_UID), token), 403, "operator")
    recorder.users["forged"] = {"username": "system:serviceaccount:dynamiq-system:dynamiq-operator"}
    problem(hand_over(recorder, history(1, app_uid=APP_UID), "forged"), 403)
    problem(recorder.session.post(recorder.url + ARCHIVE, json={}, timeout=IN_TIME), 401)
    assert recorder.get(ARCHIVE) == []


def _changed(change: Callable[[Manifest], None]) -> Manifest:
    (row,) = copy.deepcopy(history(1, app_uid=APP_UID))
    change(row)
    return row


@pytest.mark.parametrize(
    ("row", "says"),
    [
        pytest.param(_changed(lambda row: row["spec"].update(message="another")), "digest", id="what it asked"),
        pytest.param(_changed(lambda row: row["spec"]["outcome"].update(result="Failed")), "digest", id="how it ended"),
        pytest.param(_changed(lambda row: row["spec"].update(sequence=7)), "digest", id="its place"),
        pytest.param(_changed(lambda row: row["spec"].pop("pinned")), "digest", id="its pins"),
        pytest.param(_changed(lambda row: row["spec"].pop("outcome")), "not ended", id="its end"),
        pytest.param(_changed(lambda row: row["spec"].pop("sequence")), "sequence", id="no place"),
        pytest.param(_changed(lambda row: row["metadata"].update(namespace="rivals")), "not a row of this App", id="its namespace"),
        pytest.param(_changed(lambda row: row["spec"].update(app="other")), "not a row of this App", id="its App"),
        pytest.param(_changed(lambda row: row["metadata"].update(ownerReferences=[])), "not a row of this App", id="its owner"),
        pytest.param(_changed(lambda row: row.update(kind="AppChange")), "not a row of this App", id="its kind"),
    ],
)
def test_rows_that_do_not_fit_are_refused(recorder: RecorderStage, row: Manifest, says: str) -> None:
    refused(recorder, row, says)
    good = history(2, app_uid=APP_UID)[1]
    result = hand_over(recorder, [row, good]).json()["data"]
    assert ([each["uid"] for each in result["archived"]], len(result["refused"])) == ([good["metadata"]["uid"]], 1)


def test_a_row_is_taken_with_its_flow_or_not_at_all(recorder: RecorderStage) -> None:
    row, later = history(4, app_uid=APP_UID)[::3]
    named = row["spec"]["pinned"]["workflowHash"]
    refused(recorder, row, "flow", flows={})
    refused(recorder, row, "flow", flows={named: "another flow"})
    assert hand_over(recorder, [row]).json()["data"]["refused"] == []
    assert later["spec"]["pinned"]["workflowHash"] == named
    assert hand_over(recorder, [later], flows={}).json()["data"]["refused"] == [], "it is here already"


def test_a_flow_that_is_nowhere_keeps_no_row_from_the_archive(recorder: RecorderStage) -> None:
    (row,) = history(1, app_uid=APP_UID)
    named = row["spec"]["pinned"]["workflowHash"]
    assert hand_over(recorder, [row], flows={named: None}).json()["data"]["refused"] == []
    problem(recorder.call("GET", f"{ARCHIVE}/flows/{named}"), 404)


def test_a_row_that_was_never_pinned_is_archived_too(recorder: RecorderStage) -> None:
    owners = history(1, app_uid=APP_UID)[0]["metadata"]["ownerReferences"]
    made = given.row_manifest("chat-9", given.in_namespace("team"), given.never_deployed(9), given.with_meta(ownerReferences=owners))
    row = given.stored(made)
    (archived,) = hand_over(recorder, [row], flows={}).json()["data"]["archived"]
    assert (archived["digest"], archived["outcome_digest"]) == (None, row["spec"]["outcome"]["digest"])
    assert recorder.get(f"{ARCHIVE}/rows/chat-9")["status"] == {"phase": "Failed"}


def test_only_callers_who_may_list_rows_read_them(recorder: RecorderStage) -> None:
    rows = history(2, app_uid=APP_UID)
    hand_over(recorder, rows)
    paths = [ARCHIVE, f"{ARCHIVE}/rows/{rows[0]['metadata']['uid']}"]
    flow = f"{ARCHIVE}/flows/{given.flow_hash('v2')}"
    for path in paths:
        assert recorder.call("GET", path, READER).status_code == 200
        for token in (VIEWER, STRANGER):
            problem(recorder.call("GET", path, token), 404, "App")
    for token in (READER, VIEWER, STRANGER):
        problem(recorder.call("GET", flow, token), 404, "App")
    assert recorder.call("GET", flow, ADMIN).status_code == 200
    problem(recorder.call("GET", ARCHIVE.replace(APP_UID, OTHER_UID), ADMIN), 404, "App")


def test_rows_of_a_deleted_app_require_the_right_to_read_all(recorder: RecorderStage) -> None:
    """Another tenant may have the name of its namespace by now."""
    hand_over(recorder, history(2, app_uid=APP_UID))
    recorder.put("apps", recorder.apps[0], "DELETED")

    def is_hidden() -> bool:
        return bool(recorder.call("GET", ARCHIVE, ADMIN).status_code == 404)

    eventually("the recorder hears of its end", is_hidden)
    recorder.rights = lambda spec: spec["user"] == "viewer" and "namespace" not in spec["resourceAttributes"]
    assert len(recorder.get(ARCHIVE, VIEWER)) == 2
    problem(hand_over(recorder, history(1, app_uid=APP_UID)), 404)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"rows": [], "flows": {}}', 400),
        (b'{"rows": [{}], "flows": {}}', 400),
        (b'{"rows": [{"metadata": {"uid": 7}}], "flows": {}}', 400),
        (b'{"rows": ' + b"[" * 100_000, 400),
        (b'{"rows": [' + b'{"metadata": {"uid": "a"}},' * 100 + b'{"metadata": {"uid": "a"}}], "flows": {}}', 400),
        (b"x" * (8 * 1024 * 1024 + 1), 413),
    ],
)
def test_a_body_without_rows_is_refused(recorder: RecorderStage, body: bytes, status: int) -> None:
    problem(recorder.call("POST", ARCHIVE, OPERATOR, data=body), status)


def test_while_the_store_cannot_be_written_nothing_is_acknowledged(stage: RecorderStage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.start(full_at=1.0, no_spans_at=1.0)

    def away(*_: Any) -> None:
        raise Unavailable("the volume is full")

    monkeypatch.setattr("dynamiq_recorder.store.sql_store.Store.archive", away)
    answer = hand_over(stage, history(1, app_uid=APP_UID))
    problem(answer, 503)
    assert answer.headers["Retry-After"]
