"""Tests that the SDK's engine gives the tiny one's answers, if that one runs the flow at all, and refuses with its own messages."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dynamiq_runtime.engine import Report, RunFailedError
from dynamiq_runtime.tiny import Tiny
from tests.support.cluster import REPOSITORY
from tests.support.flows import a_flow
from tests.support.preloaded import Preloaded
from tests.support.runtime import ECHO, refused

QUESTIONS = [{"question": "Where is my invoice?"}, {"question": 'It "broke", žluť'}, {"question": 7}]
API = {
    "id": "0b6c1c0e-7a3f-4b9e-9a52-6f2f6f1d8f10",
    "nodes": [
        {"id": "in", "name": "Start", "type": "dynamiq.nodes.utils.Input"},
        {
            "id": "double",
            "type": "dynamiq.nodes.tools.Python",
            "depends": [{"node": "in"}],
            "input_transformer": {"path": "$.in.output", "selector": None},
            "code": "def run(d):\n    return {'content': d['n'] * 2, 'kept': d}",
        },
        {
            "id": "out",
            "type": "dynamiq.nodes.utils.Output",
            "depends": [{"node": "double"}],
            "input_transformer": {"path": None, "selector": {"twice": "$.double.output.content", "kept": "$.double.output.kept"}},
        },
    ],
}
TWO_OUTPUTS = {
    "nodes": {
        "in": {"type": "dynamiq.nodes.utils.Input"},
        **{
            name: {
                "type": "dynamiq.nodes.utils.Output",
                "depends": [{"node": "in"}],
                "input_transformer": {"selector": {"is": f"$.in.output.{name}"}},
            }
            for name in ("a", "b")
        },
    }
}
TAKES_AN_ORDER = json.loads(ECHO)
TAKES_AN_ORDER["nodes"]["input"] |= {"name": "Order", "input_transformer": {"path": "$.order", "selector": {"n": "$.n"}}}
FAILS_FOR_SOME = a_flow("def run(d):\n    return 1 / d['n']\n", name="divider")


def examples() -> list[str]:
    """Returns the flows of the examples that run, from their WorkflowVersions."""
    return [yaml.safe_load((REPOSITORY / "examples" / name).read_text())["spec"]["flow"] for name in ("support-v1.yaml", "support-v2.yaml")]


def both_run() -> list[dict[str, Any]]:
    """Returns flows with inputs that both engines run."""
    return [
        *({"flow": flow, "inputs": QUESTIONS} for flow in examples()),
        {"flow": ECHO, "inputs": [{"n": 2**80, "deep": {"list": [1, None, {"x": [True]}]}}, {}]},
        {"flow": json.dumps(API), "inputs": [{"n": 21}]},
        {"flow": json.dumps(TWO_OUTPUTS), "inputs": [{"a": 1, "b": "two"}]},
        {"flow": FAILS_FOR_SOME, "inputs": [{"n": 4}, {"n": 0}]},
        {"flow": json.dumps(TAKES_AN_ORDER), "inputs": [{"order": {"n": 1}}, {}, {"order": 3}, {"order": None}]},
        {"flow": yaml.safe_dump({**json.loads(ECHO), "connections": {}}), "inputs": [{"date": "2026-11-25"}]},
    ]


def only_the_sdk_runs() -> list[dict[str, Any]]:
    """Returns flows that the tiny engine refuses: a node with a time limit, and one that runs another once for each item of a list."""
    limited, mapped = json.loads(ECHO), json.loads(ECHO)
    limited["nodes"]["code"]["error_handling"] = {"timeout_seconds": 60}
    inner = {key: mapped["nodes"]["code"][key] for key in ("type", "code")}
    each = {"type": "dynamiq.nodes.operators.Map", "node": inner, "depends": [{"node": "input"}]}
    mapped["nodes"]["code"] = each | {"input_transformer": {"selector": {"input": "$.input.output.list"}}}
    mapped["nodes"]["output"]["input_transformer"] = {"selector": {"result": "$.code.output.output[*].content"}}
    return [{"flow": json.dumps(limited), "inputs": [{"n": 1}]}, {"flow": json.dumps(mapped), "inputs": [{"list": [{"n": 1}, {"n": 2}]}]}]


REFUSED = {
    "no nodes": "the flow has no `nodes`",
    json.dumps({"nodes": [{"id": "x", "name": "odd", "type": "dynamiq.nodes.Nothing"}]}): 'node "odd" (x) has type dynamiq.nodes.Nothing, '
    'which engine "sdk" does not have',
    json.dumps({"nodes": [{"id": "x", "name": "odd"}]}): 'node "odd" (x) has no type',
    json.dumps({"nodes": [{"id": "in", "type": "dynamiq.nodes.utils.Input"}]}): "the flow has no Output node",
    json.dumps(
        {"nodes": [{"id": "p", "type": "dynamiq.nodes.tools.Python", "code": ["not text"]}]}
    ): "Node 'p' data is invalid. `code`: Input should be a valid string",
    json.dumps({"nodes": {"o": {"type": "dynamiq.nodes.utils.Output", "name": "${oc.env:NOT_SET}"}}}): "NOT_SET",
}


@pytest.fixture(scope="module")
def answered(sdk: Preloaded, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Provides the answers of the SDK's engine to all of the above, in that order."""
    requests = [*both_run(), *only_the_sdk_runs(), *({"flow": flow, "inputs": []} for flow in REFUSED)]
    variables = {"PATH": os.environ["PATH"]}
    output = sdk.run(
        "tests.sdk.support.sdk_answers", environment=variables, given=json.dumps(requests), folder=tmp_path_factory.mktemp("answers")
    )
    answers: list[dict[str, Any]] = json.loads(output)
    return answers


