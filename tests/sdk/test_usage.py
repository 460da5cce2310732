"""Tests the SDK engine's records of models: tokens, cost, tries, and parents of nodes, in runs of one flow with several models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import openai
from tests.support.preloaded import Preloaded
from tests.support.recorder import Recorder, attributes_of, recording
from tests.support.runtime import Served, serving
from tests.support.waiting import eventually

UNKNOWN = "nobody-knows-this-1"
CACHED, CACHED_PRICE = 600, 0.075e-6
PLAIN_COST = openai.PROMPT_TOKENS * openai.PROMPT_PRICE + openai.COMPLETION_TOKENS * openai.COMPLETION_PRICE
WITHIN = 300.0


def a_model(name: str, **more: Any) -> dict[str, Any]:
    prompt = {"messages": [{"role": "user", "content": "{{question}}"}]}
    from_input = {"input_transformer": {"selector": {"question": "$.input.output.question"}}, "depends": [{"node": "input"}]}
    return {"type": "dynamiq.nodes.llms.OpenAI", "name": f"the {name}", "connection": "openai", "prompt": prompt, **from_input, **more}


def a_flow() -> str:
    brain = {"type": "dynamiq.nodes.llms.OpenAI", "id": "brain", "name": "brain", "connection": "openai", "model": openai.NAME}
    tool = {"type": "dynamiq.nodes.tools.Python", "id": "tool", "name": "look-up", "code": "def run(d):\n    return {'content': 'found'}\n"}
    nodes = {
        "input": {"type": "dynamiq.nodes.utils.Input"},
        "known": a_model("known", model=openai.NAME, error_handling={"max_retries": 1, "retry_interval_seconds": 0.01}),
        "unknown": a_model("unknown", model=UNKNOWN),
        "agent": {
            "type": "dynamiq.nodes.agents.Agent",
            "name": "the agent",
            "role": "to help",
            "inference_mode": "FUNCTION_CALLING",
            "llm": brain,
            "tools": [tool],
            "depends": [{"node": "input"}],
            "input_transformer": {"selector": {"input": "$.input.output.question"}},
        },
        "late": {
            "type": "dynamiq.nodes.tools.Python",
            "name": "late",
            "code": "def run(d):\n    return 1\n",
            "depends": [{"node": "known"}],
        },
        "output": {
            "type": "dynamiq.nodes.utils.Output",
            "depends": [{"node": "unknown"}, {"node": "agent"}],
            "input_transformer": {"selector": {"answer": "$.agent.output.content"}},
        },
    }
    connection = {"type": "dynamiq.connections.OpenAI", "url": "${oc.env:MODEL_URL}", "api_key": "${oc.env:MODEL_KEY}"}
    flows, workflows = {"f": {"nodes": list(nodes)}}, {"w": {"flow": "f"}}
    return json.dumps({"connections": {"openai": connection}, "nodes": nodes, "flows": flows, "workflows": workflows})


@pytest.fixture(scope="module")
def asking(sdk: Preloaded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, openai.Model, Recorder]]:
    with openai.serving() as model, recording() as recorder:
        model.calls["look-up"] = {}
        variables = {"MODEL_URL": model.url, "MODEL_KEY": openai.KEY, "DYNAMIQ_ENGINE": "sdk", "DYNAMIQ_RECORDER": recorder.url}
        runs = json.dumps({"content": True, "redact": {"fields": ["question"], "patterns": ["sk-[a-z0-9-]+"]}})
        with serving(tmp_path_factory.mktemp("usage"), a_flow(), python=sdk, **variables, DYNAMIQ_RUNS=runs) as served:
            yield served, model, recorder


def nodes_after(asking: tuple[Served, openai.Model, Recorder], status: int = 200) -> dict[str, list[dict[str, Any]]]:
    """Makes a run; returns the attributes of its nodes, by the node's name; `parent` is the name of the enclosing span."""
    served, _, recorder = asking
    before = len(recorder.runs)
    assert served.run({"question": "sk-s3cr3t who?"}, timeout=WITHIN).status == status
    eventually("it is recorded", lambda: len(recorder.runs) > before, WITHIN)
    run = recorder.runs[-1]
    spans = recorder.nodes_of(run)
    names = {span.span_id: span.name for span in [run, *spans]}
    by_node: dict[str, list[dict[str, Any]]] = {}
    for span in spans:
        about = attributes_of(span) | {"parent": names[span.parent_span_id]}
        by_node.setdefault(about["dynamiq.node.name"], []).append(about)
    return by_node


