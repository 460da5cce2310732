"""The product's contract of an App's hostname, request by request, with the SDK's engine; and what an agent remembers of a session."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import openai, widget
from tests.support.gate_stage import GateStage
from tests.support.preloaded import Preloaded
from tests.support.runs_contract import CASES, KEY, ORIGIN, READS, Case, check
from tests.support.runtime import Served, serving

WITHIN = 300.0  # seconds for one answer on a busy machine
SESSIONS = 100 if os.environ.get("SOAK") else 3


@pytest.fixture(scope="module")
def served(sdk: Preloaded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("contract")
    keys = folder / "keys"
    keys.mkdir()
    (keys / "default").write_text(KEY)
    variables = {"DYNAMIQ_ENGINE": "sdk", "DYNAMIQ_ACCESS_KEYS_DIR": str(keys), "DYNAMIQ_ORIGINS": ORIGIN}
    with serving(folder, READS, python=sdk, **variables) as app:
        yield app


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_documented_request_is_served_or_refused_by_name(served: Served, case: Case) -> None:
    check(f"http://127.0.0.1:{served.port}", case)


async def test_each_documented_request_is_served_or_refused_by_name_through_the_gate(served: Served, tmp_path: Path) -> None:
    async with GateStage(tmp_path) as stage:
        await stage.check_contract(served)


def remembering(store: Path) -> str:
    """Returns the flow of an agent whose memory is a file of SQLite, and that streams all of its steps."""
    nodes: dict[str, Any] = {
        "input": {"type": "dynamiq.nodes.utils.Input"},
        "agent": {
            "type": "dynamiq.nodes.agents.Agent",
            "name": "Clerk",
            "depends": [{"node": "input"}],
            "input_transformer": {
                "selector": {"input": "$.input.output.question", "user_id": "$.user_id", "session_id": "$.session_id"},
            },
            "role": "You answer.",
            "inference_mode": "FUNCTION_CALLING",
            "max_loops": 3,
            "streaming": {"enabled": True, "mode": "all"},
            "llm": {"id": "model", "type": "dynamiq.nodes.llms.OpenAI", "connection": "openai", "model": openai.NAME},
            "memory": {
                "type": "dynamiq.memory.Memory",
                "backend": {"type": "dynamiq.memory.backends.SQLite", "db_path": str(store), "index_name": "talks"},
            },
        },
        "output": {
            "type": "dynamiq.nodes.utils.Output",
            "depends": [{"node": "agent"}],
            "input_transformer": {"selector": {"answer": "$.agent.output.content"}},
        },
    }
    connection = {"type": "dynamiq.connections.OpenAI", "url": "${oc.env:MODEL_URL}", "api_key": "${oc.env:MODEL_KEY}"}
    flows, workflows = {"f": {"nodes": list(nodes)}}, {"w": {"flow": "f"}}
    return json.dumps({"connections": {"openai": connection}, "nodes": nodes, "flows": flows, "workflows": workflows})


@pytest.mark.full_count
def test_an_agent_remembers_its_session_on_another_pod_and_no_other_session(sdk: Preloaded, tmp_path: Path) -> None:
    with openai.serving() as model:
        model.recites.add(openai.NAME)
        variables = {"MODEL_URL": model.url, "MODEL_KEY": openai.KEY, "DYNAMIQ_ENGINE": "sdk"}
        flow = remembering(tmp_path / "talks.db")
        folders = [tmp_path / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir()
        with serving(folders[0], flow, python=sdk, **variables) as one, serving(folders[1], flow, python=sdk, **variables) as two:
            for number in range(SESSIONS):
                first = told(one, f"apples {number}", f"session-{number}")
                again = told(two, f"pears {number}", f"session-{number}")
                assert (first, again) == (f"apples {number}", f"apples {number} and pears {number}")


def told(served: Served, question: str, session: str) -> str:
    """Returns what an agent answers to a question of a session."""
    body = json.dumps({"input": {"question": question}, "session_id": session}).encode()
    answer = served.request("POST", "/", body, {"Content-Type": "application/json"}, WITHIN)
    assert answer.status == 200, answer.body
    return str(answer.body["answer"])


def test_an_agents_steps_are_run_events_and_its_models_words_come_once(sdk: Preloaded, tmp_path: Path) -> None:
    tool = {"id": "order-status", "type": "dynamiq.nodes.tools.Python", "name": "order-status", "description": "Where an order is."}
    with openai.serving() as model:
        model.calls["order-status"] = {"order": "1001"}
        variables = {"MODEL_URL": model.url, "MODEL_KEY": openai.KEY, "DYNAMIQ_ENGINE": "sdk"}
        flow = json.loads(remembering(tmp_path / "talks.db"))
        flow["nodes"]["agent"]["tools"] = [tool | {"code": "def run(inputs):\n    return 'sent on Monday'\n"}]
        with serving(tmp_path, json.dumps(flow), python=sdk, **variables) as served:
            events = served.run({"question": "where?"}, "/v1/runs", stream=True, timeout=WITHIN).events
            messages = served.run({"question": "where?"}, stream=True, timeout=WITHIN).events
    assert [data["sequence"] for _, data in events] == list(range(1, len(events) + 1))
    of = {name: [data["data"] for kind, data in events if kind == name] for name, _ in events}
    assert [(each["delta"], each["iteration"]) for each in of["agent.reasoning.delta"]] == [("…", 1), ("…", 2)]
    (call,) = of["agent.tool_call.completed"]
    assert (call["object"], call["input"], call["result"], call["iteration"]) == ("agent.tool_call", {"order": "1001"}, "sent on Monday", 1)
    assert call["tool"] == {"name": "order-status", "type": "dynamiq.nodes.tools.Python"}
    assert "".join(each["delta"] for each in of["agent.response.delta"]) == "sent on Monday"
    assert (events[0][0], events[-1][0], of["run.completed"][0]["output"]) == ("run.started", "run.completed", {"answer": "sent on Monday"})
    deltas = [data["data"]["choices"][0]["delta"] for name, data in messages if name == "chunk"]
    assert "".join(each["content"] for each in deltas if isinstance(each["content"], str)) == "sent on Monday"
    whole = [data for name, data in messages if name == "message"]
    assert [(each["entity_id"], each["data"]) for each in whole] == [("w", {"answer": "sent on Monday"})]
    assert {data["wf_run_id"] for name, data in messages if name != "result"} == {whole[0]["wf_run_id"]}


def test_the_products_chat_widget_talks_to_an_agent(sdk: Preloaded, tmp_path: Path) -> None:
    with openai.serving() as model:
        model.recites.add(openai.NAME)
        variables = {"MODEL_URL": model.url, "MODEL_KEY": openai.KEY, "DYNAMIQ_ENGINE": "sdk", "DYNAMIQ_ORIGINS": widget.PAGE}
        flow = json.loads(remembering(tmp_path / "talks.db"))
        flow["nodes"]["agent"]["input_transformer"]["selector"]["input"] = "$.input.output.input"
        flow["nodes"]["output"]["input_transformer"] = {"selector": {"output": "$.agent.output.content"}}
        with serving(tmp_path, json.dumps(flow), python=sdk, **variables) as served:
            url = f"http://127.0.0.1:{served.port}/"
            assert [widget.shown(url, each) for each in (widget.FIRST, widget.SECOND)] == ["apples", "apples and pears"]
            assert widget.shown(url, widget.WITHOUT_STREAM) == "apples and pears and pears"
