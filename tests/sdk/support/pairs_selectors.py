"""Lists pairs whose selectors and paths change."""

from __future__ import annotations

import json
from typing import Any

from tests.sdk.support.pair_flows import SDK, START, TINY, Pair, callers, coded, flow, node, output, python

SAY = "def run(inputs):\n    return str(inputs['question']) + ' in ' + str(inputs['language'])\n"
REPEAT = "def run(inputs):\n    return inputs['question']\n"
ASKED = {"question": "Where is my order?"}
BOTH = {**ASKED, "language": "en"}


def said(language: str) -> str:
    """Returns a flow that answers in a language."""
    return coded(SAY, selector={"question": "$.question", "language": language})


def repeated(question: str, start: dict[str, Any] = START, **selector: str) -> str:
    """Returns a flow that answers with a field."""
    return coded(REPEAT, start, selector={"question": question, **selector})


def topical(topic: str) -> str:
    """Returns a flow whose Output itself selects a topic."""
    outputs = output("code", answer="$.code.output.content", topic=topic)
    return flow({"start": START, "code": python(REPEAT, path="$.start.output"), "output": outputs})


def passed(**selector: str) -> str:
    """Returns a flow with a Pass node that selects."""
    return flow(
        {
            "start": START,
            "pass": node("operators.Pass", "start", selector=selector),
            "output": output("pass", answer="$.pass.output.number"),
        }
    )


NUMBER = "def run(inputs):\n    return inputs['number']\n"
LISTED = json.dumps(
    {
        "id": "main",
        "nodes": [
            {"id": "output", **output("code")},
            {"id": "code", **python(REPEAT, selector={"question": "$.start.output.question"})},
            {
                "id": "start",
                **START,
                "schema": {"type": "object", "properties": {"language": {"type": "string"}}, "required": ["language"]},
            },
        ],
    }
)
RENAMED = """
# The same flow, in YAML, with other names.
nodes:
  begin: {type: dynamiq.nodes.utils.Input, name: Beginning}
  repeat:
    type: dynamiq.nodes.tools.Python
    depends: [{node: begin}]
    input_transformer: {selector: {question: "$['begin']['output']['question']"}}  # as before
    code: |
      def run(inputs):
          return inputs["question"]
  end:
    type: dynamiq.nodes.utils.Output
    depends: [{node: repeat}]
    input_transformer: {selector: {answer: $.repeat.output.content}}
flows: {all: {nodes: [end, repeat, begin]}}
workflows: {w: {flow: all}}
"""

BREAKING = (
    Pair("a text becomes a field", TINY, said("en"), said("$.language"), callers(BOTH, nightly="language", batch="language")),
    Pair(
        "a selector loses its default",
        TINY,
        said("$.start.output.language || en"),
        said("$.start.output.language"),
        callers(BOTH, {"partner": {"language": None}}, web="language"),
    ),
    Pair(
        "a field is renamed",
        TINY,
        repeated("$.question"),
        repeated("$.text"),
        callers({**ASKED, "text": ASKED["question"]}, batch="text", partner="text"),
    ),
    Pair(
        "a Pass node selects from an object",
        SDK,
        passed(number="$.start.output.number"),
        passed(number="$.start.output.order.number"),
        callers({"number": 7, "order": {"number": 7}}, mobile="order"),
    ),
    Pair(
        "the Output selects a new field",
        TINY,
        topical("orders"),
        topical("$.start.output['topic']"),
        callers({**ASKED, "topic": "orders"}, nightly="topic", mobile="topic", batch="topic", partner="topic"),
    ),
    Pair(
        "a path goes into a new object",
        TINY,
        coded(NUMBER, path="$.start.output"),
        coded(NUMBER, path="$.start.output.order"),
        callers({"number": 7, "order": {"number": 7}}, nightly="order", web="order"),
    ),
    Pair(
        "the Input node selects from a new field",
        TINY,
        coded(REPEAT, path="$.start.output"),
        coded(REPEAT, {**START, "input_transformer": {"selector": {"question": "$.text"}}}, path="$.start.output"),
        callers(ASKED, {"web": {"text": ASKED["question"]}}),
    ),
)

SAFE = (
    Pair("other names, YAML and brackets", TINY, repeated("$.start.output.question"), RENAMED, callers(ASKED, {"web": {"other": 1}})),
    Pair("a new field with a default", TINY, said("en"), said("$.language || en"), callers(BOTH, nightly="language", partner="language")),
    Pair(
        "an alternative before the field",
        TINY,
        repeated("$.question"),
        repeated("$.text || $.start.output.text || $.question"),
        callers(ASKED, {"mobile": {"text": ASKED["question"]}}),
    ),
    Pair("a new field that all send", TINY, said("en"), said("$['language']"), callers(BOTH)),
    Pair(
        "a field is selected no more",
        TINY,
        repeated("$.question", trace="$.trace"),
        repeated("$.question"),
        callers({**ASKED, "trace": "t-1"}, web="trace", batch="trace"),
    ),
    Pair(
        "another order and a schema that nothing enforces",
        TINY,
        repeated("$.start.output.question"),
        LISTED,
        callers(BOTH, web="language", mobile="language"),
    ),
    Pair(
        "a Pass node by path and selector",
        SDK,
        passed(number="$.start.output.number"),
        flow(
            {
                "start": START,
                "pass": node("operators.Pass", "start", path="$.start.output", selector={"number": "$.number"}),
                "output": output("pass", answer="$.pass.output.number"),
            }
        ),
        callers({"number": 7}, {"web": {"order": {}}}, partner="number"),
    ),
)
