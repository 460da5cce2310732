"""Compares an answer with what a case expects. It is pure, and its cost is bounded by the answer's size: answers come from workflows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from dynamiq_operator.model.verification import CASE_SECONDS, Case, Expectation, JsonPathExpectation
from dynamiq_operator.plan.verification.places import values_at

JSON_MAX = 128 << 10
"""Bytes of an answer that is read as JSON: a short text may contain very many values."""
VALUES_MAX = 100
"""The number of values at a path."""
_ABSENT = object()
_TOO_LONG = f"an answer of more than {JSON_MAX >> 10} KiB, which is not read as JSON"


@dataclass(frozen=True)
class PodAnswer:
    """The result of one call."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def is_long(self) -> bool:
        return len(self.body) > JSON_MAX

    @property
    def json(self) -> Any:
        """The body as JSON; `_ABSENT` if it is not JSON, or too long to be read."""
        if self.is_long:
            return _ABSENT
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return _ABSENT


@dataclass(frozen=True)
class Miss:
    """The expected and the actual result, in full."""

    expected: str
    got: str


def missed(expect: Expectation, answer: PodAnswer) -> Miss | None:
    """Returns the part of an expectation that an answer misses; None if it meets all."""
    status = expect.status
    if answer.status != status if status is not None else not 200 <= answer.status < 300:
        return Miss(f"status {status if status is not None else '2xx'}", f"status {answer.status} {answer.text}")
    if expect.contains is not None and not _contains(answer, expect.contains):
        expected = f"an answer that contains {json.dumps(expect.contains, ensure_ascii=False)}"
        return Miss(expected, _TOO_LONG if answer.is_long else answer.text)
    return _missed_at(expect.json_path, answer) if expect.json_path is not None else None


def in_words(case: Case) -> str:
    """Returns what a case expects, as a phrase for a case without an answer."""
    expect = case.expect
    path = expect.json_path
    parts = [
        *([f"status {expect.status}"] if expect.status is not None else []),
        *([f"an answer that contains {json.dumps(expect.contains, ensure_ascii=False)}"] if expect.contains is not None else []),
        *([_at(path)] if path is not None else []),
    ]
    return f"{' and '.join(parts)} within {case.seconds or CASE_SECONDS} s"


def _contains(answer: PodAnswer, text: str) -> bool:
    """Returns True if the text is in the answer as sent, or in a string of its JSON, where it may be escaped."""
    return text in answer.text or any(text in each for each in _strings(answer.json))


def _strings(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, (list, dict)):
            pending += each.values() if isinstance(each, dict) else each


def _missed_at(expectation: JsonPathExpectation, answer: PodAnswer) -> Miss | None:
    expected, data = _at(expectation), answer.json
    if answer.is_long:
        return Miss(expected, _TOO_LONG)
    if data is _ABSENT:
        return Miss(expected, answer.text)
    try:
        values = list(islice(values_at(expectation.path, data), VALUES_MAX + 1 if expectation.equals is not None else 1))
    except ValueError:
        return Miss("a path that can be read", expectation.path)
    if not values:
        return Miss(expected, f"nothing there in {answer.text}")
    if expectation.equals is None:
        return None
    if len(values) > VALUES_MAX:
        return Miss(expected, f"more than {VALUES_MAX} values there")
    try:
        value = orjson.loads(expectation.equals)
    except orjson.JSONDecodeError:
        return Miss('a value in JSON, such as 42 or "yes"', expectation.equals)
    actual = values[0] if len(values) == 1 else values
    try:
        return None if _same(actual, value) else Miss(expected, orjson.dumps(actual).decode())
    except (RecursionError, orjson.JSONEncodeError):
        return Miss(expected, "a value that is nested too deeply")


def _at(expectation: JsonPathExpectation) -> str:
    return f"{expectation.path} {'to be there' if expectation.equals is None else f'equal to {expectation.equals}'}"


def _same(value: Any, other: Any) -> bool:
    """Returns True if two values are equal in JSON: 1 equals 1.0, and true is no number."""
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(_same(each, other[key]) for key, each in value.items())
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(_same, value, other))
    return bool(value == other)
