"""The accepted flows: both forms, the SDK's semantics, and one line for each refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dynamiq_runtime.engine import RunFailedError
from dynamiq_runtime.flow import FlowError, load_flow
from dynamiq_runtime.tiny import execute

PYTHON = "dynamiq.nodes.tools.Python"
INPUT = {"id": "in", "type": "dynamiq.nodes.utils.Input"}
OUTPUT = "dynamiq.nodes.utils.Output"


def code(node_id: str, source: str, depends: tuple[str, ...] = ("in",), **more: Any) -> dict[str, Any]:
    return {"id": node_id, "type": PYTHON, "code": source, "depends": [{"node": target} for target in depends], **more}


def output(*depends: str, **selector: str) -> dict[str, Any]:
    shaped = {"input_transformer": {"path": None, "selector": selector}} if selector else {}
    return {"id": "out", "type": OUTPUT, "depends": [{"node": target} for target in depends], **shaped}


def answer(*nodes: dict[str, Any], given: dict[str, Any] | None = None) -> Any:
    return execute(load_flow(json.dumps({"id": "flow", "nodes": [INPUT, *nodes]})), given or {})


def refusal(text: str) -> str:
    with pytest.raises(FlowError) as caught:
        load_flow(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

SDK = """
connections: {}
nodes:
  in: {type: dynamiq.nodes.utils.Input}
  add:
    type: dynamiq.nodes.tools.Python
    name: adder
    use_multiple_params: true
    depends: [{node: in}]
    input_transformer: {selector: {a: $.in.output.a, b: $.in.output.b}}
    code: |
      def run(a, b):
          return a + b
  out:
    type: dynamiq.nodes.utils.Output
    depends: [{node: add}]
    input_transformer: {selector: {sum: $.add.output.content, unit: "euro"}}
  unused: {type: dynamiq.nodes.llms.OpenAI}
flows: {f: {name: f, nodes: [in, add, out]}}
workflows: {w: {flow: f, version: 1}}
"""


def test_the_sdks_form_runs_the_flow_that_its_workflow_names() -> None:
    assert execute(load_flow(SDK), {"a": 1, "b": 2}) == {"sum": 3, "unit": "euro"}


def test_the_apis_form_runs_too() -> None:
    nodes = (code("n", "def run(d):\n    return d['in']['output']['a']"), output("n", value="$.n.output.content"))
    assert answer(*nodes, given={"a": 5}) == {"value": 5}


def test_without_a_transformer_a_node_is_given_the_input_and_every_result() -> None:
    given = answer(code("n", "def run(d):\n    return d"), output("n", got="$.n.output.content"), given={"q": 1})
    assert given == {"got": {"q": 1, "in": {"status": "success", "output": {"q": 1}}}}


def test_a_dict_with_content_is_passed_on_and_anything_else_is_wrapped() -> None:
    kept = code("n", "def run(d):\n    return {'content': 1, 'more': 2}")
    assert answer(kept, output("n", got="$.n.output")) == {"got": {"content": 1, "more": 2}}
    wrapped = code("n", "def run(d):\n    return {'more': 2}")
    assert answer(wrapped, output("n", got="$.n.output")) == {"got": {"content": {"more": 2}}}
    text = code("n", "def run(d):\n    return 7", is_optimized_for_agents=True)
    assert answer(text, output("n", got="$.n.output")) == {"got": {"content": "7"}}


def test_big_integers_stay_whole() -> None:
    big = 2**200 + 1
    nodes = (
        code("n", "def run(d):\n    return d['big'] + d['q']", input_mapping={"big": big}),
        output("n", got="$.n.output.content"),
    )
    assert answer(*nodes, given={"q": 1}) == {"got": big + 1}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.in.output.a.b", 1),
        ("$['in']['output'].a['b']", 1),
        ("in.output.list[1].x", 2),
        ("$.in.output.list[*].x", [1, 2]),
        ("$.in.output.list[7]", None),
        ("$.in.output.none || $.in.output.a.b", 1),
        ("$.in.output.none || nothing here", "nothing here"),
        ("plain words", "plain words"),
        ("word", "word"),
    ],
)
def test_selectors_read_paths_and_keep_other_text(path: str, expected: Any) -> None:
    given = {"a": {"b": 1}, "list": [{"x": 1}, {"x": 2}], "none": None}
    assert answer(output("in", got=path), given=given) == {"got": expected}


def test_code_sees_the_sdks_sandbox() -> None:
    source = """
import json, math
def run(d):
    n = 1
    n += 2
    a, b = (n, math.pi)
    return json.loads("[1]") + [type(d).__name__, a]
