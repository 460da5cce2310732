"""Background runs through faults: a run that was accepted ends once, whatever happens to its pods and to the journal."""

from __future__ import annotations

import json
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from dynamiq_recorder.journal.outbox import Recorder as Address
from tests.support.background import KEY, Caller, begins, expire_leases, is_noted, lines, pod, steps_flow
from tests.support.journal import APP, JournalStage
from tests.support.recorder import attributes_of, recording
from tests.support.runtime import DEADLINE
from tests.support.scripted import HttpServer, Reply, Sent
from tests.support.waiting import eventually

FLOW = steps_flow("a", "b", "c")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalStage]:
    (tmp_path / "journal").mkdir()
    with JournalStage(tmp_path / "journal") as stage:
        yield stage


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


def test_a_run_that_kills_its_pods_fails_in_the_end(journal: JournalStage, tmp_path: Path) -> None:
    """The begin of a node is no progress."""
    gate = tmp_path / "gate"
    gate.touch()
    run_id = ""
    for attempt in range(1, 6):
        with pod(tmp_path / "pod", FLOW, journal) as served:
            run_id = run_id or Caller(served).begin({"log": str(tmp_path / "log"), "b": str(gate)})
            is_noted(Caller(served), run_id, "b", attempt)
            served.process.send_signal(signal.SIGKILL)
        expire_leases(journal)
    with pod(tmp_path / "pod", FLOW, journal) as served:
        run = Caller(served).ended(run_id)
    assert (run["status"], run["reason"], run["error"]["code"]) == ("failed", "interrupted", "interrupted")
    assert lines(tmp_path / "log") == ["a", *["b"] * 5]


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


def test_a_pod_that_claims_its_own_run_again_forgets_the_earlier_claim(journal: JournalStage, tmp_path: Path) -> None:
    """It was cut off from the journal for longer than a lease, and no other pod was there."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    gate.touch()
    with pod(tmp_path / "pod", FLOW, journal) as served:
        run_id = Caller(served).begin({"log": str(log), "b": str(gate)})
        begins(log, "b")
        served.process.send_signal(signal.SIGSTOP)
        expire_leases(journal)
        eventually("the lease is over", lambda: journal.get(f"runs/{run_id}")["data"]["attempts"] == 1)
        served.process.send_signal(signal.SIGCONT)
        eventually("it has claimed the run again", lambda: lines(log) == ["a", "b", "b"])
        gate.unlink()
        assert Caller(served).ended(run_id)["output"] == ["a", "b", "c"]
        eventually("nothing is in flight", lambda: served.activity["in_flight"] == 0)
    assert lines(log) == ["a", "b", "b", "c"]


def test_a_run_that_the_journal_cannot_keep_fails_and_is_not_repeated(journal: JournalStage, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pod(tmp_path / "pod", steps_flow("a", "b" * 300, "c"), journal) as served:
        run = Caller(served).ended(Caller(served).begin({"log": str(log)}))
    assert (run["status"], run["error"]["code"]) == ("failed", "validation_error")
    assert lines(log) == ["a", "b" * 300]


def test_half_a_surrogate_pair_is_replaced(journal: JournalStage, tmp_path: Path) -> None:
    """A model's stream may end in one, and no JSON text has it."""
    with pod(tmp_path / "pod", steps_flow("a", code="    return {'content': ['x' + chr(0xD83D)]}\n"), journal) as served:
        run = Caller(served).ended(Caller(served).begin({"log": str(tmp_path / "log")}))
    assert (run["status"], run["output"]) == ("completed", ["x?"])


def test_a_journal_that_is_busy_gets_the_same_save_again(tmp_path: Path) -> None:
    """A pod drops no run for it."""
    run_id, saves = str(uuid.uuid4()), list[Any]()
    run = {
        "id": run_id,
        "state": "running",
        "status": "started",
        "accepted_at": "2026-01-01T00:00:00Z",
        "input": {"log": str(tmp_path / "log")},
    }
    claim = {"run": run, "fence": 1, "busy_ms": 0, "alone": False, "headers": {}, "parts": {}}

    def answer(sent: Sent) -> Reply:
        if sent.path.endswith("/runs"):
            return Reply(201, {"data": run, "claim": claim})
        if sent.path.endswith("/claims"):
            return Reply(200, {"data": [], "next_seconds": 60})
        saves.append(sent.body["saves"])
        busy = {"error": {"code": "too_many_requests", "message": "try again"}}
        done = {"data": [{"id": each["id"], "ok": True, "cancel": False} for each in sent.body["saves"]]}
        return Reply(429, busy) if len(saves) == 1 else Reply(200, done)

    with HttpServer(answer) as server, pod(tmp_path / "pod", FLOW, server) as served:
        Caller(served).begin({"log": str(tmp_path / "log")})
        ended = eventually("the run ends", lambda: [save for batch in saves for save in batch if save["end"] is not None])
    assert ended[0]["end"]["output"] == ["a", "b", "c"]
    assert saves[0] == saves[1]


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
