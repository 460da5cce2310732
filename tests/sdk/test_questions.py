"""Questions of the SDK's nodes: a tool of an agent, an approval by an agent's hook, and nodes at which a run cannot pause."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import openai
from tests.support.background import APPROVED, Caller, asking, lines, noting, pod, waiting_flow
from tests.support.cluster import REPOSITORY
from tests.support.journal import JournalStage
from tests.support.preloaded import LOADED_WITHIN, Preloaded
from tests.support.runtime import refused
from tests.support.waiting import eventually

SDK = {"DYNAMIQ_ENGINE": "sdk"}
ASKS = {"type": "dynamiq.nodes.tools.HumanFeedbackTool", "name": "ask-person", "input_method": "stream", "action": "ask"}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalStage]:
    (tmp_path / "journal").mkdir()
    with JournalStage(tmp_path / "journal") as stage:
        yield stage


@pytest.fixture
def model() -> Iterator[openai.Model]:
    with openai.serving() as served:
        yield served


def agent(**more: Any) -> str:
    """Returns a flow whose only node is an agent. `more`: its fields."""
    release = yaml.safe_load((REPOSITORY / "examples" / "agent" / "helpdesk-v1.yaml").read_text())
    flow = yaml.safe_load(release["spec"]["flow"])
    flow["nodes"]["agent"] |= more
    return str(yaml.safe_dump(flow))


def nested(node: dict[str, Any]) -> str:
    """Returns a flow in the SDK's form with a node between Input and Output."""
    between = {"depends": [{"node": "in"}], **node}
    nodes = {
        "in": {"type": "dynamiq.nodes.utils.Input"},
        "m": between,
        "out": {"type": "dynamiq.nodes.utils.Output", "depends": [{"node": "m"}]},
    }
    nodes["out"] |= {"input_transformer": {"path": "$.m.output"}}
    return json.dumps({"nodes": nodes, "flows": {"f": {"nodes": list(nodes)}}, "workflows": {"w": {"flow": "f"}}})


def test_a_question_and_an_approval_are_answered_in_other_pods(sdk: Preloaded, journal: JournalStage, tmp_path: Path) -> None:
    log = tmp_path / "log"
    flow = waiting_flow(
        noting("a", "in"), asking("ask", "a", error_handling={"max_retries": 3}), noting("b", "ask", **APPROVED), output="b"
    )
    with pod(tmp_path / "one", flow, journal, python=sdk, **SDK) as served:
        caller = Caller(served)
        answer = caller.ask("POST", "/v1/runs", {"input": {"log": str(log), "input": "?", "amount": 1}})
        assert answer.status == 202
        run_id = answer.body["data"]["id"]
        caller.answer(run_id, "ask:1", "yes")
        caller.waiting(run_id, "b:1", within=LOADED_WITHIN)
    with pod(tmp_path / "two", flow, journal, python=sdk, **SDK) as served:
        caller = Caller(served)
        assert caller.approve(run_id, "b:1", feedback="").status == 200
        assert caller.ended(run_id, LOADED_WITHIN)["status"] == "completed"
        steps = [(kind, event["data"].get("id")) for kind, event in caller.events(run_id) if kind.startswith("node.")]
    assert lines(log) == ["a", "b"]
    assert [node for kind, node in steps if kind == "node.ended"] == ["in", "a", "ask", "b", "out"]


def test_an_agent_asks_by_a_tool_and_its_model_is_not_asked_again(
    sdk: Preloaded, journal: JournalStage, model: openai.Model, tmp_path: Path
) -> None:
    model.calls["ask-person"] = {"input": "Which order?"}
    variables = SDK | {"MODEL_URL": model.url, "MODEL_KEY": openai.KEY}
    with pod(tmp_path / "pod", agent(tools=[ASKS]), journal, python=sdk, **variables) as served:
        caller = Caller(served)
        run_id = caller.begin({"question": "Where is my order?"})
        ((request,),) = [caller.waiting(run_id, *_open(caller, run_id), within=LOADED_WITHIN)["input_requests"]]
        assert request["prompt"] == "Which order?"
        asked = sum(model.asked.values())
        caller.answer(run_id, request["id"], "Order 1001")
        assert "Order 1001" in json.dumps(caller.ended(run_id, LOADED_WITHIN)["output"])
    assert (asked, sum(model.asked.values())) == (1, 2)