"""
    assert answer(code("n", source), output("n", got="$.n.output.content")) == {"got": [1, "dict", 3]}
    for forbidden in ("import os", "from subprocess import run as r", "open('/etc/passwd')"):
        with pytest.raises(RunFailedError):
            answer(code("n", f"def run(d):\n    {forbidden}\n    return 1"), output("n"))


def test_each_run_has_globals_of_its_own() -> None:
    count = code("n", "seen = []\ndef run(d):\n    seen.append(1)\n    return len(seen)")
    flow = load_flow(json.dumps({"nodes": [INPUT, count, output("n", got="$.n.output.content")]}))
    assert [execute(flow, {}) for _ in range(3)] == [{"got": 1}] * 3


def test_a_node_can_not_change_what_another_one_reads() -> None:
    spoil = code("a", "def run(d):\n    d['in']['output']['list'].append(9)\n    return 1")
    assert answer(spoil, output("a", got="$.in.output.list"), given={"list": [1]}) == {"got": [1]}


def test_a_failure_names_its_node_and_skips_what_depends_on_it() -> None:
    with pytest.raises(RunFailedError) as caught:
        answer(code("n", "def run(d):\n    return 1 / 0", name="divide"), output("n"))
    assert str(caught.value) == 'node "divide" failed: ZeroDivisionError: division by zero'


def test_a_failure_that_may_return_goes_on_as_a_result() -> None:
    failing = code("n", "def run(d):\n    return 1 / 0", error_handling={"behavior": "return"})
    got = answer(failing, output("n", status="$.n.status", said="$.n.error.message"))
    assert got == {"status": "failure", "said": "Code execution error: division by zero"}


def test_yaml_reads_as_the_sdk_reads_it() -> None:
    flow = SDK.replace('"euro"', "2024-01-31")
    assert execute(load_flow(flow), {"a": 1, "b": 2})["unit"] == "2024-01-31"
    assert "occurs twice" in refusal("nodes: {a: 1, a: 2}")


def test_variables_come_from_the_environment() -> None:
    flow = SDK.replace("euro", "${oc.env:UNIT}")
    assert execute(load_flow(flow, {"UNIT": "franc"}), {"a": 1, "b": 1})["unit"] == "franc"
    assert refusal(flow) == "the flow reads the variable UNIT, which the App does not set"


@pytest.mark.parametrize(
    ("nodes", "line"),
    [
        (
            [{"id": "llm", "type": "dynamiq.nodes.llms.OpenAI"}],
            'node "llm" has type dynamiq.nodes.llms.OpenAI, which engine "tiny" does not run (it runs Input, Python, Output, HumanFeedbackTool, Delay)',
        ),
        ([{"id": "x"}], 'node "x" has no type, which engine "tiny" does not run (it runs Input, Python, Output, HumanFeedbackTool, Delay)'),
        ([code("a", "def run(d): return 1", ("gone",)), output("a")], 'node "a" depends on "gone", which is not in the flow'),
        (
            [code("a", "def run(d): return 1", ("b",)), code("b", "def run(d): return 1", ("a",)), output("a")],
            "the nodes depend on each other in a circle: a -> b -> a",
        ),
        ([code("a", "def run(d): return 1")], "the flow has no Output node, so it would have no answer"),
        ([code("a", "x = 1"), output("a")], 'node "a": its code defines no function `run`'),
        ([code("a", "def run(d)"), output("a")], "Line 1: SyntaxError: expected ':'"),
        ([code("a", "def run(d): return eval('1')"), output("a")], "Eval calls are not allowed"),
        ([code("a", "def run(d): return d._x"), output("a")], '"_x" is an invalid attribute name'),
        ([INPUT, output("in")], "two nodes have the id 'in'"),
        ([output("in", got="$..x")], "the path '$..x' is not supported"),
        ([{**output("in"), "depends": [{"node": "in", "option": "yes"}]}], 'it depends on "in" with `option`'),
        ([{**output("in"), "approval": {"enabled": True}}], "it is approved at a console, which a pod does not have"),
        ([{**output("in"), "mock": {"enabled": True}}], "it uses `mock`"),
        ([{**output("in"), "error_handling": {"timeout_seconds": 3}}], "it uses `error_handling.timeout_seconds`"),
    ],
)
def test_a_flow_that_cannot_run_is_refused_in_one_line(nodes: list[dict[str, Any]], line: str) -> None:
    assert line in refusal(json.dumps({"nodes": [INPUT, *nodes]}))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "the flow has no `nodes`"),
        ("nodes: [", "the flow is neither YAML nor JSON, line 1, column 9"),
        ("nodes: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("nodes: {a: {type: x}}\nflows: {}\nworkflows: {w: {flow: gone}}", "workflow 'w' names the flow 'gone'"),
        ("nodes: {a: {}}\nflows: {f: {nodes: [b]}}", "flow 'f' lists the node 'b', which is not there"),
        ("[" * 5000, "nested more than"),
        (BOMB, "more than 200000 values"),
        ("x" * 1_100_000, "larger than 1024 KiB"),
    ],
    ids=["empty", "broken", "tag", "flow gone", "node gone", "deep", "aliases", "large"],
)
def test_text_that_is_no_flow_is_refused_in_one_line(text: str, line: str) -> None:
    assert line in refusal(text)