def test_both_engines_give_the_same_answers(answered: list[dict[str, Any]]) -> None:
    flows = both_run()
    assert [answers["answers"] for answers in answered[: len(flows)]] == [
        [_of_tiny(request["flow"], content) for content in request["inputs"]] for request in flows
    ]


def _of_tiny(flow: str, content: dict[str, Any]) -> dict[str, Any]:
    report = Report()
    try:
        output = Tiny(flow, {}).execute(content, report)
    except RunFailedError as error:
        return {"failed": [[failure.node, failure.name] for failure in error.failures], "input_refused": error.input_refused}
    return {"output": output, "within": sorted({node.within for node in report.nodes})}


def test_the_sdk_runs_flows_that_the_tiny_engine_refuses_and_names_the_node_of_each_part(answered: list[dict[str, Any]]) -> None:
    limited, mapped = (answers["answers"] for answers in answered[len(both_run()) : -len(REFUSED)])
    nodes = ["code", "input", "output"]
    assert limited == [{"output": {"result": {"n": 1}}, "within": nodes}]
    assert mapped == [{"output": {"result": [{"n": 1}, {"n": 2}]}, "within": nodes}]


def test_a_flow_that_the_sdk_cannot_load_is_refused_with_the_node(answered: list[dict[str, Any]]) -> None:
    refusals = [answer["refused"] for answer in answered[-len(REFUSED) :]]
    for refusal, expected in zip(refusals, REFUSED.values(), strict=True):
        assert expected in refusal
        assert "\n" not in refusal


def test_a_bad_flow_ends_the_server_with_one_line(sdk: Preloaded, tmp_path: Path) -> None:
    flow = json.dumps({"nodes": [{"id": "x", "type": "dynamiq.nodes.Nothing"}]})
    code, line = refused(tmp_path, flow, python=sdk, DYNAMIQ_ENGINE="sdk")
    assert (code, line) == (2, 'dynamiq-runtime: node "x" has type dynamiq.nodes.Nothing, which engine "sdk" does not have')


def test_the_engine_is_the_requested_one(python: str, tmp_path: Path) -> None:
    other = refused(tmp_path, ECHO, python=sys.executable, DYNAMIQ_ENGINE="sdk")
    assert other == (2, 'dynamiq-runtime: DYNAMIQ_ENGINE is "sdk", and this image has no dynamiq: use the image runtime-sdk')
    llm = json.dumps({"nodes": [{"id": "llm", "type": "dynamiq.nodes.llms.OpenAI"}]})
    assert 'engine "tiny" does not run' in refused(tmp_path, llm, python=python, DYNAMIQ_ENGINE="tiny")[1]
