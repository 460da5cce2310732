"""Runs that wait for a person, or for a time, as their callers see them."""

from __future__ import annotations

import json
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.background import APPROVED, Caller, asking, begins, expire_leases, lines, noting, pod, waiting_flow
from tests.support.journal import JournalStage
from tests.support.runtime import events_in, serving
from tests.support.waiting import eventually

TWO = waiting_flow(noting("a", "in"), asking("ask", "a"), noting("b", "ask", **APPROVED), output="b")
"""It asks for a text, and then if b may run."""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalStage]:
    (tmp_path / "journal").mkdir()
    with JournalStage(tmp_path / "journal") as stage:
        yield stage


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_a_run_waits_without_its_pod_and_goes_on_in_another_one(journal: JournalStage, tmp_path: Path, log: Path) -> None:
    with pod(tmp_path / "one", TWO, journal) as served:
        caller = Caller(served)
        run_id = caller.begin({"log": str(log), "input": "send it?", "amount": 3})
        run = caller.waiting(run_id, "ask:1")
        (request,) = run["input_requests"]
        assert (request["type"], request["prompt"], run["awaiting_input"]) == ("human_feedback", "ask: send it?", True)
        assert eventually("nothing is in flight", lambda: served.activity["in_flight"] == 0)
    with pod(tmp_path / "two", TWO, journal) as served:
        caller = Caller(served)
        assert caller.answer(run_id, "ask:1", "yes").body == {"message": "ok"}
        (request,) = caller.waiting(run_id, "b:1")["input_requests"]
        assert (request["type"], request["prompt"], request["editable_params"]) == ("approval_request", "Run b?", ["amount"])
        assert request["params"]["amount"] == 3
        assert caller.approve(run_id, "b:1").status == 200
        run = caller.ended(run_id)
        kinds = Counter(kind for kind, _ in caller.events(run_id))
    assert (run["status"], run["output"]["content"]["ask"]) == ("completed", "yes")
    assert lines(log) == ["a", "b"]
    assert (kinds["agent.human_feedback.requested"], kinds["approval_request.created"], kinds["run.input_received"]) == (1, 1, 2)


def test_a_node_that_is_not_approved_is_skipped_and_a_text_alone_approves_nothing(journal: JournalStage, tmp_path: Path, log: Path) -> None:
    flow = waiting_flow(noting("b", "in", **APPROVED), output="b")
    with pod(tmp_path / "pod", flow, journal) as served:
        caller = Caller(served)
        run_id = caller.begin({"log": str(log)})
        caller.waiting(run_id, "b:1")
        for body in ({"feedback": ""}, {"feedback": "yes"}, {"is_approved": "true"}, {"is_approved": None}):
            data = {"request_id": "b:1", **body}
            assert caller.ask("POST", f"/v1/runs/{run_id}/input", {"type": "approval_request", "data": data}).status == 400
        assert caller.approve(run_id, "b:1", approved=False, feedback="not today").status == 200
        run = caller.ended(run_id)
    assert (run["status"], run["output"], lines(log)) == ("completed", None, [])


def test_an_approver_may_change_what_the_author_allows(journal: JournalStage, tmp_path: Path, log: Path) -> None:
    code = "def run(inputs):\n    return {'content': [inputs['amount'], inputs['to']]}\n"
    flow = waiting_flow(noting("b", "in", **APPROVED) | {"code": code}, output="b")
    with pod(tmp_path / "pod", flow, journal) as served:
        caller = Caller(served)
        run_id = caller.begin({"amount": 3, "to": "ann"})
        caller.waiting(run_id, "b:1")
        assert caller.approve(run_id, "b:1", data={"amount": 2, "to": "eve"}).status == 400
        assert caller.approve(run_id, "b:1", data={"amount": 2, "to": "ann"}).status == 200
        assert caller.ended(run_id)["output"]["content"] == [2, "ann"]


def test_branches_that_need_no_answer_go_on_and_each_answer_lets_its_own_go_on(journal: JournalStage, tmp_path: Path, log: Path) -> None:
    nodes = (asking("x", "in"), asking("y", "in"), noting("free", "in"), noting("after_x", "x"), noting("last", "after_x", "y", "free"))
    with pod(tmp_path / "pod", waiting_flow(*nodes, output="last"), journal) as served:
        caller = Caller(served)
        run_id = caller.begin({"log": str(log), "input": "?"})
        caller.waiting(run_id, "x:1", "y:1")
        assert lines(log) == ["free"]
        caller.answer(run_id, "x:1", "1")
        caller.waiting(run_id, "y:1")
        assert lines(log) == ["free", "after_x"]
        caller.answer(run_id, "y:1", "2")
        output = caller.ended(run_id)["output"]["content"]
    assert (output["x"], output["y"], lines(log)) == ("1", "2", ["free", "after_x", "last"])


