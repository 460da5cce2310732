"""Comparing an answer with the expectation of a case, and the part of it that a message shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dynamiq_operator.model.verification import Expectation
from dynamiq_operator.plan.verification.expectations import PodAnswer, missed
from dynamiq_operator.plan.verification.text import redacted, shown


def looked_at(body: Any, code: int = 200, /, **expect: Any) -> tuple[str, str] | None:
    """Returns the expectation and the answer; None if they match."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = missed(Expectation.model_validate(expect), PodAnswer(code, sent))
    return (found.expected, found.got) if found is not None else None


@pytest.mark.parametrize(
    ("body", "expect"),
    [
        ({"answer": "42"}, {"contains": "42"}),
        ({"answer": "déjà vu"}, {"contains": "déjà"}),  # which JSON may escape
        (b"plain text, 42", {"contains": "text, 42"}),
        ({"total": 3}, {"jsonPath": {"path": "$.total"}}),
        ({"total": 3}, {"jsonPath": {"path": "$.total", "equals": "3.0"}}),
        ({"items": [{"unit price": 1.5}]}, {"jsonPath": {"path": "$.items[0]['unit price']", "equals": "1.5"}}),
        ({"items": [{"id": 1}, {"id": 2}]}, {"jsonPath": {"path": "$.items[*].id", "equals": "[1, 2]"}}),
        ({"a": {"b": None}}, {"jsonPath": {"path": "$.a", "equals": '{"b": null}'}}),
        ({"a": 1, "text": "yes"}, {"contains": "yes", "jsonPath": {"path": "$.a", "equals": "1"}}),
    ],
)
def test_an_answer_that_is_as_expected(body: Any, expect: dict[str, Any]) -> None:
    assert looked_at(body, **expect) is None


@pytest.mark.parametrize(
    ("body", "status", "expect", "expected", "got"),
    [
        ({"answer": "41"}, 200, {"contains": "42"}, 'an answer that contains "42"', '{"answer": "41"}'),
        ({"error": "x"}, 500, {"contains": "x"}, "status 2xx", 'status 500 {"error": "x"}'),
        ({}, 200, {"status": 422}, "status 422", "status 200 {}"),
        ({"total": True}, 200, {"jsonPath": {"path": "$.total", "equals": "1"}}, "$.total equal to 1", "true"),
        ({"total": 4}, 200, {"jsonPath": {"path": "$.total", "equals": "3"}}, "$.total equal to 3", "4"),
        ({"sum": 3}, 200, {"jsonPath": {"path": "$.total"}}, "$.total to be there", 'nothing there in {"sum": 3}'),
        (b"no JSON", 200, {"jsonPath": {"path": "$.total"}}, "$.total to be there", "no JSON"),
        ({"a": 1}, 200, {"jsonPath": {"path": "$.a", "equals": "one"}}, 'a value in JSON, such as 42 or "yes"', "one"),
        ({"a": 1}, 200, {"contains": "1", "jsonPath": {"path": "$.b"}}, "$.b to be there", 'nothing there in {"a": 1}'),
    ],
)
def test_an_unmet_expectation_returns_the_expected_and_the_actual_value(
    body: Any, status: int, expect: dict[str, Any], expected: str, got: str
) -> None:
    assert looked_at(body, status, **expect) == (expected, got)


def test_an_expected_status_may_be_an_error() -> None:
    assert looked_at({"error": {}}, 422, status=422) is None


def test_an_answer_that_is_nested_deeper_than_anybody_reads_is_no_json() -> None:
    found = looked_at(b"[" * 100_000, jsonPath={"path": "$[0]"})
    assert found is not None
    assert found[0] == "$[0] to be there"


def test_an_answer_of_many_values_is_no_work() -> None:
    """A workflow that answers with as many values as fit would otherwise block the operator."""
    many = b"[" + b",".join([b"[]"] * 40_000) + b"]"
    found = looked_at(many, jsonPath={"path": "$[*]", "equals": "[]"})
    assert found == ("$[*] equal to []", "more than 100 values there")
    assert looked_at(many, jsonPath={"path": "$[*]"}) is None
    too_long = "an answer of more than 128 KiB, which is not read as JSON"
    assert looked_at(many * 2, jsonPath={"path": "$[*]"}) == ("$[*] to be there", too_long)
    assert looked_at(many * 2, contains="42") == ('an answer that contains "42"', too_long)
    assert looked_at(b"42" + many * 2, contains="42") is None, "a text is looked for in all of it"


def test_deeply_nested_answers_are_evaluated_too() -> None:
    deep = b"[" * 1000 + b'"42"' + b"]" * 1000
    assert looked_at(deep.replace(b'"42"', rb'"\u0034\u0032"'), contains="42") is None
    assert looked_at(deep, jsonPath={"path": "$" + "[*]" * 300, "equals": "1"}) is not None
    found = looked_at(deep, jsonPath={"path": "$", "equals": deep.decode()})
    assert found is None or found[1] == "a value that is nested too deeply"


@pytest.mark.parametrize(
    ("path", "equals"), [("$.a.*", "[1, 2]"), ("$.a['x y']", "2"), ("$.b[*].c", "[3, 4]"), ("$.b[1].c", "4"), ("$['a'].x", "1")]
)
def test_a_path_names_places(path: str, equals: str) -> None:
    assert looked_at({"a": {"x": 1, "x y": 2}, "b": [{"c": 3}, {"c": 4}, 5]}, jsonPath={"path": path, "equals": equals}) is None


def test_a_shown_answer_is_one_short_line_without_control_characters() -> None:
    assert shown("one\n\x1b[31mtwo\u2028three\u202e  four") == "one [31mtwo three four"
    assert shown("x" * 500) == "x" * 199 + "…"


def test_secrets_are_hidden_in_every_json_notation() -> None:
    key = 'pa"ss\u00e9word'
    body = json.dumps({"key": key, "name": "Ann"})
    for text in (body, json.dumps({"key": key, "name": "Ann"}, ensure_ascii=False), f"the key is {key}"):
        found = redacted(text, [key, "", "Ann"])
        assert "ss" not in found.replace("[redacted]", "")
        assert "Ann" in found or "the key" in found, "what is shorter than a secret stays"
    assert json.loads(redacted('{"a": [{"IBAN": "DE1", "b": 2}]}', [], ["iban"])) == {"a": [{"IBAN": "[redacted]", "b": 2}]}
    called = json.loads(redacted(json.dumps({"arguments": '{"iban": "DE1", "b": 2}', "text": "{iban}"}), [], ["iban"]))
    assert called == {"arguments": '{"iban": "[redacted]", "b": 2}', "text": "{iban}"}, "JSON in a text is looked into"
    assert redacted("iban: DE1", [], ["iban"]) == "[redacted]", "of a text nobody knows which part it is"