def test_an_agents_hook_asks_if_a_tool_may_be_called(sdk: Preloaded, journal: JournalStage, model: openai.Model, tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = f"import io\ndef run(inputs):\n    io.open('{log}', 'a').write('called\\n')\n    return 'Order 1001 was sent'\n"
    tool = {"type": "dynamiq.nodes.tools.Python", "name": "order-status", "description": "Says where an order is.", "code": code}
    hook = {"type": "dynamiq.nodes.agents.hooks.ToolPolicyHook", "tools": ["order-status"], "approval": True, "feedback_method": "stream"}
    model.calls["order-status"] = {"order": "1001"}
    variables = SDK | {"MODEL_URL": model.url, "MODEL_KEY": openai.KEY}
    with pod(tmp_path / "pod", agent(tools=[tool], hooks=[hook]), journal, python=sdk, **variables) as served:
        caller = Caller(served)
        run_id = caller.begin({"question": "Where is my order?"})
        ((request,),) = [caller.waiting(run_id, *_open(caller, run_id), within=LOADED_WITHIN)["input_requests"]]
        assert (request["type"], request["params"], lines(log)) == ("approval_request", {"order": "1001"}, [])
        assert caller.approve(run_id, request["id"]).status == 200
        caller.ended(run_id, LOADED_WITHIN)
    assert lines(log) == ["called"]


def test_a_question_inside_a_map_keeps_its_pod_and_is_answered_there(sdk: Preloaded, journal: JournalStage, tmp_path: Path) -> None:
    """A call cannot wait so: its run is not stored."""
    inner = {"id": "ask", "msg_template": "ok {{input}}?", **ASKS}
    flow = nested({"type": "dynamiq.nodes.operators.Map", "node": inner, "input_transformer": {"selector": {"input": "$.items"}}})
    given = {"items": [{"input": "x"}, {"input": "y"}]}
    with pod(tmp_path / "pod", flow, journal, python=sdk, **SDK) as served:
        caller = Caller(served)
        call = caller.ask("POST", "/", {"input": given})
        assert (call.status, call.body["error"]["code"]) == (409, "question_in_call")
        run_id = caller.begin(given)
        for number, prompt in ((1, "ok x?"), (2, "ok y?")):
            (request,) = eventually(
                f"question {number} is open", lambda: caller.run(run_id)["input_requests"] if _open(caller, run_id) else None, LOADED_WITHIN
            )
            assert (request["prompt"], caller.run(run_id)["status"]) == (prompt, "started")
            caller.answer(run_id, request["id"], f"yes {number}")
            eventually("it is answered", lambda: request["id"] not in _ids(caller, run_id), LOADED_WITHIN)  # noqa: B023 - called at once
        output = caller.ended(run_id, LOADED_WITHIN)["output"]
    assert [each["content"] for each in output["output"]] == ["yes 1", "yes 2"]


def test_a_run_that_waits_inside_a_map_can_be_canceled(sdk: Preloaded, journal: JournalStage, tmp_path: Path) -> None:
    inner = {"id": "ask", "msg_template": "ok {{input}}?", **ASKS}
    flow = nested({"type": "dynamiq.nodes.operators.Map", "node": inner, "input_transformer": {"selector": {"input": "$.items"}}})
    with pod(tmp_path / "pod", flow, journal, python=sdk, **SDK) as served:
        caller = Caller(served)
        run_id = caller.begin({"items": [{"input": "x"}]})
        _open(caller, run_id)
        caller.ask("POST", f"/v1/runs/{run_id}/cancel")
        assert caller.ended(run_id, LOADED_WITHIN)["status"] == "canceled"


def test_a_flow_that_asks_at_a_console_is_refused_at_load(sdk: Preloaded, tmp_path: Path) -> None:
    flow = waiting_flow(asking("ask", "in", input_method="console"), output="ask")
    code, line = refused(tmp_path, flow, python=sdk, **SDK)
    assert (code, 'node "ask" asks at a console' in line) == (2, True)


def _open(caller: Caller, run_id: str) -> tuple[str, ...]:
    """Returns the ids of a run's open questions, once there is one."""
    return eventually("a question is open", lambda: _ids(caller, run_id), LOADED_WITHIN)


def _ids(caller: Caller, run_id: str) -> tuple[str, ...]:
    return tuple(each["id"] for each in caller.run(run_id)["input_requests"])
