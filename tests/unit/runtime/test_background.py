"""Runs in the background: a run that was accepted ends, once and on its own flow, whatever happens to its pod and to the journal."""

from __future__ import annotations

import json
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from dynamiq_recorder.journal.outbox import Recorder as Address
from tests.support.background import KEY, Caller, expire_leases, lines, pod, steps_flow
from tests.support.journal import APP, OTHER, OTHER_POD, JournalStage, a_run
from tests.support.recorder import attributes_of, recording
from tests.support.runtime import DEADLINE, ECHO, serving
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


def begins(log: Path, node: str) -> None:
    """Waits until a node has begun."""
    eventually(f"node {node} begins", lambda: node in lines(log))


def is_noted(caller: Caller, run_id: str, node: str) -> None:
    """Waits until the journal knows that a node has begun."""
    path = f"/v1/runs/{run_id}/events"
    eventually(
        f"the journal knows of node {node}",
        lambda: any(each["type"] == "node.started" and each["data"]["id"] == node for each in caller.ask("GET", path).body["data"]),
    )


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


def test_a_run_whose_pod_is_killed_goes_on_after_the_last_node_that_ended(journal: JournalStage, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    with pod(tmp_path / "one", FLOW, journal) as served:
        run_id = Caller(served).begin({"log": str(log), "b": str(gate)})
        is_noted(Caller(served), run_id, "b")
        served.process.send_signal(signal.SIGKILL)
    gate.unlink()
    expire_leases(journal)
    with pod(tmp_path / "two", FLOW, journal) as served:
        caller = Caller(served)
        assert caller.ended(run_id)["output"] == ["a", "b", "c"]
        events = caller.events(run_id)
    assert lines(log) == ["a", "b", "b", "c"]  # what had ended never runs again
    kinds = Counter(kind for kind, _ in events)
    assert (kinds["run.interrupted"], kinds["run.resumed"], kinds["run.completed"]) == (1, 1, 1)
    assert [each["data"]["attempt"] for kind, each in events if kind == "node.started" and each["data"]["id"] == "b"] == [1, 2]


def test_a_pod_that_ends_hands_its_run_back_after_the_node(journal: JournalStage, tmp_path: Path) -> None:
    """No lease has to run out, and no node runs twice."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    with pod(tmp_path / "one", FLOW, journal, DYNAMIQ_DRAIN_SECONDS="1") as served, pod(tmp_path / "two", FLOW, journal) as other:
        run_id = Caller(served).begin({"log": str(log), "b": str(gate)})
        begins(log, "b")
        served.terminate()
        eventually("it drains", lambda: '"draining"' in served.log.read_text())
        gate.unlink()
        run = Caller(other).ended(run_id)
        kinds = Counter(kind for kind, _ in Caller(other).events(run_id))
        served.process.wait(30)
    assert (run["output"], sorted(lines(log))) == (["a", "b", "c"], ["a", "b", "c"])
    assert kinds["run.interrupted"] == 0


def test_a_node_that_outlasts_the_drain_runs_again_at_once_elsewhere(journal: JournalStage, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    with pod(tmp_path / "one", FLOW, journal, DYNAMIQ_DRAIN_SECONDS="0") as served:
        run_id = Caller(served).begin({"log": str(log), "b": str(gate)})
        begins(log, "b")
        served.terminate()
        served.process.wait(DEADLINE)
    with pod(tmp_path / "two", FLOW, journal) as other:
        eventually("another pod has it", lambda: lines(log) == ["a", "b", "b"])
        gate.unlink()
        assert Caller(other).ended(run_id)["output"] == ["a", "b", "c"]
        kinds = Counter(kind for kind, _ in Caller(other).events(run_id))
    assert (kinds["run.handed_back"], kinds["run.interrupted"], kinds["run.completed"]) == (1, 0, 1)


def test_a_pod_that_lost_its_run_begins_no_node_of_it(journal: JournalStage, tmp_path: Path) -> None:
    """A pod that was cut off from the cluster comes back, and another one has finished its run."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    only = {"DYNAMIQ_MAX_CONCURRENT_RUNS": "1"}  # a pod that has its run asks for no other
    with ExitStack() as pods:
        served = pods.enter_context(pod(tmp_path / "one", FLOW, journal, **only))
        run_id = Caller(served).begin({"log": str(log), "b": str(gate)})
        begins(log, "b")
        served.process.send_signal(signal.SIGSTOP)
        expire_leases(journal)
        other = pods.enter_context(pod(tmp_path / "two", FLOW, journal, **only))
        eventually("another pod has it", lambda: lines(log) == ["a", "b", "b"])
        gate.unlink()
        assert Caller(other).ended(run_id)["output"] == ["a", "b", "c"]
        served.process.send_signal(signal.SIGCONT)
        eventually("it has dropped the run", lambda: served.activity["in_flight"] == 0)
        kinds = Counter(kind for kind, _ in Caller(served).events(run_id))
    assert lines(log) == ["a", "b", "b", "c"]
    assert kinds["run.completed"] == 1


def test_without_the_journal_a_run_waits_after_its_node_and_calls_go_on(journal: JournalStage, tmp_path: Path) -> None:
    """With one thread, too: a run that waits lends it."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    variables = {"DYNAMIQ_MAX_CONCURRENT_RUNS": "1", "DYNAMIQ_RUN_TIMEOUT": "4"}
    with pod(tmp_path / "pod", FLOW, journal, **variables) as served:
        caller = Caller(served)
        run_id = caller.begin({"log": str(log), "a": str(gate)})
        begins(log, "a")
        journal.stop()
        gate.unlink()
        for n in range(10):
            assert caller.ask("POST", "/", {"input": {"log": str(tmp_path / f"log-{n}")}}).body == ["a", "b", "c"]
        refused = caller.ask("GET", f"/v1/runs/{run_id}")
        assert (refused.status, refused.body["error"]["code"]) == (503, "journal_away")
        assert caller.ask("POST", "/v1/runs", {"input": {}, "background": True}).body["error"]["code"] == "journal_away"
        assert lines(log) == ["a"]
        assert served.activity["runs"]["failed"] == 0  # no version is reverted for it
        journal.start()
        run = caller.ended(run_id)
    assert (run["output"], lines(log)) == (["a", "b", "c"], ["a", "b", "c"])


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


def test_a_public_app_has_no_background_runs(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO) as served:
        caller = Caller(served)
        answers = [
            caller.ask("POST", "/v1/runs", {"input": {}, "background": True}),
            *(caller.ask("GET", f"/v1/runs{path}") for path in ("", f"/{uuid.uuid4()}", f"/{uuid.uuid4()}/stream")),
            caller.ask("POST", f"/v1/runs/{uuid.uuid4()}/cancel"),
        ]
    assert {(answer.status, answer.body["error"]["code"]) for answer in answers} == {(403, "public_app")}


def test_a_stream_of_a_pod_that_ends_is_cut_off_and_goes_on_elsewhere(journal: JournalStage, tmp_path: Path) -> None:
    """A stream that ended like any other would say that the run has no more events."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    seen: list[Any] = []
    with pod(tmp_path / "one", FLOW, journal, DYNAMIQ_DRAIN_SECONDS="0") as served:
        run_id = Caller(served).begin({"log": str(log), "b": str(gate)})
        is_noted(Caller(served), run_id, "b")
        url = f"http://127.0.0.1:{served.port}/v1/runs/{run_id}/stream"
        with requests.get(url, headers={"Authorization": f"Bearer {KEY}"}, stream=True, timeout=DEADLINE) as answer:
            lines_sent = answer.iter_lines(chunk_size=1)
            while not seen or seen[-1]["type"] != "node.started" or seen[-1]["data"]["id"] != "b":
                seen += [json.loads(line[6:]) for line in [next(lines_sent)] if line.startswith(b"data: ")]
            served.terminate()
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                seen.extend(json.loads(line[6:]) for line in lines_sent if line.startswith(b"data: "))
        served.process.wait(DEADLINE)
    gate.unlink()
    with pod(tmp_path / "two", FLOW, journal) as other:
        rest = [event for _, event in Caller(other).events(run_id, after=seen[-1]["sequence"])]
    assert [event["sequence"] for event in seen + rest] == list(range(1, len(seen + rest) + 1))
    assert rest[-1]["type"] == "run.completed"


def test_the_record_of_a_run_has_the_nodes_of_all_its_pods(tmp_path: Path) -> None:
    """It is one record, which the journal sends, with the time that pods were busy."""
    log, gate, token = tmp_path / "log", tmp_path / "gate", tmp_path / "token"
    gate.touch()
    token.write_text("of-the-journal")
    (tmp_path / "journal").mkdir()
    with recording() as recorder, JournalStage(tmp_path / "journal", recorder=Address(recorder.url, token)) as journal:
        variables = {"DYNAMIQ_RECORDER": recorder.url, "DYNAMIQ_RUNS": '{"content": true}', "DYNAMIQ_APP_ID": APP.app_uid}
        with pod(tmp_path / "one", FLOW, journal, **variables) as served:
            run_id = Caller(served).begin({"log": str(log), "b": str(gate)}, {"X-Dynamiq-Tags": "web"})
            begins(log, "b")
            served.process.send_signal(signal.SIGKILL)
        gate.unlink()
        expire_leases(journal)
        with pod(tmp_path / "two", FLOW, journal, **variables) as served:
            Caller(served).ended(run_id)
            eventually("it is recorded", lambda: recorder.runs)
    (run,), (record,) = recorder.runs, recorder.records
    assert [attributes_of(node)["dynamiq.node.id"] for node in recorder.nodes_of(run)] == ["in", "a", "b", "c", "out"]
    assert (record["dynamiq.run.id"], record["dynamiq.run.outcome"], record["dynamiq.tags"]) == (run_id, "succeeded", ["web"])
    assert json.loads(record["dynamiq.output"]) == ["a", "b", "c"]
    assert 0 <= record["dynamiq.run.busy_ms"] <= (run.end_time_unix_nano - run.start_time_unix_nano) / 1e6
    sent = recorder.posts[-1]
    assert (sent.headers["authorization"], sent.headers["x-dynamiq-app-id"]) == ("Bearer of-the-journal", APP.app_uid)
    assert "service.instance.id" not in sent.resource  # the run belongs to no process
