"""The journal's HTTP: whose runs a caller reaches, what of them they see, and which bodies are refused."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from dynamiq_recorder.identity.pods import KnownPod
from dynamiq_recorder.journal.model import PARTS_MAX
from dynamiq_recorder.journal.store import JournalStore, opened
from dynamiq_recorder.store.results import Unavailable
from tests.support.journal import ADMIN, APP, OTHER, OTHER_POD, POD, STRANGER, VIEWER, JournalStage, a_run
from tests.support.waiting import eventually

NEWER = "newer-pod-token"


def an_end(**fields: Any) -> dict[str, Any]:
    return {"status": "completed", "reason": "succeeded", "output": {"answer": 42}, **fields}


def ended(journal: JournalStage, **fields: Any) -> str:
    """Accepts and ends a run. Returns its id."""
    run_id: str = journal.accept(claim=True)["data"]["id"]
    events = [{"type": "node.ended", "data": {"node": "a"}}]
    (result,) = journal.save({"id": run_id, "fence": 1, "number": 1, "busy_ms": 12, "node": "a", "events": events, "end": an_end(**fields)})
    assert result == {"id": run_id, "ok": True, "cancel": False, "answers": []}
    return run_id


def a_started_run(body: dict[str, Any], at: str) -> dict[str, Any]:
    """Returns the run of a request, which was accepted and claimed at a time."""
    return {
        "id": body["id"],
        "app_id": APP.app_uid,
        "namespace": "team",
        "app": "chat",
        "status": "started",
        "reason": None,
        "state": "running",
        "pins": APP.pins,
        "workflow_hash": APP.workflow_hash,
        "accepted_at": at,
        "started_at": at,
        "ended_at": None,
        "busy_ms": 0,
        "attempts": 0,
        "node": None,
        "key": "of-ann",
        "user_id": "u",
        "session_id": "s",
        "trigger": "t",
        "tags": ["x"],
        "cancel_requested": False,
        "last_sequence": 2,
        "input": {"question": "hi"},
        "output": None,
        "content_omitted": False,
        "error": None,
        "awaiting_input": False,
        "questions_open": 0,
        "paused_at": None,
        "resume_at": None,
        "hold_reason": None,
        "input_requests": [],
        "callbacks": [],
    }


def test_a_run_from_its_acceptance_to_its_end(journal: JournalStage) -> None:
    body = a_run(user_id="u", session_id="s", trigger="t", tags=["x"], headers={"traceparent": "00-1"}, claim=True)
    answer = journal.call("POST", "runs", json=body)
    assert answer.status_code == 201
    run, claim = answer.json()["data"], answer.json()["claim"]
    shown = a_started_run(body, run["accepted_at"])
    assert run == shown
    assert claim == {
        "run": shown,
        "fence": 1,
        "lease_seconds": 30,
        "busy_ms": 0,
        "alone": False,
        "headers": {"traceparent": "00-1"},
        "parts": {},
        "questions": [],
    }
    again = journal.call("POST", "runs", json=body)
    assert (again.status_code, again.json()) == (200, {"data": shown, "claim": None})
    state = base64.b64encode(b"\0\xff state").decode()
    journal.save(
        {"id": body["id"], "fence": 1, "number": 1, "parts": {"a": state, "b": state}}, {"id": str(uuid.uuid4()), "fence": 1, "number": 1}
    )
    journal.save({"id": body["id"], "fence": 1, "number": 2, "drop_parts": ["b"], "hand_back": True})
    (claim,) = journal.claim(free=3)
    assert (claim["fence"], claim["parts"], claim["headers"]) == (2, {"a": state}, {"traceparent": "00-1"})
    assert journal.save({"id": body["id"], "fence": 1, "number": 9}) == [{"id": body["id"], "ok": False, "code": "fenced"}]
    assert journal.save({"id": body["id"], "fence": 2, "number": 1, "busy_ms": 70, "end": an_end()})[0]["ok"]
    run = journal.get(f"runs/{body['id']}")["data"]
    assert (run["status"], run["state"], run["reason"], run["output"], run["busy_ms"]) == (
        "completed",
        "completed",
        "succeeded",
        {"answer": 42},
        70,
    )
    assert run["ended_at"] > run["started_at"]
    found = journal.get(f"runs/{body['id']}/events")
    assert found["ended"] is True
    assert [(each["sequence"], each["type"]) for each in found["data"]] == list(
        enumerate(["run.accepted", "run.started", "run.handed_back", "run.resumed", "run.completed"], 1)
    )
    assert found["data"][3]["data"] == {"attempt": 2}
    assert found["data"][-1]["data"] == {
        "id": body["id"],
        "object": "run",
        "status": "completed",
        "reason": "succeeded",
        "error": None,
        "output": {"answer": 42},
    }
    assert found["data"][-1]["timestamp"] == run["ended_at"]


def test_events_are_paged_by_their_sequence(journal: JournalStage) -> None:
    run_id = ended(journal)
    first = journal.get(f"runs/{run_id}/events?after=1&limit=2")
    assert ([each["sequence"] for each in first["data"]], first["ended"]) == ([2, 3], False)
    rest = journal.get(f"runs/{run_id}/events?after=3")
    assert ([each["sequence"] for each in rest["data"]], rest["ended"]) == ([4], True)
    assert journal.get(f"runs/{run_id}/events?after=4") == {"data": [], "ended": True}


def test_lists_are_paged_and_selected_by_the_products_words(journal: JournalStage) -> None:
    done = ended(journal)
    started = journal.accept(claim=True, session_id="s")["data"]["id"]
    created = journal.accept(user_id="u")["data"]["id"]
    page = journal.get("runs?page_size=2")
    assert page["pagination"] == {"page": 1, "page_size": 2, "page_count": 2, "total_count": 3}
    assert [each["id"] for each in page["data"]] == [created, started]

    def ids(query: str) -> list[str]:
        return [each["id"] for each in journal.get(f"runs?sort=accepted_at&{query}")["data"]]

    assert ids("page=2&page_size=2") == [created]
    assert ids("status=completed&status=created") == [done, created]
    assert ids("open=true") == [started, created]
    assert ids("open=true&status=completed") == []
    assert ids("open=false") == [done]
    assert ids("user_id=u") == [created]
    assert ids("session_id=s") == [started]
    for wrong in ("status=queued", "page_size=101", "page=0", "colour=red", "sort=id"):
        assert journal.call("GET", f"runs?{wrong}").status_code == 422, wrong


@pytest.mark.parametrize("path", ["", "/events", "/cancel"])
def test_a_run_that_a_caller_may_not_see_is_answered_like_a_missing_one(journal: JournalStage, path: str) -> None:
    method = "POST" if path == "/cancel" else "GET"
    theirs = a_run()
    assert journal.call("POST", f"/v1/apps/{OTHER.app_uid}/runs", OTHER_POD, json=theirs).status_code == 201
    run_id = theirs["id"]
    answers = [
        journal.call(method, f"/v1/apps/{uid}/runs/{run_id}{path}", token)
        for uid, token in (
            *((OTHER.app_uid, POD), (APP.app_uid, POD), (APP.app_uid, OTHER_POD), (str(uuid.uuid4()), POD)),
            *((OTHER.app_uid, ADMIN), (APP.app_uid, ADMIN), (APP.app_uid, STRANGER), (OTHER.app_uid, STRANGER), ("nonsense", STRANGER)),
        )
    ]
    assert {each.status_code for each in answers} == {404}
    assert {each.text for each in answers} == {answers[0].text}
    assert journal.call(method, f"runs/nonsense{path}").status_code == 404
    assert journal.call("GET", f"/v1/apps/{OTHER.app_uid}/runs/{run_id}", OTHER_POD).json()["data"]["state"] == "queued"


def test_an_app_that_a_caller_may_not_see_is_answered_like_a_missing_one(journal: JournalStage) -> None:
    for method, path, body in (
        ("GET", "runs", None),
        ("POST", "runs", a_run()),
        ("POST", "claims", {"instance": "i", "free": 1, "held": 0}),
        ("POST", "saves", {"instance": "i", "saves": []}),
    ):
        shown = {
            (answer.status_code, answer.text.replace(uid, "UID"))
            for uid, token in ((OTHER.app_uid, POD), (APP.app_uid, STRANGER), ("missing", POD), ("missing", ADMIN), (OTHER.app_uid, ADMIN))
            for answer in [journal.call(method, f"/v1/apps/{uid}/{path}", token, json=body)]
        }
        assert shown == {(404, '{"error":{"code":"not_found","message":"there is no App UID","details":{}}}')}, (method, path)
    assert journal.call("GET", "runs", "unknown-token").status_code == 401
    assert journal.session.get(f"{journal.url}/v1/apps/{APP.app_uid}/runs").status_code == 401


def test_pods_of_other_pins_read_and_cancel_but_neither_claim_nor_save(journal: JournalStage) -> None:
    journal.table.add_pod(NEWER, msgspec.structs.replace(APP, pins="9999999999999999", pod="chat-2"))
    run_id = journal.accept(claim=True)["data"]["id"]
    queued = journal.accept()["data"]["id"]
    assert journal.claim(NEWER) == []
    assert journal.save({"id": run_id, "fence": 1, "number": 1}, token=NEWER) == [{"id": run_id, "ok": False, "code": "fenced"}]
    assert journal.get(f"runs/{run_id}", NEWER)["data"]["input"] == {"question": "hi"}
    assert journal.call("POST", f"runs/{queued}/cancel", NEWER, json={"by": "of-bob"}).json()["data"]["state"] == "canceled"
    assert journal.get(f"runs/{queued}/events")["data"][-1]["data"]["by"] == "of-bob"


def test_a_pod_of_no_row_or_of_no_app_does_nothing(journal: JournalStage) -> None:
    journal.table.add_pod("no-pins", msgspec.structs.replace(APP, pins=""))
    assert journal.call("POST", "runs", "no-pins", json=a_run()).status_code == 403
    journal.table.add_pod("no-app", APP)
    journal.table.pods_by_uid = {uid: KnownPod(pod.namespace) for uid, pod in journal.table.pods_by_uid.items()}
    assert journal.call("GET", "runs", "no-app").status_code == 404


def test_users_see_by_their_rights(journal: JournalStage) -> None:
    run_id = ended(journal, status="failed", reason="failed", error={"code": "boom", "message": "secret", "details": {"a": 1}})
    whole = journal.get(f"runs/{run_id}", ADMIN)["data"]
    assert (whole["input"], whole["output"]) == ({"question": "hi"}, {"answer": 42})
    assert whole["error"] == {"code": "boom", "message": "secret", "details": {"a": 1}}
    bare = journal.get(f"runs/{run_id}", VIEWER)["data"]
    assert bare == {**whole, "input": None, "output": None, "error": {"code": "boom"}}
    assert journal.get("runs", VIEWER)["data"] == [bare]
    assert journal.get("runs", ADMIN)["data"] == [whole]
    assert [each["data"] for each in journal.get(f"runs/{run_id}/events", VIEWER)["data"]] == [{}] * 4
    assert journal.get(f"runs/{run_id}/events", ADMIN)["data"][2]["data"] == {"node": "a"}
    refused = journal.call("POST", f"runs/{run_id}/cancel", VIEWER)
    assert (refused.status_code, "update apps/runs" in refused.text) == (403, True)
    assert journal.call("POST", f"runs/{run_id}/cancel", ADMIN).json()["data"] == whole, "an ended run is unchanged"
    for path, body in (("runs", a_run()), ("claims", {"instance": "i", "free": 1, "held": 0}), ("saves", {"instance": "i", "saves": []})):
        assert journal.call("POST", path, ADMIN, json=body).status_code == 403, "only pods do this"


def test_a_cancellation_says_by_whom(journal: JournalStage) -> None:
    run_id = journal.accept()["data"]["id"]
    canceled = journal.call("POST", f"runs/{run_id}/cancel", ADMIN, json={"by": "somebody else"}).json()["data"]
    assert (canceled["status"], canceled["reason"], canceled["cancel_requested"]) == ("canceled", "canceled", True)
    assert journal.get(f"runs/{run_id}/events")["data"][-1]["data"]["by"] == "admin"
    running = journal.accept(claim=True)["data"]["id"]
    asked = journal.call("POST", f"runs/{running}/cancel", POD).json()["data"]
    assert (asked["status"], asked["cancel_requested"]) == ("started", True)
    assert journal.save({"id": running, "fence": 1, "number": 1}) == [{"id": running, "ok": True, "cancel": True, "answers": []}]


TOO_LONG = "x" * 257


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (a_run(input={"text": "x" * (1 << 20)}), 413, "too_large"),
        (a_run(input={"text": "x" * (2 << 20)}), 413, "too_large"),
        (a_run(headers={"traceparent": "x" * 9000}), 413, "too_large"),
        (a_run(input=[1]), 422, "validation_error"),
        (a_run(input=None), 422, "validation_error"),
        (a_run(id="one"), 422, "validation_error"),
        (a_run(idempotency_key=TOO_LONG), 422, "validation_error"),
        (a_run(idempotency_key=""), 422, "validation_error"),
        (a_run(user_id=7), 422, "validation_error"),
        (a_run(tags=["x"] * 51), 422, "validation_error"),
        ({"key": "k"}, 422, "validation_error"),
        (b"{", 400, "bad_request"),
        (b'{"id": "\xff"}', 400, "bad_request"),
        (b'{"input":' + b"[" * 100_000, 400, "bad_request"),
        (b"", 422, "validation_error"),
        (a_run(newer_field=1), 201, ""),
    ],
    ids=range(16),
)
def test_bodies_of_runs(journal: JournalStage, body: Any, status: int, code: str) -> None:
    answer = journal.call("POST", "runs", data=body if isinstance(body, bytes) else json.dumps(body))
    assert (answer.status_code, answer.json().get("error", {}).get("code", "")) == (status, code), answer.text


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("claims", {"instance": "i", "free": 0, "held": 0}, "free"),
        ("claims", {"instance": "i", "free": 1, "held": -1}, "held"),
        ("claims", {"instance": "i", "free": 1, "held": 0, "wait": 26}, "wait"),
        ("saves", {"instance": "i", "saves": [{"id": "x", "fence": 1}]}, "saves[0]"),
        ("saves", {"instance": "i", "saves": [{"id": "x", "fence": 1, "number": 0}]}, "saves[0].number"),
        ("saves", {"instance": "i", "saves": [{"id": "x", "fence": 1, "number": 1, "parts": {"a": "?"}}]}, "parts"),
        (
            "saves",
            {"instance": "i", "saves": [{"id": "x", "fence": 1, "number": 1, "end": {"status": "held", "reason": "r"}}]},
            "saves[0].end.status",
        ),
        ("saves", {"instance": "i", "saves": [{"id": "x", "fence": 1, "number": 1}] * 501}, "saves"),
    ],
)
def test_wrong_fields_are_named(journal: JournalStage, path: str, body: Any, field: str) -> None:
    answer = journal.call("POST", path, json=body)
    assert answer.status_code == 422, answer.text
    assert field in answer.json()["error"]["details"]


def test_a_checkpoint_that_is_too_large_is_named(journal: JournalStage) -> None:
    run_id = journal.accept(claim=True)["data"]["id"]
    part = base64.b64encode(bytes(PARTS_MAX + 1)).decode()
    answer = journal.call("POST", "saves", json={"instance": "i", "saves": [{"id": run_id, "fence": 1, "number": 1, "parts": {"a": part}}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "checkpoint_too_large")
    assert answer.json()["error"]["details"] == {"id": run_id}
    assert journal.save({"id": run_id, "fence": 1, "number": 1, "end": an_end(status="failed", reason="failed")})[0]["ok"]
    large = journal.call("POST", "saves", data=b" " * (17 << 20))
    assert (large.status_code, large.json()["error"]["code"]) == (413, "too_large")


def test_an_app_has_a_limit_of_open_runs(journal: JournalStage) -> None:
    journal.table.add_app(APP, open_most=2)
    bodies = [a_run(claim=True) for _ in range(3)]
    answers = [journal.call("POST", "runs", json=each) for each in bodies]
    assert [each.status_code for each in answers] == [201, 201, 429]
    assert (answers[2].json()["error"]["code"], answers[2].headers["Retry-After"]) == ("too_many_runs", "5")
    assert journal.save({"id": bodies[0]["id"], "fence": 1, "number": 1, "end": an_end()})[0]["ok"]
    assert journal.call("POST", "runs", json=bodies[2]).status_code == 201


def test_a_used_idempotency_key_of_another_request_is_refused(journal: JournalStage) -> None:
    run_id = journal.accept(idempotency_key="once", request_hash="a")["data"]["id"]
    same = journal.call("POST", "runs", json=a_run(idempotency_key="once", request_hash="a"))
    assert (same.status_code, same.json()["data"]["id"], same.json()["claim"]) == (200, run_id, None)
    other = journal.call("POST", "runs", json=a_run(idempotency_key="once", request_hash="b"))
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


class Faulty(JournalStore):
    """A real store with the fullness and the error that a test sets."""

    def __init__(self, store: JournalStore) -> None:
        vars(self).update(vars(store))
        self.full = 0.5
        self.wrong: Exception | None = None

    def fullness(self) -> float:
        return self.full

    def commit(self, work: Callable[[Any], Any]) -> Any:
        if self.wrong is not None:
            raise self.wrong
        return super().commit(work)


def test_the_last_of_a_disk_is_for_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynamiq_recorder.journal.upkeep.LOOKS_EVERY", 0.05)
    store = Faulty(opened(f"sqlite://{tmp_path}/journal.db"))
    with JournalStage(tmp_path, store=store) as journal:
        run_id = journal.accept(claim=True)["data"]["id"]
        queued = journal.accept()["data"]["id"]
        store.full = 0.96
        (refused,) = eventually("it is full", lambda: _refused(journal))
        assert (refused.json()["error"]["code"], int(refused.headers["Retry-After"]) >= 10) == ("disk_full", True)
        assert journal.save({"id": run_id, "fence": 1, "number": 1, "end": an_end()})[0]["ok"]
        assert journal.call("POST", f"runs/{queued}/cancel").status_code == 200
        store.wrong = Unavailable("the disk is full")
        saved = journal.call("POST", "saves", json={"instance": "i", "saves": [{"id": run_id, "fence": 1, "number": 1}]})
        assert (saved.status_code, saved.headers["Retry-After"]) == (503, "5")
        assert journal.call("GET", "/readyz").status_code == 503
        store.wrong, store.full = None, 0.5
        eventually("there is room again", lambda: journal.call("POST", "runs", json=a_run()).status_code == 201)
        assert journal.call("GET", "/readyz").status_code == 200


def _refused(journal: JournalStage) -> list[requests.Response]:
    answer = journal.call("POST", "runs", json=a_run())
    return [answer] if answer.status_code == 503 else []