def test_an_answer_counts_once(journal: JournalStage, tmp_path: Path, log: Path) -> None:
    with pod(tmp_path / "pod", TWO, journal) as served:
        caller = Caller(served)
        run_id = caller.begin({"log": str(log), "input": "?"})
        caller.waiting(run_id, "ask:1")
        assert [caller.answer(run_id, "ask:1", text).status for text in ("yes", "yes", "no")] == [200, 200, 409]
        caller.waiting(run_id, "b:1")
        refused = {
            "another text for a question that is settled": caller.answer(run_id, "ask:1", "no"),
            "a question that was not asked": caller.answer(run_id, "ask:2", "yes"),
            "a run that is missing": caller.answer(str(uuid.uuid4()), "b:1", "yes"),
            "the wrong kind": caller.answer(run_id, "b:1", "yes"),
            "too large": caller.answer(run_id, "b:1", "x" * (1 << 20)),
        }
        assert [answer.status for answer in refused.values()] == [409, 404, 404, 400, 413]
        assert Caller(served, "wrong key").answer(run_id, "b:1", "yes").status == 401
        assert caller.ask("POST", f"/v1/runs/{run_id}/cancel").status == 200
        assert caller.run(run_id)["status"] == "canceled"
        assert caller.approve(run_id, "b:1").body["error"]["code"] == "run_ended"
    assert lines(log) == ["a"]


def test_markup_in_an_answer_is_text(journal: JournalStage, tmp_path: Path, log: Path) -> None:
    text = '<script>alert(1)</script> {{input}} "\u202e'
    with pod(tmp_path / "pod", TWO, journal) as served:
        caller = Caller(served)
        run_id = caller.begin({"log": str(log), "input": "?"})
        caller.waiting(run_id, "ask:1")
        caller.answer(run_id, "ask:1", text)
        caller.waiting(run_id, "b:1")
        caller.approve(run_id, "b:1")
        assert caller.ended(run_id)["output"]["content"]["ask"] == text


def test_an_answer_is_there_still_if_the_pod_that_took_it_dies(journal: JournalStage, tmp_path: Path, log: Path) -> None:
    """Whoever answered is not asked again."""
    gate = tmp_path / "gate"
    gate.touch()
    code = "import io, time\ndef run(inputs):\n    while True:\n        try:\n            io.open(inputs['gate']).close()\n        except OSError:\n"
    code += "            return {'content': inputs['amount']}\n        time.sleep(0.02)\n"
    flow = waiting_flow(
        noting("b", "in", **APPROVED) | {"code": code.replace("    while", "    io.open(inputs['log'], 'a').write('b\\n')\n    while", 1)},
        output="b",
    )
    with pod(tmp_path / "one", flow, journal) as served:
        caller = Caller(served)
        run_id = caller.begin({"log": str(log), "gate": str(gate), "amount": 1})
        caller.waiting(run_id, "b:1")
        caller.approve(run_id, "b:1", data={"amount": 7})
        begins(log, "b")
        served.process.send_signal(signal.SIGKILL)
    gate.unlink()
    expire_leases(journal)
    with pod(tmp_path / "two", flow, journal) as served:
        caller = Caller(served)
        assert caller.ended(run_id)["output"]["content"] == 7
        kinds = Counter(kind for kind, _ in caller.events(run_id))
    assert kinds["approval_request.created"] == 1


@pytest.mark.parametrize("path", ["/", "/v1/runs"])
def test_a_call_that_reaches_a_question_gets_its_run_which_is_stored(journal: JournalStage, tmp_path: Path, log: Path, path: str) -> None:
    with pod(tmp_path / "pod", TWO, journal) as served:
        caller = Caller(served)
        answer = caller.ask("POST", path, {"input": {"log": str(log), "input": "?", "amount": 3}})
        run = answer.body["data"]
        assert (answer.status, run["status"], [each["id"] for each in run["input_requests"]]) == (202, "paused", ["ask:1"])
        assert served.activity["runs"] == {"succeeded": 0, "failed": 0, "refused": 0}
        caller.answer(run["id"], "ask:1", "yes")
        caller.waiting(run["id"], "b:1")
        caller.approve(run["id"], "b:1")
        assert caller.ended(run["id"])["status"] == "completed"
        ended = [event["data"]["id"] for kind, event in caller.events(run["id"]) if kind == "node.ended"]
    assert (lines(log), ended) == (["a", "b"], ["in", "a", "ask", "b", "out"])


def test_a_stream_ends_with_the_question(journal: JournalStage, tmp_path: Path, log: Path) -> None:
    with pod(tmp_path / "pod", TWO, journal) as served:
        caller, given = Caller(served), {"log": str(log), "input": "?"}
        kind, event = events_in(caller.ask("POST", "/v1/runs", {"input": given, "stream": True}).body)[-1]
        assert (kind, event["data"]["status"], event["data"]["input_requests"][0]["id"]) == ("run.paused", "paused", "ask:1")
        kind, run = events_in(caller.ask("POST", "/", {"input": given, "stream": True}).body)[-1]
        assert (kind, run["status"]) == ("paused", "paused")
        assert caller.run(run["id"])["awaiting_input"]


