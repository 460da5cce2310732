"""Whether an answer is what a case expects. Pure, and bounded by the size of the answer: what it is given comes from a workflow."""

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
"""Bytes of an answer that is read as JSON: a short text may be a great many values."""
VALUES_MAX = 100
"""Values at a path."""
_ABSENT = object()
_TOO_LONG = f"an answer of more than {JSON_MAX >> 10} KiB, which is not read as JSON"


@dataclass(frozen=True)
class Answer:
    """What came of one call."""

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
        """The body as JSON; `_ABSENT` where it is none, or too long to be read as such."""
        if self.is_long:
            return _ABSENT
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return _ABSENT


@dataclass(frozen=True)
class Miss:
    """What was expected, and what came in its place, in full."""

    expected: str
    got: str


def missed(expect: Expectation, answer: Answer) -> Miss | None:
    """What of an expectation does not hold; None where all of it does."""
    wanted = expect.status
    if answer.status != wanted if wanted is not None else not 200 <= answer.status < 300:
        return Miss(f"status {wanted if wanted is not None else '2xx'}", f"status {answer.status} {answer.text}")
    if expect.contains is not None and not _contains(answer, expect.contains):
        expected = f"an answer that contains {json.dumps(expect.contains, ensure_ascii=False)}"
        return Miss(expected, _TOO_LONG if answer.is_long else answer.text)
    return _missed_at(expect.json_path, answer) if expect.json_path is not None else None


def in_words(case: Case) -> str:
    """What a case expects, for one whose answer never came."""
    expect = case.expect
    path = expect.json_path
    parts = [
        *([f"status {expect.status}"] if expect.status is not None else []),
        *([f"an answer that contains {json.dumps(expect.contains, ensure_ascii=False)}"] if expect.contains is not None else []),
        *([_at(path)] if path is not None else []),
    ]
    return f"{' and '.join(parts)} within {case.seconds or CASE_SECONDS} s"


def _contains(answer: Answer, text: str) -> bool:
    """As it was sent, or in a string of its JSON, where it may be escaped."""
    return text in answer.text or any(text in each for each in _strings(answer.json))


def _strings(value: Any) -> Iterator[str]:
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, (list, dict)):
            left += each.values() if isinstance(each, dict) else each


def _missed_at(wanted: JsonPathExpectation, answer: Answer) -> Miss | None:
    expected, data = _at(wanted), answer.json
    if answer.is_long:
        return Miss(expected, _TOO_LONG)
    if data is _ABSENT:
        return Miss(expected, answer.text)
    try:
        found = list(islice(values_at(wanted.path, data), VALUES_MAX + 1 if wanted.equals is not None else 1))
    except ValueError:
        return Miss("a path that can be read", wanted.path)
    if not found:
        return Miss(expected, f"nothing there in {answer.text}")
    if wanted.equals is None:
        return None
    if len(found) > VALUES_MAX:
        return Miss(expected, f"more than {VALUES_MAX} values there")
    try:
        value = orjson.loads(wanted.equals)
    except orjson.JSONDecodeError:
        return Miss('a value in JSON, such as 42 or "yes"', wanted.equals)
    there = found[0] if len(found) == 1 else found
    try:
        return None if _same(there, value) else Miss(expected, orjson.dumps(there).decode())
    except (RecursionError, orjson.JSONEncodeError):
        return Miss(expected, "a value that is nested too deeply")


def _at(wanted: JsonPathExpectation) -> str:
    return f"{wanted.path} {'to be there' if wanted.equals is None else f'equal to {wanted.equals}'}"


def _same(one: Any, other: Any) -> bool:
    """As JSON has it: 1 is 1.0, and true is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(each, other[key]) for key, each in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