def test_a_models_tokens_and_cost_are_its_own_and_an_unknown_price_is_no_price(asking: tuple[Served, openai.Model, Recorder]) -> None:
    served, model, _ = asking
    model.usages[openai.NAME] = openai.USAGE | {"prompt_tokens_details": {"cached_tokens": CACHED}}
    unpriced = served.metric('dynamiq_runtime_unpriced_calls_total{node="unknown"}')
    try:
        nodes = nodes_after(asking)
    finally:
        model.usages.clear()
    (known,), (unknown,) = nodes["the known"], nodes["the unknown"]
    assert (known["gen_ai.request.model"], known["gen_ai.provider.name"], known["dynamiq.node.model_call"]) == (openai.NAME, "openai", True)
    tokens = [known[f"gen_ai.usage.{kind}_tokens"] for kind in ("input", "output", "cache_read.input")]
    assert tokens == [openai.PROMPT_TOKENS, openai.COMPLETION_TOKENS, CACHED]
    assert known["dynamiq.node.cost_usd"] == pytest.approx(PLAIN_COST - CACHED * (openai.PROMPT_PRICE - CACHED_PRICE))
    assert (unknown["gen_ai.request.model"], unknown["gen_ai.usage.input_tokens"]) == (UNKNOWN, openai.PROMPT_TOKENS)
    assert "dynamiq.node.cost_usd" not in unknown
    assert served.metric('dynamiq_runtime_unpriced_calls_total{node="unknown"}') == unpriced + 1
    assert served.metric('dynamiq_runtime_cost_usd_total{node="unknown"}') == 0
    assert all(json.loads(line) for line in served.log.read_text().splitlines())


def test_usage_of_an_agents_model_is_on_the_model_only_and_the_agent_is_its_parent(asking: tuple[Served, openai.Model, Recorder]) -> None:
    nodes = nodes_after(asking)
    (agent,), brains, (tool,) = nodes["the agent"], nodes["brain"], nodes["look-up"]
    assert [brain["parent"] for brain in brains] == ["node the agent"] * 2
    assert (tool["parent"], agent["parent"]) == ("node the agent", "run")
    assert [brain["dynamiq.node.cost_usd"] for brain in brains] == [pytest.approx(PLAIN_COST)] * 2
    assert not {"dynamiq.node.model_call", "dynamiq.node.cost_usd", "gen_ai.usage.input_tokens"} & (set(agent) | set(tool))
    counted = [about for named in nodes.values() for about in named if about.get("dynamiq.node.model_call")]
    assert sum(about["gen_ai.usage.input_tokens"] for about in counted) == 4 * openai.PROMPT_TOKENS


def test_tries_are_counted_and_what_depends_on_a_failure_is_skipped(asking: tuple[Served, openai.Model, Recorder]) -> None:
    _, model, _ = asking
    nodes = nodes_after(asking)
    assert "dynamiq.node.attempts" not in nodes["the known"][0]
    model.busy[openai.NAME] = 1000
    nodes = nodes_after(asking, 500)
    model.busy.clear()
    (known,), (late,) = nodes["the known"], nodes["late"]
    assert (known["dynamiq.node.status"], known["dynamiq.node.attempts"], late["dynamiq.node.status"]) == ("failed", 2, "skipped")
    assert known["error.type"]
    assert not {"gen_ai.usage.input_tokens", "dynamiq.node.cost_usd"} & set(known)


def test_content_of_nodes_leaves_redacted(asking: tuple[Served, openai.Model, Recorder]) -> None:
    _, _, recorder = asking
    nodes = nodes_after(asking)
    assert json.loads(nodes["the known"][0]["dynamiq.input"])["question"] == "[redacted]"
    assert json.loads(nodes["the known"][0]["dynamiq.output"])["content"] == "[redacted] who?"
    assert not any(b"sk-s3cr3t" in post.body or openai.KEY.encode() in post.body for post in recorder.posts)


def test_no_run_has_to_build_the_classes_of_answers(sdk: Preloaded, tmp_path: Path) -> None:
    """Two nodes that build them at once fail: the SDK's packages delay that until the first answer."""
    assert sdk.run("tests.sdk.support.unbuilt", environment={}, given="", folder=tmp_path).splitlines()[-1] == "[]"
