"""A flow's text as JSON: exact for JSON, as runtimes parse it for YAML, and without growing aliases."""

from __future__ import annotations

import json
import time

import pytest

from dynamiq_operator.model.base import FLOW_MAX_BYTES
from dynamiq_operator.model.flows import FlowError, as_json
from dynamiq_runtime.text import load_text

JSON = '{"nodes": [{"big": 123456789012345678901234567890, "float": 1.0, "e": 1e5, "tiny": 1E-7}], "b": 1, "a": "\\ud800 \\u0000"}'
YAML = """
nodes:
  one: {type: dynamiq.nodes.utils.Input, since: 2024-01-02, at: 2024-01-02T03:04:05Z, much: 1e3, yes: on, share: &a [1, 2.50]}
  two: {share: *a, big: 123456789012345678901234567890, text: "\\u00e9 😀 \\x07", none: ~, octal: 010}
  three:
    <<: {x: 1}
    code: |
      def run(input_data):
          return 1
"""


def test_json_stays_as_it_was_written() -> None:
    assert as_json(JSON) == JSON


@pytest.mark.parametrize("text", [YAML, "{nodes: [{id: a}], b: 'x'}", "nodes: {1: {a: b}}"])
def test_yaml_is_read_as_the_runtime_reads_it(text: str) -> None:
    assert json.loads(as_json(text)) == json.loads(json.dumps(load_text(text)))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "not a mapping"),
        ("just text", "not a mapping"),
        ("a: [", "cannot be written as JSON"),
        ("a: .nan", "cannot be written as JSON"),
        ('{"a": NaN', "cannot be written as JSON"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' occurs twice"),
        ("a: &a [*a]", "names nothing before it"),
        ("a: *b", "names nothing before it"),
        ("a: !!python/object/apply:os.system [ls]", "cannot be written as JSON"),
        ("a: !!timestamp x", "cannot be written as JSON"),
        ("a: !!int ''", "cannot be written as JSON"),
        ("a: !!bool x", "cannot be written as JSON"),
        ("a: !!set {x}", "cannot be written as JSON"),
        ("? [1, 2]\n: 3", "cannot be written as JSON"),
        ("a: " + "9" * 5000, "cannot be written as JSON"),
        ("a: " + "[" * 450_000, "nested more than 100 levels|nesting depth"),
        ("a: " + "{x: " * 200_000, "nested more than 100 levels|nesting depth"),
        ("a\0b: 1", "cannot be written as JSON"),
    ],
)
def test_a_flow_that_json_cannot_express_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(FlowError, match=why) as refused:
        as_json(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


def test_aliases_that_grow_are_refused_before_they_are_built() -> None:
    wide = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 14))])
    deep = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 150))])
    long = f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 100)}]"
    begun = time.thread_time()
    for text, why in ((wide, "aliases written out"), (deep, "nested more than 100 levels"), (long, "aliases written out")):
        with pytest.raises(FlowError, match=why):
            as_json(text)
    assert time.thread_time() - begun < 60, "one of them was built: the first has a million million items"


def test_the_largest_flow_takes_seconds_at_most() -> None:
    line = "- {id: a, type: dynamiq.nodes.utils.Input}\n"
    text = "nodes:\n" + line * ((FLOW_MAX_BYTES - 7) // len(line))
    begun = time.thread_time()
    as_json(text)
    took = time.thread_time() - begun
    print(f"{FLOW_MAX_BYTES // 1024} KiB: {took:.1f} s")
    assert took < 60
