"""Questions over HTTP: who sees, answers, holds and restarts, what each gets, and which answers are refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from dynamiq_recorder.journal import waiting
from tests.support.journal import ADMIN, APP, OTHER, OTHER_POD, POD, STRANGER, VIEWER, JournalStage, a_run

ANSWERER, OPERATOR = "answerer-token", "operator-token"
PARAMS = {"amount": 40, "to": "ann"}
CONTENT = {"prompt": "Pay <b>40</b>?", "params": PARAMS, "editable_params": ["amount"], "questions": None, "own": {"of": "the pod"}}
QUESTION = {"id": "pay:1", "node": "pay", "type": "approval_request", "name": "Payment", "content": CONTENT}
YES = {"type": "approval_request", "data": {"request_id": "pay:1", "is_approved": True}, "by": "of-ann"}
STATE = base64.b64encode(b"state").decode()


@pytest.fixture
def journal(journal: JournalStage) -> JournalStage:
    """Returns a journal with a user who may answer and see states, and with an operator."""
    table = journal.table
    for token in (ANSWERER, OPERATOR):
        table.users[token] = table.users[VIEWER].__class__(token.partition("-")[0], "", (), {}, is_ours=False)
    before = table.may
    rights = {
        "answerer": {("team", "list", "runs"), ("team", "get", "runs"), ("team", "update", "runcontents")},
        "operator": {("", "list", "runs"), ("", "update", "runs")},
    }
    table.may = lambda user, verb, subresource, namespace: (
        (namespace, verb, subresource) in rights[user] if user in rights else before(user, verb, subresource, namespace)
    )
    return journal


def paused(journal: JournalStage, **fields: Any) -> str:
    """Accepts a run that pauses at QUESTION. Returns its id."""
    run_id: str = journal.accept(claim=True, **fields)["data"]["id"]
    save = {"id": run_id, "fence": 1, "number": 1, "parts": {"a": STATE}, "questions": [QUESTION], "pause": {"resume_at": None}}
    assert journal.save(save) == [{"id": run_id, "ok": True, "cancel": False, "answers": []}]
    return run_id


def answered(journal: JournalStage, run_id: str, token: str = POD, body: Any = YES) -> tuple[int, str]:
    answer = journal.call("POST", f"runs/{run_id}/input", token, json=body)
    return answer.status_code, answer.json().get("error", {}).get("code", "")


def test_a_run_from_its_question_to_its_end(journal: JournalStage) -> None:
    run_id = paused(journal)
    run = journal.get(f"runs/{run_id}")["data"]
    assert (run["status"], run["state"], run["awaiting_input"], run["questions_open"]) == ("paused", "waiting", True, 1)
    (request,) = run["input_requests"]
    asked_at, expires_at = request.pop("asked_at"), request.pop("expires_at")
    assert (run["paused_at"], expires_at > asked_at) == (asked_at, True)
    shown = {name: CONTENT[name] for name in ("prompt", "params", "editable_params", "questions")} | {"params_omitted": False}
    shown |= {"id": "pay:1", "type": "approval_request", "node": "pay", "name": "Payment"}
    assert request == {**shown, "answered": False, "answered_by": None, "answered_at": None}
    (listed,) = journal.get("runs")["data"]
    assert (listed["input_requests"], listed["questions_open"]) == ([], 1)
    body = {**YES, "data": {**YES["data"], "feedback": "half", "data": {"amount": 20}}}  # type: ignore[dict-item]
    answer = journal.call("POST", f"runs/{run_id}/input", json=body)
    data = answer.json()["data"]
    assert (answer.status_code, data["state"], data["awaiting_input"], data["input_requests"]) == (200, "queued", False, [])
    (claim,) = journal.claim()
    (question,) = claim["questions"]
    assert question == {"id": "pay:1", "node": "pay", "type": "approval_request", "content": CONTENT, "answer": body["data"]}
    assert (claim["parts"], claim["run"]["workflow_hash"]) == ({"a": STATE}, APP.workflow_hash)
    end = {"status": "completed", "reason": "succeeded"}
    assert journal.save({"id": run_id, "fence": 2, "number": 1, "used": ["pay:1"], "end": end})[0]["ok"]
    events = {each["type"]: each["data"] for each in journal.get(f"runs/{run_id}/events")["data"]}
    assert events["approval_request.created"] == {"request": shown}
    assert events["run.paused"] == {"waits_for": ["pay:1"], "resume_at": None}
    assert events["run.input_received"] == {"request_id": "pay:1", "type": "approval_request", "is_approved": True, "by": "of-ann"}
    counted = journal.metrics()
    assert (counted["dynamiq_journal_answers_total"], counted["dynamiq_journal_answers_wait_seconds_count"]) == (1, 1)


def test_a_pod_that_keeps_its_run_gets_the_answer_with_its_next_save(journal: JournalStage) -> None:
    run_id = journal.accept(claim=True)["data"]["id"]
    journal.save({"id": run_id, "fence": 1, "number": 1, "questions": [QUESTION]})
    assert answered(journal, run_id) == (200, "")
    (saved,) = journal.save({"id": run_id, "fence": 1, "number": 2})
    assert saved["answers"] == [{"id": "pay:1", "answer": YES["data"]}]


def test_a_sync_run_is_accepted_when_it_asks(journal: JournalStage) -> None:
    save = {"parts": {"a": STATE}, "events": [{"type": "node.ended"}], "questions": [QUESTION], "busy_ms": 7, "node": "pay"}
    body = a_run(paused={**save, "pause": {"resume_at": None}, "started_at": "2026-11-24T12:00:01.5Z"})
    answer = journal.call("POST", "runs", json=body)
    run = answer.json()["data"]
    assert (answer.status_code, run["state"], run["started_at"]) == (201, "waiting", "2026-11-24T12:00:01.500000Z")
    assert (run["busy_ms"], run["node"], [each["id"] for each in run["input_requests"]]) == (7, "pay", ["pay:1"])
    assert journal.call("POST", "runs", json=body).status_code == 200
    timed = journal.accept(paused={"parts": {}, "pause": {"resume_at": "2099-01-01T00:00:00+02:00"}})["data"]
    assert (timed["state"], timed["resume_at"], timed["awaiting_input"]) == ("waiting", "2098-12-31T22:00:00.000000Z", False)
    wrong = [{**save, "pause": None}, {**save, "pause": {"resume_at": "2099-01-01T00:00:00"}}, {**save, "pause": {}, "questions": [{}]}]
    for each in (*(a_run(paused=each) for each in wrong), {**a_run(), "paused": body["paused"], "claim": True}):
        assert journal.call("POST", "runs", json=each).status_code == 422, each


def data(**fields: Any) -> dict[str, Any]:
    return {**YES, "data": {"request_id": "pay:1", **fields}}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (data(), 422, "validation_error"),
        (data(feedback="I approve"), 422, "validation_error"),
        (data(is_approved="yes"), 422, "validation_error"),
        (data(is_approved=1), 422, "validation_error"),
        (data(is_approved=True, data={"to": "eve"}), 422, "validation_error"),
        (data(is_approved=True, colour="red"), 422, "validation_error"),
        ({**YES, "type": "human_feedback"}, 422, "validation_error"),
        ({**YES, "type": "other"}, 422, "validation_error"),
        ({**YES, "by": None}, 422, "validation_error"),
        ({**YES, "data": []}, 422, "validation_error"),
        ({}, 422, "validation_error"),
        (data(request_id="pay:2", is_approved=True), 404, "no_such_request"),
        (data(is_approved=True, feedback="x" * (1 << 20)), 413, "too_large"),
        (b"{", 400, "bad_request"),
        (data(is_approved=True, feedback="<script>alert(1)</script>\0"), 200, ""),
    ],
    ids=range(15),
)
def test_bodies_of_answers(journal: JournalStage, body: Any, status: int, code: str) -> None:
    run_id = paused(journal)
    answer = journal.call("POST", f"runs/{run_id}/input", data=body if isinstance(body, bytes) else json.dumps(body))
    assert (answer.status_code, answer.json().get("error", {}).get("code", "")) == (status, code), answer.text
    assert "Pay <b>" not in answer.text or status == 200
    assert journal.get(f"runs/{run_id}")["data"]["state"] == ("queued" if status == 200 else "waiting")


def test_an_answer_counts_once(journal: JournalStage) -> None:
    run_id = paused(journal)
    no = data(is_approved=False)
    again = json.dumps(YES).replace('"is_approved": true', '"feedback": null,  "is_approved":true')
    assert answered(journal, run_id) == answered(journal, run_id, body=json.loads(again)) == (200, "")
    assert answered(journal, run_id, ADMIN) == (200, ""), "the same answer of somebody else"
    assert answered(journal, run_id, body=no) == (409, "already_answered")
    other = paused(journal)
    journal.call("POST", f"runs/{other}/cancel")
    assert answered(journal, other) == (409, "run_ended")
    assert answered(journal, "00000000-0000-4000-8000-000000000000") == (404, "not_found")


def test_who_may_answer(journal: JournalStage) -> None:
    run_id = paused(journal)
    assert answered(journal, run_id, VIEWER) == (403, "forbidden")
    assert answered(journal, "11111111-0000-4000-8000-000000000001", VIEWER) == answered(journal, "no-id", VIEWER) == (404, "not_found")
    assert "update apps/runcontents" in journal.call("POST", f"runs/{run_id}/input", VIEWER, json=YES).text
    assert {answered(journal, run_id, token) for token in (STRANGER, OTHER_POD)} == {(404, "not_found")}
    foreign = journal.call("POST", f"/v1/apps/{OTHER.app_uid}/runs/{run_id}/input", OTHER_POD, json=YES)
    assert foreign.status_code == 404
    answer = journal.call("POST", f"runs/{run_id}/input", ANSWERER, json={**YES, "by": "somebody else"})
    assert (answer.status_code, answer.json()["data"]["input"]) == (200, None), "to answer is not to read"
    events = journal.get(f"runs/{run_id}/events")["data"]
    assert events[-1]["data"]["by"] == "answerer"


def test_questions_are_listed_with_their_texts_for_those_who_may_read_them(journal: JournalStage) -> None:
    first, second = paused(journal, user_id="u"), paused(journal)
    page = journal.get("questions?page_size=1", ADMIN)
    assert page["pagination"] == {"page": 1, "page_size": 1, "page_count": 2, "total_count": 2}
    (whole,) = page["data"]
    assert (whole["run_id"], whole["prompt"], whole["params"], whole["user_id"], whole["key"]) == (
        *(first, "Pay <b>40</b>?", PARAMS),
        *("u", "of-ann"),
    )
    bare = journal.get("questions", VIEWER)["data"]
    assert bare[0] == {**whole, "prompt": None, "params": None, "questions": None}
    assert [each["run_id"] for each in bare] == [first, second]
    (request,) = journal.get(f"runs/{first}", VIEWER)["data"]["input_requests"]
    assert (request["prompt"], request["params"], request["editable_params"]) == (None, None, ["amount"])
    assert journal.call("GET", "questions", STRANGER).status_code == 404
    assert journal.call("GET", "questions?page_size=101", ADMIN).status_code == 422


def test_the_operator_holds_and_a_person_decides(journal: JournalStage) -> None:
    run_id = paused(journal)
    hold = {"pins": APP.pins, "reason": "Rejected"}

    def call(path: str, token: str = ADMIN, body: Any = None) -> tuple[int, Any]:
        answer = journal.call("POST", path, token, json=body)
        return answer.status_code, answer.json().get("error", {}).get("code") or answer.json()

    for token in (POD, VIEWER, ADMIN):
        assert call("hold", token, hold) == call("unhold", token, hold) == (403, "forbidden")
    assert call("hold", OPERATOR, {**hold, "reason": "not a reason"})[0] == call("hold", OPERATOR, {**hold, "pins": "x"})[0] == 422
    assert call(f"runs/{run_id}/release") == (409, "not_held")
    assert (call("hold", OPERATOR, hold), call("hold", OPERATOR, hold)) == ((200, {"held": 1}), (200, {"held": 0}))
    run = journal.get(f"runs/{run_id}")["data"]
    assert (run["status"], run["state"], run["hold_reason"], run["awaiting_input"]) == ("paused", "held", "Rejected", False)
    assert answered(journal, run_id) == (409, "run_held")
    assert call(f"runs/{run_id}/release") == (409, "run_rejected")
    assert call(f"runs/{run_id}/restart", VIEWER) == call(f"runs/{run_id}/restart", POD) == (403, "forbidden")
    assert call(f"runs/{run_id}/restart", STRANGER) == (404, "not_found")
    assert call(f"runs/{run_id}/restart", body={"pins": "nonsense"}) == (422, "validation_error")
    status, restarted = call(f"runs/{run_id}/restart", body={"pins": "9999999999999999", "workflow_hash": "sha256:f3"})
    run = restarted["data"]
    assert (status, run["state"], run["pins"], run["workflow_hash"]) == (200, "queued", "9999999999999999", "sha256:f3")
    assert (run["questions_open"], run["hold_reason"], run["paused_at"]) == (0, None, None)
    assert journal.get(f"runs/{run_id}/events")["data"][-1]["data"] == {"pins": "9999999999999999", "by": "admin"}
    other = paused(journal)
    call("hold", OPERATOR, {**hold, "reason": "Lost"})
    assert call("unhold", OPERATOR, {**hold, "reason": "Lost"}) == (200, {"released": 1})
    call("hold", OPERATOR, {**hold, "reason": "Lost"})
    assert call(f"runs/{other}/release")[1]["data"]["state"] == "waiting"
    assert answered(journal, other) == (200, "")
    (claim,) = journal.claim()
    third = paused(journal)
    for count in (2, 0):
        assert call("hold", OPERATOR, {**hold, "cancel": True}) == (200, {"held": 0, "canceled": count})
    assert journal.get(f"runs/{third}")["data"]["state"] == "canceled"
    assert journal.save({"id": other, "fence": claim["fence"], "number": 1})[0]["cancel"]


def test_many_runs_are_held_and_released_in_pieces(journal: JournalStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PIECE", 2)
    for _ in range(5):
        journal.accept()
    body = {"pins": APP.pins, "reason": "Rejected"}
    assert journal.call("POST", "hold", OPERATOR, json=body).json() == {"held": 5}
    assert journal.call("POST", "unhold", OPERATOR, json=body).json() == {"released": 5}
    assert journal.call("POST", "hold", OPERATOR, json={**body, "cancel": True}).json() == {"held": 0, "canceled": 5}


def test_questions_of_a_pod_are_checked(journal: JournalStage) -> None:
    run_id = journal.accept(claim=True)["data"]["id"]

    def asked(**fields: Any) -> tuple[int, str]:
        save = {"id": run_id, "fence": 1, "number": 1, "questions": [{**QUESTION, **fields}]}
        answer = journal.call("POST", "saves", json={"instance": "i", "saves": [save]})
        return answer.status_code, answer.json().get("error", {}).get("code", "")

    wrong: list[dict[str, Any]] = [{"content": []}, {"content": {"params": 1}}, {"content": {"questions": [{"id": 1}]}}, {"type": "x"}]
    for each in wrong:
        assert asked(**each) == (422, "validation_error"), each
    assert asked(content={"prompt": "x" * (64 << 10)}) == (413, "checkpoint_too_large")
    assert asked(name=None, content={}) == (200, "")
    (request,) = journal.get(f"runs/{run_id}")["data"]["input_requests"]
    assert (request["name"], request["prompt"], request["params"], request["editable_params"]) == ("pay", None, None, [])
