"""Background runs as their callers see them: calls, statuses, events, limits."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.background import Caller, begins, lines, pod, steps_flow
from tests.support.journal import OTHER, OTHER_POD, JournalStage, a_run
from tests.support.runtime import ECHO, serving
from tests.support.waiting import eventually

FLOW = steps_flow("a", "b", "c")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalStage]:
    (tmp_path / "journal").mkdir()
    with JournalStage(tmp_path / "journal") as stage:
        yield stage


@pytest.fixture
def caller(tmp_path: Path, journal: JournalStage) -> Iterator[Caller]:
    with pod(tmp_path / "pod", FLOW, journal) as served:
        yield Caller(served)


def test_a_run_is_accepted_and_ends_by_itself(caller: Caller, tmp_path: Path) -> None:
    log = tmp_path / "log"
    run_id = caller.begin({"log": str(log)}, {"X-Dynamiq-User-Id": "ada"})
    run = caller.ended(run_id)
    assert (run["status"], run["reason"], run["output"], run["user_id"]) == ("completed", "succeeded", ["a", "b", "c"], "ada")
    assert (run["input"], run["error"], run["input_requests"]) == ({"log": str(log)}, None, [])
    assert run["accepted_at"] <= run["started_at"] <= run["ended_at"]
    assert lines(log) == ["a", "b", "c"]


def test_events_are_numbered_and_can_be_read_again_from_any_place(caller: Caller, tmp_path: Path) -> None:
    run_id = caller.begin({"log": str(tmp_path / "log")})
    events = caller.events(run_id)
    kinds = [kind for kind, _ in events]
    assert kinds[:2] == ["run.accepted", "run.started"]
    assert kinds[-1] == "run.completed"
    assert [event["data"]["id"] for kind, event in events if kind == "node.ended"] == ["in", "a", "b", "c", "out"]
    assert [event["sequence"] for _, event in events] == list(range(1, len(events) + 1))
    assert events[-1][1]["data"]["output"] == ["a", "b", "c"]
    assert caller.events(run_id, after=4) == events[4:]
    page = caller.ask("GET", f"/v1/runs/{run_id}/events?page=2&page_size=3").body
    assert page["data"] == [event for _, event in events[3:6]]
    assert page["pagination"]["total_count"] == len(events)


def test_a_waiting_call_goes_before_the_next_node_if_there_is_one_thread(journal: JournalStage, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    with pod(tmp_path / "pod", FLOW, journal, DYNAMIQ_MAX_CONCURRENT_RUNS="1") as served:
        caller = Caller(served)
        run_id = caller.begin({"log": str(log), "a": str(gate)})
        begins(log, "a")
        with ThreadPoolExecutor(1) as threads:
            call = threads.submit(caller.ask, "POST", "/", {"input": {"log": str(log)}})
            eventually("the call waits", lambda: served.metric("dynamiq_runtime_runs_waiting") == 1)
            gate.unlink()
            assert call.result().body == ["a", "b", "c"]
        caller.ended(run_id)
    assert lines(log) == ["a", "a", "b", "c", "b", "c"]


def test_background_runs_leave_half_of_the_threads_to_calls(journal: JournalStage, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    with pod(tmp_path / "pod", FLOW, journal, DYNAMIQ_MAX_CONCURRENT_RUNS="4") as served:
        caller = Caller(served)
        runs = [caller.begin({"log": str(log), "a": str(gate)}) for _ in range(5)]
        eventually("two runs are under way", lambda: len(lines(log)) == 2)
        assert caller.ask("POST", "/", {"input": {"log": str(tmp_path / "other")}}).body == ["a", "b", "c"]
        assert served.activity["in_flight"] == 2  # the pod is not put to sleep, and its end waits for them
        assert Counter(caller.run(run_id)["status"] for run_id in runs) == {"started": 2, "created": 3}
        gate.unlink()
        assert {caller.ended(run_id)["status"] for run_id in runs} == {"completed"}


def test_a_run_is_canceled_at_its_next_node_or_at_once_while_it_is_queued(journal: JournalStage, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    with pod(tmp_path / "pod", FLOW, journal, DYNAMIQ_MAX_CONCURRENT_RUNS="1") as served:
        caller = Caller(served)
        running, queued = (caller.begin({"log": str(log), "a": str(gate)}) for _ in range(2))
        begins(log, "a")
        for run_id in (running, queued, queued):
            assert caller.ask("POST", f"/v1/runs/{run_id}/cancel").body == {"message": "canceled"}
        assert caller.run(queued)["status"] == "canceled"
        assert caller.run(running)["status"] == "started"
        gate.unlink()
        run = caller.ended(running)
        assert (run["status"], run["reason"], run["output"]) == ("canceled", "canceled", None)
        assert lines(log) == ["a"]
        assert caller.ask("POST", f"/v1/runs/{running}/cancel").status == 200
        assert [kind for kind, _ in caller.events(running)][-1] == "run.canceled"
        assert served.activity["runs"] == {"succeeded": 0, "failed": 0, "refused": 0}


def test_a_request_that_comes_again_gets_its_run(caller: Caller, tmp_path: Path) -> None:
    given = {"log": str(tmp_path / "log")}
    first, again = (caller.begin(given, {"Idempotency-Key": "order-4711"}) for _ in range(2))
    assert first == again
    other = caller.ask("POST", "/v1/runs", {"input": {}, "background": True}, {"Idempotency-Key": "order-4711"})
    assert (other.status, other.body["error"]["code"]) == (422, "idempotency_key_reused")
    caller.ended(first)
    assert lines(tmp_path / "log") == ["a", "b", "c"]
    assert caller.begin(given, {"Idempotency-Key": "order-4712"}) != first


def test_runs_are_listed_newest_first(caller: Caller, tmp_path: Path) -> None:
    given = {"log": str(tmp_path / "log")}
    ids = [caller.begin(given, {"X-Dynamiq-User-Id": user}) for user in ("ada", "bob", "ada")]
    for run_id in ids:
        caller.ended(run_id)
    assert [run["id"] for run in caller.ask("GET", "/v1/runs").body["data"]] == ids[::-1]
    page = caller.ask("GET", "/v1/runs?user_id=ada&status=completed&status=failed&page_size=1&page=2").body
    assert [run["id"] for run in page["data"]] == [ids[0]]
    assert page["pagination"] == {"page": 2, "page_size": 1, "page_count": 2, "total_count": 2}
    assert caller.ask("GET", "/v1/runs?status=created").body["data"] == []


@pytest.mark.parametrize("path", ["", "/events", "/stream"])
def test_a_run_of_another_app_is_as_one_that_does_not_exist(caller: Caller, journal: JournalStage, path: str) -> None:
    of_other = journal.call("POST", f"/v1/apps/{OTHER.app_uid}/runs", OTHER_POD, json=a_run()).json()["data"]["id"]
    missing = str(uuid.uuid4())
    answers = [caller.ask("GET", f"/v1/runs/{run_id}{path}") for run_id in (of_other, missing)]
    assert [answer.status for answer in answers] == [404, 404]
    texts = [json.dumps(answer.body).replace(run_id, "ID") for answer, run_id in zip(answers, (of_other, missing), strict=True)]
    assert texts[0] == texts[1]


def test_a_run_that_fails_says_why(journal: JournalStage, tmp_path: Path) -> None:
    flow = steps_flow("a", code="    if inputs.get('wrong'):\n        raise ValueError('no such order')\n")
    with pod(tmp_path / "pod", flow, journal) as served:
        caller = Caller(served)
        run_id = caller.begin({"log": str(tmp_path / "log"), "wrong": True})
        run = caller.ended(run_id)
        assert (run["status"], run["reason"], run["error"]["code"]) == ("failed", "failed", "node_failed")
        assert "no such order" in run["error"]["message"]
        assert [kind for kind, _ in caller.events(run_id)][-1] == "run.failed"
        assert served.activity["runs"]["failed"] == 1


def test_only_busy_time_counts_against_the_limit_of_a_run(journal: JournalStage, tmp_path: Path) -> None:
    flow = steps_flow("a", code="    time.sleep(inputs.get('seconds', 0))\n")
    with pod(tmp_path / "pod", flow, journal, DYNAMIQ_RUN_TIMEOUT="0.5", DYNAMIQ_MAX_CONCURRENT_RUNS="2") as served:
        caller = Caller(served)
        run_id = caller.begin({"log": str(tmp_path / "log"), "seconds": 30})
        run = caller.ended(run_id)
        assert (run["status"], run["reason"], run["error"]["code"]) == ("failed", "timed_out", "run_timed_out")


def test_states_that_take_too_much_fail_their_run(journal: JournalStage, tmp_path: Path) -> None:
    large = "    import random\n    return {'content': [random.random() for _ in range(600000)]}\n"
    with pod(tmp_path / "pod", steps_flow("a", code=large), journal) as served:
        run = Caller(served).ended(Caller(served).begin({"log": str(tmp_path / "log")}))
    assert (run["status"], run["error"]["code"]) == ("failed", "checkpoint_too_large")


def test_what_a_background_run_does_not_take_is_refused(caller: Caller, tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    large = caller.ask("POST", "/v1/runs", {"input": {"log": log, "text": "x" * (1 << 20)}, "background": True})
    assert (large.status, large.body["error"]["code"]) == (413, "body_too_large")
    for path, status in (("/v1/runs?colour=red", 400), ("/v1/runs?page=0", 400), ("/v1/runs/not-an-id", 404), ("/v1/runs?status=odd", 400)):
        assert caller.ask("GET", path).status == status, path
    key = caller.ask("POST", "/v1/runs", {"input": {}, "background": True}, {"Idempotency-Key": "x" * 257})
    assert (key.status, key.body["error"]["code"]) == (400, "bad_request")
    assert caller.ask("GET", "/v1/runs", headers={"Authorization": "Bearer wrong"}).status == 401


def test_no_key_but_the_apps_own_reaches_its_runs(journal: JournalStage, tmp_path: Path) -> None:
    """A key of another App, one that was deleted, one that begins or ends like the App's own, and none."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    with pod(tmp_path / "pod", FLOW, journal) as served:
        caller = Caller(served)
        (tmp_path / "pod" / "keys" / "bob").write_text("key-of-bob")
        eventually("there is a second key", lambda: Caller(served, "key-of-bob").ask("GET", "/v1/runs").status == 200)
        (tmp_path / "pod" / "keys" / "bob").unlink()
        run_id = caller.begin({"log": str(log), "a": str(gate)}, {"Idempotency-Key": "order-1"})
        begins(log, "a")
        again = {"input": {"log": str(log), "a": str(gate)}, "background": True}
        calls: list[tuple[str, str, Any]] = [
            ("GET", f"/v1/runs{path}", None) for path in ("", f"/{run_id}", f"/{run_id}/events", f"/{run_id}/stream")
        ]
        calls += [("POST", f"/v1/runs/{run_id}/cancel", None), ("POST", "/v1/runs", again)]
        for key in ("key-of-another-app", "key-of-bob", caller.key[:-1], caller.key + "x", ""):
            for method, path, body in calls:
                answer = Caller(served, key).ask(method, path, body, {"Idempotency-Key": "order-1"})
                assert (answer.status, run_id in json.dumps(answer.body)) == (401, False), (key, path)
        gate.unlink()
        assert caller.ended(run_id)["output"] == ["a", "b", "c"]


def test_a_public_app_has_no_background_runs(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO) as served:
        caller = Caller(served)
        answers = [
            caller.ask("POST", "/v1/runs", {"input": {}, "background": True}),
            *(caller.ask("GET", f"/v1/runs{path}") for path in ("", f"/{uuid.uuid4()}", f"/{uuid.uuid4()}/stream")),
            caller.ask("POST", f"/v1/runs/{uuid.uuid4()}/cancel"),
        ]
    assert {(answer.status, answer.body["error"]["code"]) for answer in answers} == {(403, "public_app")}