@pytest.mark.parametrize("last", ["ask", "plain"])
def test_a_call_whose_flow_may_ask_but_does_not_is_not_stored(journal: JournalStage, tmp_path: Path, log: Path, last: str) -> None:
    nodes = (noting("a", "in"), asking("ask", "a", action=None))
    with pod(tmp_path / "pod", waiting_flow(*nodes, output="ask"), journal) as served:
        caller = Caller(served)
        answer = caller.ask("POST", "/", {"input": {"log": str(log), "action": "info", "input": last}})
        assert (answer.status, answer.body["content"]) == (200, f"Message sent: ask: {last}")
        assert caller.ask("GET", "/v1/runs").body["data"] == []


def test_a_call_with_large_states_fails_only_if_it_has_to_wait(journal: JournalStage, tmp_path: Path, log: Path) -> None:
    code = "import random\ndef run(inputs):\n    return {'content': random.randbytes(inputs['bytes']).hex()}\n"
    large = [noting(node, *after) | {"code": code} for node, after in (("a", ("in",)), ("b", ("a",)), ("c", ("b",)))]
    with pod(tmp_path / "pod", waiting_flow(*large, asking("ask", "c", action=None), output="ask"), journal) as served:
        caller = Caller(served)
        given = {"bytes": 3 << 20, "input": "?"}
        assert caller.ask("POST", "/", {"input": {**given, "action": "info"}}).status == 200
        answer = caller.ask("POST", "/", {"input": {**given, "action": "ask"}})
        assert (answer.status, answer.body["error"]["code"]) == (500, "checkpoint_too_large")


def test_nobody_is_asked_where_nobody_could_answer(journal: JournalStage, tmp_path: Path, log: Path) -> None:
    given = {"input": {"log": str(log), "input": "?"}}
    with serving(tmp_path, TWO) as public:
        answer = public.request("POST", "/", json.dumps(given).encode(), {"Content-Type": "application/json"})
        assert (answer.status, answer.body["error"]["code"]) == (403, "public_app")
        assert answer.body["error"]["message"] == (
            "the run failed: a person is asked in it, which needs a private App: whoever knows a run's id could answer"
        )
        assert public.activity["runs"]["failed"] == 1
    with pod(tmp_path / "pod", TWO, journal, DYNAMIQ_JOURNAL="") as served:
        assert Caller(served).ask("POST", "/", given).body["error"]["code"] == "no_journal"
    journal.stop()
    with pod(tmp_path / "away", TWO, journal) as served:
        answer = Caller(served).ask("POST", "/", given)
        assert (answer.status, answer.body["error"]["code"], served.activity["runs"]["failed"]) == (503, "journal_away", 1)


def test_a_delay_costs_no_thread_and_ends_at_its_time(journal: JournalStage, tmp_path: Path, log: Path) -> None:
    delay = {"id": "delay", "type": "dynamiq.nodes.operators.Delay", "depends": [{"node": "in"}]}
    flow = waiting_flow(delay, noting("free", "in"), noting("after", "delay", "free"), output="after")
    until = datetime.now(UTC) + timedelta(hours=2)
    with pod(tmp_path / "pod", flow, journal) as served:
        caller = Caller(served)
        run_id = caller.begin({"log": str(log), "until": until.isoformat()})
        run = caller.waiting(run_id)
        assert (run["awaiting_input"], lines(log)) == (False, ["free"])
        soon = caller.begin({"log": str(tmp_path / "other"), "duration_seconds": 0.01})
        assert caller.ended(soon)["status"] == "completed"
    assert lines(log) == ["free"]


def test_a_run_of_another_flow_is_not_resumed(journal: JournalStage, tmp_path: Path, log: Path) -> None:
    """The journal gives a pod only runs of its pins. This pod is told that it has these pins, and has another flow."""
    with pod(tmp_path / "one", TWO, journal) as served:
        caller = Caller(served)
        run_id = caller.begin({"log": str(log), "input": "?"})
        caller.waiting(run_id, "ask:1")
        caller.answer(run_id, "ask:1", "yes")
        caller.waiting(run_id, "b:1")
    other = waiting_flow(noting("a", "in"), asking("ask", "a"), noting("c", "ask"), output="c")
    with pod(tmp_path / "two", other, journal, DYNAMIQ_PINS="f" * 16) as served:
        caller = Caller(served)
        caller.approve(run_id, "b:1")
        run = caller.ended(run_id)
    assert (run["status"], run["error"]["code"], lines(log)) == ("failed", "other_version", ["a"])
