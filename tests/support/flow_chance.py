"""Makes parts of flows by chance: nodes, code, templates, paths and any values. Some of them no engine runs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import yaml

NAMES = ("q", "text", "a", "input", "start", "x y", "ü", "code", "__class__", "metadata", "n" * 70, "0", "")
IDS = ("start", "input", "code", "answer", "pick", "each", "q", "output", "node 1")


def parts(*lines: str) -> list[str]:
    """Splits lists of texts."""
    return [part for line in lines for part in line.split("¦")]


TYPES = [
    f"dynamiq.nodes.{each}"
    for each in parts(
        "utils.Input¦utils.Output¦utils.Pass¦utils.Delay¦tools.Python¦tools.Python¦tools.PythonMonty¦tools.HumanFeedbackTool¦llms.OpenAI",
        "llms.OpenAI¦agents.Agent¦agents.agent.Agent¦operators.Choice¦operators.Map¦tools.HttpApiCall¦other.Node",
    )
]
PATHS = parts(
    '$.q¦$.start.output.q¦$.input.output.text¦$[\'x y\']¦$["start"]["output"]¦$¦$.start¦$.start.output¦$..n¦q¦hello¦$.q||¦||',
    "$.q || $.a || hello¦$.xs[*].n¦$.xs[0]¦$.xs[1:2]¦$.xs[?(@.n>1)]¦$.code.output.content¦$.code.input.n¦@.q¦$.¦$[¦$['¦\ud800",
    "$.\0¦$ .q¦$.pick.output.option¦$.n0.output¦$.start.output || $.input.output¦$" + ".a" * 60 + "¦" + "$.a" * 2000,
)
PIECES = parts(
    'inputs["q"]¦inputs["a"]["b"]¦inputs.get("q")¦inputs.get("a", 1)¦inputs.get("o", {}).get("k")¦inputs¦inputs[key]¦q¦1¦other',
    '"q" in inputs¦inputs["q"] or inputs["a"]¦inputs.pop("q")¦inputs.items()¦f(inputs)¦**inputs¦inputs.keys¦inputs["\\ud800"]',
    '[each for each in inputs["xs"]]¦lambda: inputs["q"]¦f"{inputs["q"]}"¦(y := inputs["q"])',
)
LINES = parts(
    "x = {0}¦if {0}: raise ValueError¦if {0} > 3: return {1}¦return {0}¦del {0}¦{0} = {1}¦for x in {0}: print({1})¦nonlocal z",
    "while {0}: break¦with {0} as z: pass¦assert {0}¦y = {0} if {1} else None¦print({0}, {1})¦data = inputs¦global q¦import os",
    "def inner(v): return {0}¦match {0}:\n        case 1: pass¦class A: b = {0}¦async def f(): await {0}¦raise {0}¦inputs = {0}",
    "try:\n        {0}\n    except KeyError:\n        {1}¦try: {0}\n    finally: {1}¦{0} {1}¦    x = {0}",
)
TEMPLATES = parts(
    "Q: {{q}}¦{{ q | default('d') }}¦{{ a.b['c'][0] }}¦{% for x in xs %}{{x}}{% endfor %}¦{% if q %}{{a}}{% else %}b{% endif %}¦",
    "{% raw %}{{q}}{% endraw %}¦{% set x = q %}{{x}}¦{# {{q}} #}¦{{ q¦{% %}¦{{ }}¦{{ q ~ a }}¦{{ f(q) }}¦{{ q if a }}¦plain",
    "{% macro m(x) %}{{x}}{% endmacro %}¦{{ q is defined }}¦{{ '\ud800' }}¦{{" + "(" * 300 + "q" + ")" * 300 + "}}",
    "{{ " + "a." * 3000 + "b }}¦" + "{% endfor %}" * 50 + "¦" + "{% for " * 40 + "¦" + "{{ q }}" * 300 + "¦" + "{% if q %}" * 300,
)
REFUSED = parts("x=" + "-" * 9000 + "1¦" + "(" * 300, "\0¦def run(inputs)¦'''¦\\¦def run(x):\n\treturn 1\n        2¦0777¦λ = \ud800")
LONG = 10_000
OPERATORS = ("string-equals", "numeric-greater", "boolean-equals", "string-equals-path", "and", "or", "none", "")


class Chance(random.Random):
    """A source of parts of flows."""

    def value(self, depth: int = 3) -> Any:
        """Returns any JSON value."""
        pick = self.randrange(14 if depth else 10)
        if pick < 10:
            numbers = (0, -1, 1.5, 1e308, 10**40, 10**400)
            texts = (*PATHS, *NAMES, *TEMPLATES, "\ud800", "\0")
            return self.choice((None, True, False, "", self.choice(numbers), self.choice(texts), self.choice(texts)))
        if pick < 12:
            return [self.value(depth - 1) for _ in range(self.randrange(4))]
        return {self.choice((*NAMES, "node", "selector", "path")): self.value(depth - 1) for _ in range(self.randrange(4))}

    def code(self) -> str:
        """Returns the code of a Python node, at times none that Python parses."""
        if self.random() < 0.08:
            return self.choice(REFUSED)
        heads = "def run(inputs):¦def run(inputs):¦def run(inputs):¦def run(q, a=1):¦def run(*, q, **rest):¦def run(inputs, /):¦def go(i):"
        head = self.choice(parts(heads))
        lines = [self.choice(LINES).format(self.choice(PIECES), self.choice(PIECES)) for _ in range(self.randrange(1, 7))]
        return "\n    ".join([head, *lines])

    def transformer(self) -> Any:
        """Returns a transformer, mostly a well-formed one."""
        made: dict[str, Any] = {}
        if self.random() < 0.7:
            made["selector"] = {self.choice(NAMES): self.choice(PATHS) for _ in range(self.randrange(1, 4))}
        if self.random() < 0.3:
            made["path"] = self.choice(PATHS)
        return made if self.random() < 0.95 else self.value()

    def condition(self, depth: int = 4) -> Any:
        """Returns a condition of a Choice."""
        made = {"variable": self.choice(PATHS), "operator": self.choice(OPERATORS), "value": self.value(1)}
        if depth and self.random() < 0.4:
            made["operands"] = [self.condition(depth - 1) for _ in range(self.randrange(3))]
        return made

    def message(self) -> Any:
        """Returns a message of a prompt."""
        blocks: list[dict[str, Any]] = [
            {"text": self.choice(TEMPLATES)},
            {"image_url": {"url": self.choice(TEMPLATES)}},
            {"file": {"file_data": "x"}},
        ]
        content = self.choice(TEMPLATES) if self.random() < 0.8 else self.sample(blocks, 2)
        return {"role": "user", "content": content, "static": self.random() < 0.1}

    def node(self, before: list[str]) -> dict[str, Any]:
        """Returns a node that depends on some nodes before it."""
        of: dict[str, Callable[[], Any]] = {
            "code": self.code,
            "use_multiple_params": lambda: self.random() < 0.3,
            "prompt": lambda: self.choice((self.choice(NAMES), {"messages": [self.message() for _ in range(self.randrange(3))]})),
            "role": lambda: self.choice(TEMPLATES),
            "input_message": lambda: self.choice((None, self.message())),
            "options": lambda: [{"id": str(place), "condition": self.condition()} for place in range(self.randrange(4))],
            "msg_template": lambda: self.choice(TEMPLATES),
            "input_transformer": self.transformer,
            "output_transformer": self.transformer,
            "input_mapping": lambda: {self.choice(NAMES): self.value(1)},
            "schema": lambda: {"properties": {self.choice(NAMES): {"type": "string"} for _ in range(3)}, "required": [self.choice(NAMES)]},
            "error_handling": lambda: {"behavior": self.choice(("return", "raise"))},
        }
        made = {"type": self.choice(TYPES), **{key: make() for key, make in of.items() if self.random() < 0.5}}
        depends = self.sample(before, min(len(before), self.randrange(3)))
        made["depends"] = [{"node": each, **({"option": "0"} if self.random() < 0.1 else {})} for each in depends]
        if self.random() < 0.2:
            made[self.choice((*of, "type", "depends", "name"))] = self.value()
        return made

    def flow(self, count: int | None = None) -> dict[str, Any]:
        """Returns the data of a flow."""
        ids = self.sample(IDS, self.randrange(1, len(IDS))) if count is None else [f"n{place}" for place in range(count)]
        nodes = {each: self.node(ids[max(0, place - 20) : place + (self.random() < 0.02)]) for place, each in enumerate(ids)}
        made: dict[str, Any] = {"nodes": nodes, "prompts": {each: {"messages": [self.message()]} for each in NAMES[:3]}}
        if self.random() < 0.8:
            made |= {"flows": {"f": {"nodes": ids}}, "workflows": {"w": {"flow": "f"}}}
        elif self.random() < 0.5:
            made["nodes"] = [{"id": each, **node} for each, node in nodes.items()]
        return made

    def text(self, data: Any) -> str:
        """Returns data as JSON or as YAML."""
        written = json.dumps(data)
        if self.random() < 0.6:
            return written if self.random() < 0.5 else json.dumps(data, ensure_ascii=False)
        dumper = yaml.SafeDumper
        if len(written) > LONG:  # only the faster one is fast enough, and it refuses halves of surrogate pairs
            data, dumper = json.loads(written.replace("\\ud800", "n")), getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        style, is_unicode = self.choice((None, True, False)), self.random() < 0.5
        return str(yaml.dump(data, Dumper=dumper, sort_keys=False, allow_unicode=is_unicode, default_flow_style=style))
