"""Contracts as a whole: the answer, declared fields, limits, and differences between two contracts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dynamiq_operator.model.contract import (
    BYTES_MOST,
    MARKS_MOST,
    NAME_MOST,
    NAMES_MOST,
    NODES_MOST,
    UNTOLD_MOST,
    AnsweredField,
    ChangeKind,
    Contract,
    ContractChange,
    DeclaredField,
    UntoldNode,
    changes,
    contract_of,
)
from tests.support.contracts import INPUT, OUTPUT, PYTHON, flow, node, prompt, python, told, told_of

ONE, TWO = (UntoldNode(node=name, digest=f"sha256:{each * 64}") for name, each in (("one", "1"), ("two", "2")))


def test_the_answer_has_the_fields_of_the_output() -> None:
    selector = {"text": "$.q", "kind": "a plain text", "count": 1}
    answered = {each.name: each.type for each in contract_of(flow({"out": node(OUTPUT, selector)})).answers or ()}
    assert answered == {"text": None, "kind": "string", "count": None}


@pytest.mark.parametrize("nodes", [{}, {"out": node(OUTPUT)}, {"a": node(OUTPUT, {"x": "$.q"}), "b": node(OUTPUT, {"x": "$.q"})}])
def test_the_answer_cannot_be_told_without_one_output_that_selects(nodes: dict[str, Any]) -> None:
    assert contract_of(flow(nodes)).answers is None


def test_fields_are_declared_by_the_schema_of_the_input() -> None:
    properties = {"q": {"type": "string"}, "n": {"type": "int"}, "x": {"type": "list[str]"}, "o": {"type": "odd", "required": True}, "z": 1}
    contract = contract_of(flow({"start": {"type": INPUT, "schema": {"properties": properties, "required": ["q", "other", 1]}}}))
    assert {each.name: (each.type, each.required) for each in contract.declares} == {
        "q": ("string", True),
        "n": ("number", False),
        "x": ("array", False),
        "o": (None, True),
        "z": (None, False),
    }


@pytest.mark.parametrize(
    ("live", "new", "expected"),
    [
        ({}, {"reads": ("q",), "needs": ("q",)}, [(ChangeKind.FAILS, "q")]),
        ({}, {"reads": ("q",)}, [(ChangeKind.READS, "q")]),
        ({}, {"defaults": ("q",)}, []),
        ({"reads": ("q",)}, {"reads": ("q",), "needs": ("q",)}, [(ChangeKind.FAILS, "q")]),
        ({"reads": ("q",), "needs": ("q",)}, {"reads": ("q",)}, []),
        ({"defaults": ("q",)}, {"reads": ("q",)}, [(ChangeKind.READS, "q")]),
        ({"reads": ("q",)}, {"defaults": ("q",)}, []),
        ({"reads": ("q",)}, {}, [(ChangeKind.NOTE, "q")]),
        ({"reads": ("q",)}, {"untold": (ONE,)}, [(ChangeKind.CANNOT_TELL, "one")]),
        ({"untold": (ONE,)}, {"untold": (ONE, TWO)}, [(ChangeKind.CANNOT_TELL, "two")]),
        ({"untold": (ONE,)}, {}, []),
    ],
)
def test_differences_of_what_is_read(live: dict[str, Any], new: dict[str, Any], expected: list[tuple[ChangeKind, str]]) -> None:
    assert [(each.kind, each.name) for each in changes(Contract(**live), Contract(**new))] == expected


def test_differences_of_what_is_declared() -> None:
    live = Contract(declares=(DeclaredField(name="a", type="string"), DeclaredField(name="b", required=True)))
    new = Contract(declares=(DeclaredField(name="a", type="number", required=True), DeclaredField(name="b", type="string", required=True)))
    required = ContractChange(ChangeKind.DECLARED, "a", is_required=True)
    assert changes(live, new) == (required, ContractChange(ChangeKind.DECLARED, "a", "number"))


def test_differences_of_what_is_answered() -> None:
    live = Contract(answers=(AnsweredField(name="a", type="string"), AnsweredField(name="b")))
    new = Contract(answers=(AnsweredField(name="a", type="number"),))
    assert changes(live, new) == (ContractChange(ChangeKind.ANSWERS, "a", "number"), ContractChange(ChangeKind.ANSWERS, "b"))
    assert changes(live, Contract()) == (ContractChange(ChangeKind.ANSWERS, ""),)
    assert changes(Contract(), new) == ()


def _many_fields(count: int) -> dict[str, Any]:
    return {"out": node(OUTPUT, {"a": " || ".join(["x", *(f"$.f{place}" for place in range(count))])})}


def test_more_fields_than_a_row_pins_cannot_be_told() -> None:
    assert contract_of(flow(_many_fields(NAMES_MOST))).untold == ()
    contract = contract_of(flow(_many_fields(NAMES_MOST + 1)))
    assert (len(contract.defaults), [each.node for each in contract.untold]) == (NAMES_MOST, [""])


@pytest.mark.parametrize("name", ["n" * (NAME_MOST + 1), "\ud800", "a\0"])
def test_a_name_that_a_row_cannot_pin_cannot_be_told(name: str) -> None:
    assert told_of({"code": python(f"return inputs[{name!a}]")}) == "(flow)"
    assert told_of({"out": node(OUTPUT, {name: "$.q"})}) == "q (flow)"
    assert told_of({"start": {"type": INPUT, "schema": {"properties": {name: {}}}}}) == "(flow)"


def test_a_name_as_long_as_a_row_pins_is_told() -> None:
    assert told_of({"out": node(OUTPUT, {"a": f"$.{'n' * NAME_MOST}"})}) == "n" * NAME_MOST


def test_many_untold_nodes_are_one_at_the_end() -> None:
    contract = contract_of(flow({f"n{place}": {"type": "other"} for place in range(UNTOLD_MOST + 1)}))
    assert (len(contract.untold), contract.untold[-1].node) == (UNTOLD_MOST, "")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(flow({f"n{place}": node(OUTPUT) for place in range(NODES_MOST)}), id="nodes"),
        pytest.param("nodes: {a: {type: x, name: '" + "x" * BYTES_MOST + "'}}", id="YAML"),
        pytest.param("nodes:\n" + " n: 1\n" * MARKS_MOST, id="lines of YAML"),
        pytest.param("a: &a [" + "x, " * 500 + "]\nb: [" + "*a, " * 100 + "]\nnodes: {n: {type: x}}", id="aliases"),
        pytest.param(json.dumps({"nodes": {"a": {"v": [1] * 50_000}}}), id="values of JSON"),
        pytest.param(flow({f"n{place}": prompt("{{ q }}" * 300) for place in range(20)}), id="variables"),
        pytest.param(flow({"out": node(OUTPUT, {f"a{place}": "$.q" for place in range(20_000)})}), id="selectors"),
        pytest.param("", id="no text"),
        pytest.param("\ud800", id="half of a surrogate pair"),
        pytest.param('{"nodes": {"a": ' + "[" * 100_000, id="levels"),
    ],
)
def test_a_text_that_is_too_large_or_no_flow_cannot_be_told(text: str) -> None:
    assert told(contract_of(text)) == "(flow)"


def test_any_other_text_that_is_too_large_differs() -> None:
    kinds = [each.kind for each in changes(contract_of(flow({"a": {"v": [1] * 50_000}})), contract_of(flow({"a": {"v": [2] * 50_000}})))]
    assert kinds == [ChangeKind.CANNOT_TELL]


def test_large_json_is_told() -> None:
    assert told_of({"code": node(PYTHON, {"a": "$.q"}, name="x" * 800_000)}) == "q"
