"""Fields that nodes read through selectors, templates, conditions, and the results of other nodes."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.model.contract import ChangeKind, changes, contract_of
from tests.support.contracts import AGENT, INPUT, LLM, OUTPUT, PASS, PYTHON, flow, node, prompt, python, told, told_of

CHOICE, MAP, DELAY = "dynamiq.nodes.operators.Choice", "dynamiq.nodes.operators.Map", "dynamiq.nodes.utils.Delay"
FEEDBACK, OTHER = "dynamiq.nodes.tools.HumanFeedbackTool", "dynamiq.nodes.tools.HttpApiCall"
OF_AGENTS = "files? images? metadata? session_id? tool_params? user_id? videos?"
RENAMED = {"type": INPUT, "output_transformer": {"selector": {"w": "$.q"}}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("$.q", "q", id="a path"),
        pytest.param("$['x y']", "x y", id="a name in brackets"),
        pytest.param('$["start"]["output"]["q"]', "q", id="the Input's result in brackets"),
        pytest.param("$.start.output.q", "q", id="the Input's result"),
        pytest.param("@.q", "q", id="another root"),
        pytest.param("$.q.text[0].more", "q", id="a part of a field"),
        pytest.param("$.xs[*].n", "xs", id="all items of a field"),
        pytest.param("$.q || $.r || hello", "q? r?", id="the first of two fields and a text"),
        pytest.param("q", "q?", id="a text that may be a field"),
        pytest.param("hello you", "", id="a text"),
        pytest.param("a price of $.50", "", id="a text with a root in it"),
        pytest.param("", "", id="an empty text"),
        pytest.param(3, "", id="a number"),
        pytest.param(None, "", id="null"),
        pytest.param("$", "(out)", id="the whole input"),
        pytest.param("$.start", "(out)", id="the Input node"),
        pytest.param("$.start.output", "(out)", id="the Input's whole result"),
        pytest.param("$..n", "(out)", id="a search"),
        pytest.param("$.xs[?(@.n > 1)]", "(out)", id="a filter"),
        pytest.param("$.", "(out)", id="an unfinished path"),
        pytest.param("$.q" + ".a" * 3_000, "(out)", id="a path that is too long"),
        pytest.param("hello " * 1_000, "", id="a long text"),
        pytest.param("$.q || " + "hello " * 1_000, "(out)", id="a long text beside a path"),
    ],
)
def test_fields_that_a_selector_reads(value: object, expected: str) -> None:
    assert told_of({"out": node(OUTPUT, {"a": value})}) == expected


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param({"out": node(OUTPUT, {"a": "$.q"}, "$.start.output")}, "q", id="a path, then a selector"),
        pytest.param({"code": python('return inputs["a"]', path="$.start.output.o")}, "o!", id="a path into a field"),
        pytest.param({"code": python('return inputs["a"]', path="$.start.output.o", selector={"a": "$.q"})}, "o!", id="and a selector"),
        pytest.param({"code": python('return inputs["a"]', path="$..o")}, "(code)", id="a path that searches"),
        pytest.param({"start": RENAMED, "out": node(OUTPUT, {"a": "$.start.output.w"})}, "q", id="the Input renames a field"),
        pytest.param({"start": RENAMED, "out": node(OUTPUT, {"a": "$.w"})}, "w", id="a field beside the Input's result"),
        pytest.param({"start": RENAMED, "out": node(OUTPUT, {"a": "$.start.output.q"})}, "", id="a field that the Input drops"),
        pytest.param({"start": RENAMED, "out": node(OUTPUT, {"a": "$.start.input.q"})}, "q", id="the Input's own input"),
        pytest.param(
            {"p": node(PASS, {"w": "$.q"}), "out": node(OUTPUT, {"a": "$.p.output.w"}, depends=[{"node": "p"}])}, "q", id="a Pass passes on"
        ),
        pytest.param(
            {"p": node(DELAY), "out": node(OUTPUT, {"a": "$.p.output.w"}, depends=[{"node": "p"}])},
            "duration_seconds? until? w",
            id="a Delay passes on",
        ),
        pytest.param(
            {"q": python("return 1"), "code": {**python('return inputs["q"]'), "depends": [{"node": "q"}]}}, "", id="a node before hides"
        ),
        pytest.param(
            {"code": python('return inputs["q"]'), "q": node(OUTPUT, depends=[{"node": "code"}])}, "q!", id="a node after hides nothing"
        ),
        pytest.param({"code": python('return inputs["q"]'), "q": python("return 1")}, "q!", id="a node beside may hide"),
        pytest.param({"code": {**python('return inputs["q"]'), "input_mapping": {"q": 1}}}, "", id="a constant"),
        pytest.param({"code": {**python('return inputs["q"]'), "error_handling": {"behavior": "return"}}}, "q", id="behavior return"),
        pytest.param(
            {"p": node(CHOICE), "code": {**python('return inputs["q"]'), "depends": [{"node": "p", "option": "1"}]}}, "q", id="an option"
        ),
        pytest.param(
            {
                "p": node(CHOICE),
                "then": node(PASS, depends=[{"node": "p", "option": "1"}]),
                "code": {**python('return inputs["q"]'), "depends": [{"node": "then"}]},
            },
            "q",
            id="a node after an option's",
        ),
        pytest.param(
            {"p": python("return 1"), "code": {**python('return inputs["q"]'), "depends": [{"node": "p", "trigger": "failure"}]}},
            "q",
            id="a node after a failure",
        ),
        pytest.param({"each": node(MAP, {"input": "$.xs"}, node=python('return inputs["z"]'))}, "xs!", id="a Map"),
        pytest.param({"each": node(MAP)}, "input!", id="a Map without a selector"),
        pytest.param({"ask": node(FEEDBACK, msg_template="Is {{q}} right?")}, "action? q", id="a question"),
        pytest.param({"ask": node(FEEDBACK)}, "action? input", id="a question without a text"),
        pytest.param({"x": node(OTHER)}, "(x)", id="an unknown type"),
        pytest.param({"x": node(OTHER, {"url": "$.q"})}, "q", id="an unknown type with a selector"),
        pytest.param({"x": node("dynamiq.nodes.operators.SubWorkflow")}, "(x)", id="a flow in a flow"),
        pytest.param({"x": "text"}, "(x)", id="no node"),
        pytest.param({"x": node(OTHER, name="mail")}, "(mail)", id="a node with a name"),
        pytest.param({"out": node(OUTPUT, depends=[{"node": "out"}])}, "(flow)", id="a circle"),
    ],
)
def test_fields_that_nodes_read(nodes: dict[str, Any], expected: str) -> None:
    assert told_of(nodes) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"variable": "$.q", "operator": "string-equals", "value": "x"}, "q"),
        ({"variable": "q", "operator": "numeric-greater", "value": 1}, "q"),
        ({"variable": "$.q", "operator": "string-equals-path", "value": "$.r"}, "q r"),
        (
            {
                "operator": "and",
                "operands": [{"variable": "$.q"}, {"operator": "or", "operands": [{"variable": "$.r"}, {"variable": "s"}]}],
            },
            "q r s",
        ),
        ({"variable": "$.q", "operator": "and", "operands": [{"variable": "$.r"}]}, "q"),
        ({"variable": "$..q"}, "(pick)"),
        ({"variable": ["q"]}, "(pick)"),
        ({"variable": "$.q", "value": "$.["}, "(pick)"),
        ("q", "(pick)"),
        (None, ""),
    ],
)
def test_fields_that_a_choice_reads(condition: object, expected: str) -> None:
    assert told_of({"pick": node(CHOICE, options=[{"id": "1", "condition": condition}])}) == expected


@pytest.mark.parametrize(
    ("text", "without", "selected"),
    [
        pytest.param("Q: {{q}}", "q!", "q", id="a variable"),
        pytest.param("{{ q | upper }}", "q!", "q", id="a filter"),
        pytest.param("{{ q | default('d') }}", "q!", "q", id="a default, which neither a missing variable nor a null gets"),
        pytest.param("{{ q | default('d', true) }}", "q!", "q?", id="a default for null"),
        pytest.param("{{ q or 'd' }}", "q!", "q?", id="or"),
        pytest.param("{{ q.text }}", "q!", "q", id="a part of a field"),
        pytest.param("{{ q['text'][0] }}", "q!", "q", id="a part of a field in brackets"),
        pytest.param("{{ q[r] }}", "q! r!", "q r", id="a part by another field"),
        pytest.param("{{ q ~ r }}", "q! r!", "q r", id="two joined"),
        pytest.param("{{ q is defined }}", "q!", "q", id="a test"),
        pytest.param("{{ q is eq(r) }}", "q! r!", "q r", id="a test with another field"),
        pytest.param("{{ range(q) }}", "q!", "q", id="a function of Jinja's"),
        pytest.param("{% if q %}{{ r }}{% endif %}", "q! r!", "q? r", id="if"),
        pytest.param("{% if q %}{% set r = 1 %}{% endif %}{{ r }}", "q! r!", "q? r", id="a variable that is set at times"),
        pytest.param("{%- if q %}{%- set r = 1 %}{% endif %}{{ r }}", "q! r!", "q? r", id="and without the space before it"),
        pytest.param("{% set x = q %}{{ x }}", "q!", "q", id="a variable that is set"),
        pytest.param("{% for x in q %}{{ x.n }} {{ loop.index }}{% endfor %}", "q!", "q", id="for"),
        pytest.param("{% for q in r %}{{ q }}{% endfor %}{{ q }}", "q! r!", "q r", id="a variable after its loop"),
        pytest.param("{%- for\n k, v in q.items() -%}{{ k }}{{ v }}{%- endfor -%}", "q!", "q", id="for with two variables"),
        pytest.param("{% for (k, v) in q.items() %}{{ k }}{{ v }}{% endfor %}", "q!", "q", id="for with two variables in brackets"),
        pytest.param("{% for q in q.parts %}{{ q }}{% endfor %}", "q!", "q", id="a loop's variable with the name of its list"),
        pytest.param("{# {{ q }} #}{% raw %}{{ q }}{% endraw %}", "", "", id="a comment and raw text"),
        pytest.param("{{ true }} {{ none }} {{ 1 }} {{ 'q' }}", "", "", id="constants"),
        pytest.param("plain { q }", "", "", id="no variable"),
        *(
            pytest.param(text, "(m)", "(m)", id=f"not read: {text}")
            for text in (
                "{{ q",
                "{{ }}",
                "{% raw %}{{ q }}",
                "{{ f(q) }}",
                "{{ q q }}",
                "{% macro m(a) %}{% endmacro %}",
                "{% include q %}",
            )
        ),
    ],
)
def test_fields_that_a_prompt_reads(text: str, without: str, selected: str) -> None:
    assert told_of({"m": prompt(text)}) == without
    assert told_of({"m": prompt(text, path="$.start.output")}) == without
    assert told_of({"m": prompt(text, {"q": "$.q", "r": "$.r"})}) == selected


def test_a_prompt_reads_the_results_of_nodes() -> None:
    assert told_of({"m": prompt("{{ start.output.q }}")}) == "q"
    assert told_of({"m": prompt("{{ start }}")}) == "(m)"


def test_a_variable_that_a_selector_lacks_cannot_be_told() -> None:
    assert told_of({"m": prompt("{{ q }} {{ z }}", {"q": "$.q"})}) == "q (m)", "it fails for every caller"


def test_a_prompt_may_be_one_of_the_flow_by_name() -> None:
    prompts = {"p": {"messages": [{"content": "{{q}}"}]}}
    assert told_of({"m": node(LLM, prompt="p")}, prompts=prompts) == "q!"
    assert told_of({"m": node(LLM, prompt="other")}, prompts=prompts) == "(m)"


def test_a_named_prompt_that_changes_makes_its_node_another_one() -> None:
    """The node is the same in both versions, and cannot be told in either."""
    live, new = (
        flow({"m": node(LLM, prompt="p")}, prompts={"p": {"messages": [{"content": each}]}}) for each in ("{% odd %}", "{% other %}")
    )
    assert [each.kind for each in changes(contract_of(live), contract_of(new))] == [ChangeKind.CANNOT_TELL]
    assert changes(contract_of(live), contract_of(live)) == ()


def test_the_fields_that_are_given_on_to_a_node_that_cannot_be_told_are_read() -> None:
    """The node is the same in both versions, and gets other fields in the new one."""
    code = python("return f(inputs)", path="$.start.output")
    live, new, odd = (
        contract_of(flow({"start": {"type": INPUT, "output_transformer": {"selector": {"w": each}}}, "code": code}))
        for each in ("$.q", "$.z", "$..z")
    )
    assert [(each.kind, each.name) for each in changes(live, new)] == [(ChangeKind.READS, "z")]
    assert [(each.kind, each.name) for each in changes(live, odd)] == [(ChangeKind.CANNOT_TELL, "start")]


def test_a_message_has_parts_and_a_static_one_has_no_variables() -> None:
    parts = [{"type": "text", "text": "{{q}}"}, {"image_url": {"url": "{{u}}"}}, {"file": {"file_data": "{{f}}"}}]
    messages = [{"content": parts}, {"content": "{{z}}", "static": True}]
    assert told_of({"m": node(LLM, prompt={"messages": messages})}) == "f! q! u!"
    for odd in ({"content": [{"audio": "{{q}}"}]}, {"content": 1}, "{{q}}"):
        assert told_of({"m": node(LLM, prompt={"messages": [odd]})}) == "(m)"


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        pytest.param(node(AGENT), f"{OF_AGENTS} input", id="the fields of every agent"),
        pytest.param(node(AGENT, {"input": "$.q"}), "q!", id="an input that is selected"),
        pytest.param(node(AGENT, {"input": "$.q || hello"}), "q?", id="an input with a default"),
        pytest.param(
            node(AGENT, {"input": "hi there", "metadata": "$.m", "user_id": "$.u"}), "m! u?", id="metadata, which must be an object"
        ),
        pytest.param(node(AGENT, {"input": "$.q"}, role="Speak {{z}}"), "q!", id="a role is no template"),
        pytest.param(node(AGENT, role="{% raw %}x{% endraw %} {{z}}"), f"{OF_AGENTS} input z!", id="a role with raw text is one"),
        pytest.param(node(AGENT, instructions="{% raw %}x{% endraw %} {{z}}"), f"{OF_AGENTS} input z", id="and so are instructions"),
        pytest.param(node(AGENT, input_message={"content": "Q {{q}} {{input}}"}), f"{OF_AGENTS} q!", id="a message"),
        pytest.param(
            node(AGENT, input_message={"content": "Q {{q}}"}, error_handling={"behavior": "return"}), f"{OF_AGENTS} q", id="returns"
        ),
    ],
)
def test_fields_that_an_agent_reads(agent: dict[str, Any], expected: str) -> None:
    assert set(told_of({"agent": agent}).split()) == set(expected.split())


def test_the_strongest_use_of_a_field_counts() -> None:
    nodes = {"a": python('return inputs.get("q", 1)'), "b": node(OUTPUT, {"a": "$.q"}), "c": python('return inputs["q"]')}
    assert [told_of(dict(list(nodes.items())[:count])) for count in (1, 2, 3)] == ["q?", "q", "q!"]


def test_passing_on_that_doubles_with_each_node_is_given_up() -> None:
    nodes = {
        f"n{place}": node(PASS, {"a": " || ".join([f"$.n{place - 1}.output"] * 8)}, depends=[{"node": f"n{place - 1}"}])
        for place in range(30)
    }
    assert told(contract_of(flow(nodes))) == "(flow)"


def test_a_parameter_of_monty_is_read_as_one_of_python() -> None:
    assert told_of({"code": {**python('return inputs["q"]'), "type": PYTHON + "Monty"}}) == "q!"
