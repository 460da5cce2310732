"""Checking a flow before its release."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from dynamiq_operator.model.engines import NODE_TYPES
from dynamiq_operator.model.flow_check import KNOWN_TYPES, FlowCheck, check_flow
from dynamiq_runtime.flow import load_flow
from dynamiq_runtime.text import FlowError
from tests.support.cluster import REPOSITORY

INPUT, PYTHON, OUTPUT, FEEDBACK, _DELAY = NODE_TYPES
CODE = "def run(inputs):\n    return 1\n"


def flow(count: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Returns a flow of Input, count and Output. `count` changes the node in the middle."""
    middle = {"type": PYTHON, "depends": [{"node": "input"}], "code": CODE, **(count or {})}
    nodes = {"input": {"type": INPUT}, "count": middle, "output": {"type": OUTPUT, "depends": [{"node": "count"}]}}
    return {"nodes": nodes, "flows": {"f": {"nodes": list(nodes)}}, "workflows": {"w": {"flow": "f"}}, **more}


def listed(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"nodes": list(nodes)}


def selector(path: str, depends: str = "input") -> dict[str, Any]:
    return {"depends": [{"node": depends}], "input_transformer": {"selector": {"text": path}}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "the flow has no `nodes`: a mapping (the SDK's form) or a list (the API's form)"),
        ({"nodes": []}, "the flow has no `nodes`: a mapping (the SDK's form) or a list (the API's form)"),
        (flow(workflows={"w": {"flow": "other"}}), "workflow 'w' names the flow 'other', which is not there"),
        (flow(workflows={"a": {"flow": "f"}, "b": {"flow": "f"}}), "the flow has 2 workflows (a, b) and needs exactly one"),
        (flow(flows={"f": {"nodes": ["input", "cuont"]}}), "flow 'f' lists the node 'cuont', which is not there"),
        (flow(flows={"f": {}}), "flow 'f' has no list of `nodes`"),
        (flow({"depends": [{"node": "inptu"}]}), 'node "count" depends on "inptu", which is not in the flow'),
        (flow({"depends": ["input"]}), 'node "count": an entry of `depends` is not {node: <id>}'),
        (flow({"type": ""}), 'node "count" has no type'),
        (flow({"depends": [{"node": "output"}]}), "the nodes depend on each other in a circle: "),
        (flow({"type": FEEDBACK}), 'node "count": it asks at a console, which a pod does not have: set `input_method: stream`'),
        (flow({"approval": {"enabled": True}}), 'node "count": it is approved at a console, which a pod does not have: '),
        (listed({"type": INPUT}), "node number 1 has no `id`"),
        (listed({"id": "a", "type": INPUT}, {"id": "a", "type": OUTPUT}), "two nodes have the id 'a'"),
    ],
)
def test_a_flow_that_no_engine_runs_has_the_error_of_the_runtime(given: dict[str, Any], said: str) -> None:
    (error,) = check_flow(json.dumps(given)).errors
    assert error.startswith(said)
    with pytest.raises(FlowError) as refused:
        load_flow(json.dumps(given))
    assert error.split(": ")[0].split(" type")[0] in str(refused.value), "the pod would say the same, later"


@pytest.mark.parametrize(
    ("path", "errors", "warnings"),
    [
        ("$.input.output.text", [], []),
        ("$.text", [], []),
        ("$.nosuch", [], []),
        ("$.nosuch.output.text", ['node "count" reads $.nosuch.output.text, and no node is called "nosuch"'], []),
        ("$['no such'].output", ['node "count" reads $[\'no such\'].output, and no node is called "no such"'], []),
        ("$.input.output.a || $.nosuch.output.b", ['node "count" reads $.nosuch.output.b, and no node is called "nosuch"'], []),
        ("a text about $.nosuch.output", [], []),
        ("$.output.output.text", [], ['node "count" reads $.output.output.text and does not depend on "output": it gets nothing']),
    ],
)
def test_a_selector_of_a_missing_node_is_reported(path: str, errors: list[str], warnings: list[str]) -> None:
    """The engines silently return None for such a selector."""
    assert check_flow(yaml.safe_dump(flow(selector(path)))) == FlowCheck(tuple(errors), tuple(warnings))


def test_a_type_that_no_engine_is_known_to_run_only_warns() -> None:
    (warning,) = check_flow(json.dumps(flow({"type": "dynamiq.nodes.tools.Pythn"}))).warnings
    assert (
        warning
        == 'node "count" has type dynamiq.nodes.tools.Pythn, which no engine here is known to run; did you mean dynamiq.nodes.tools.Python?'
    )
    for known in ("dynamiq.nodes.tools.python.Python", "dynamiq.nodes.agents.Agent"):
        assert check_flow(json.dumps(flow({"type": known}))) == FlowCheck()
    assert set(NODE_TYPES) < KNOWN_TYPES


@pytest.mark.parametrize("text", ["nodes: [", "- a", "nodes: {a: 1", "a: &x [*x]"])
def test_a_text_that_is_no_mapping_is_an_error(text: str) -> None:
    assert len(check_flow(text).errors) == 1


def test_many_errors_are_one_line() -> None:
    nodes = [{"id": str(number), "type": INPUT, "depends": [{"node": "x"}]} for number in range(7)]
    text = check_flow(json.dumps(listed(*nodes))).in_words()
    assert (text.count("which is not in the flow"), text[-10:]) == (5, "and 2 more")


def test_the_flows_of_our_examples_have_nothing_wrong() -> None:
    documents = [each for file in (REPOSITORY / "examples").rglob("*.yaml") for each in yaml.safe_load_all(file.read_text())]
    flows = [each["spec"]["flow"] for each in documents if each and each.get("kind") in ("Workflow", "WorkflowVersion")]
    assert len(flows) > 4
    assert {check_flow(text) for text in flows} == {FlowCheck()}


def test_a_node_that_waits_inside_another_one_is_said_to_keep_its_pod() -> None:
    asks = {"type": FEEDBACK, "name": "boss", "input_method": "stream"}
    agent = {"type": "dynamiq.nodes.agents.Agent", "code": None}
    assert check_flow(json.dumps(flow({**agent, "tools": [asks]}))).warnings == ()
    assert check_flow(json.dumps(flow({**asks, "code": None}))).warnings == ()
    for inner in ({"node": asks}, {"tools": [{**agent, "name": "helper", "tools": [asks]}]}):
        (warning,) = check_flow(json.dumps(flow({**agent, **inner}))).warnings
        assert warning.startswith('node "boss" asks a person inside another node: a run keeps its pod while it waits there')
