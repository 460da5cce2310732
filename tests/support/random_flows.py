"""Makes texts of flows by chance: whole ones, real ones with damage, and texts that are no flows. A seed always makes the same."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import yaml

from tests.support.cluster import REPOSITORY

KIB = 1024
LARGE_LEAST, LARGE_MOST = 200 * KIB, 900 * KIB
NAMES = ("q", "text", "a", "input", "start", "x y", "ü", "code", "__class__", "metadata", "n" * 70, "0", "")
IDS = ("start", "input", "code", "answer", "pick", "each", "q", "output", "node 1")
TYPES = (
    *("dynamiq.nodes.utils.Input", "dynamiq.nodes.utils.Output", "dynamiq.nodes.utils.Pass", "dynamiq.nodes.utils.Delay"),
    *(
        "dynamiq.nodes.tools.Python",
        "dynamiq.nodes.tools.Python",
        "dynamiq.nodes.tools.PythonMonty",
        "dynamiq.nodes.tools.HumanFeedbackTool",
    ),
    *("dynamiq.nodes.llms.OpenAI", "dynamiq.nodes.llms.OpenAI", "dynamiq.nodes.agents.Agent", "dynamiq.nodes.agents.agent.Agent"),
    *("dynamiq.nodes.operators.Choice", "dynamiq.nodes.operators.Map", "dynamiq.nodes.tools.HttpApiCall", "other.Node", ""),
)
PATHS = (
    *("$.q", "$.start.output.q", "$.input.output.text", "$['x y']", '$["start"]["output"]', "$", "$.start", "$.start.output", "$..n"),
    *("q", "hello", "$.q || $.a || hello", "$.q||", "||", "$.xs[*].n", "$.xs[0]", "$.xs[1:2]", "$.xs[?(@.n>1)]", "$.code.output.content"),
    *("$.code.input.n", "@.q", "$.", "$[", "$['", "$" + ".a" * 60, "$.a" * 2000, "\ud800", "$.\0", "$ .q", "$.pick.output.option"),
)
PIECES = (
    *('inputs["q"]', 'inputs["a"]["b"]', 'inputs.get("q")', 'inputs.get("a", 1)', 'inputs.get("o", {}).get("k")', "inputs", "inputs[key]"),
    *('"q" in inputs', 'inputs["q"] or inputs["a"]', 'inputs.pop("q")', "inputs.items()", "f(inputs)", "**inputs", "inputs.keys", "1", "q"),
    *('[each for each in inputs["xs"]]', 'lambda: inputs["q"]', 'f"{inputs["q"]}"', '(y := inputs["q"])', "other", 'inputs["\\ud800"]'),
)
LINES = (
    *("x = {0}", "if {0}: raise ValueError", "if {0} > 3: return {1}", "return {0}", "del {0}", "{0} = {1}", "for x in {0}: print({1})"),
    *("while {0}: break", "with {0} as z: pass", "assert {0}", "y = {0} if {1} else None", "print({0}, {1})", "data = inputs", "global q"),
    *(
        "def inner(v): return {0}",
        "match {0}:\n        case 1: pass",
        "class A: b = {0}",
        "import os",
        "async def f(): await {0}",
        "nonlocal z",
    ),
    *(
        "try:\n        {0}\n    except KeyError:\n        {1}",
        "try: {0}\n    finally: {1}",
        "{0} {1}",
        "    x = {0}",
        "raise {0}",
        "inputs = {0}",
    ),
)
TEMPLATES = (
    *(
        "Q: {{q}}",
        "{{ q | default('d') }}",
        "{{ a.b['c'][0] }}",
        "{% for x in xs %}{{x}}{% endfor %}",
        "{% if q %}{{a}}{% else %}b{% endif %}",
    ),
    *(
        "{% raw %}{{q}}{% endraw %}",
        "{% set x = q %}{{x}}",
        "{# {{q}} #}",
        "{{ q",
        "{% %}",
        "{{ }}",
        "{{ q ~ a }}",
        "{{ f(q) }}",
        "{{ q if a }}",
    ),
    *(
        "{% macro m(x) %}{{x}}{% endmacro %}",
        "{{ q is defined }}",
        "{{" + "(" * 300 + "q" + ")" * 300 + "}}",
        "plain",
        "{{ '\ud800' }}",
        "",
    ),
    *("{{ " + "a." * 3000 + "b }}", "{% endfor %}" * 50, "{% for " * 40, "{% raw %}" * 200, "{{ q }}" * 300, "{% if q %}" * 300),
)
REFUSED = (
    "\0",
    "def run(inputs)",
    "(" * 300,
    "x=" + "-" * 9000 + "1",
    "'''",
    "\\",
    "def run(x):\n\treturn 1\n        2",
    "0777",
    "λ = \ud800",
)
OPERATORS = ("string-equals", "numeric-greater", "boolean-equals", "string-equals-path", "and", "or", "none", "")


class Chance(random.Random):
    """A source of parts of flows."""

    def value(self, depth: int = 3) -> Any:
        """Returns any JSON value."""
        pick = self.randrange(14 if depth else 10)
        if pick < 10:
            numbers = (0, -1, 1.5, 1e308, 10**40, 10**400)
            return (
                None,
                True,
                False,
                "",
                self.choice(numbers),
                self.choice(PATHS),
                self.choice(NAMES),
                "\ud800",
                "\0",
                self.choice(TEMPLATES),
            )[pick]
        if pick < 12:
            return [self.value(depth - 1) for _ in range(self.randrange(4))]
        return {self.choice((*NAMES, "node", "selector", "path")): self.value(depth - 1) for _ in range(self.randrange(4))}

    def code(self) -> str:
        """Returns the code of a Python node, at times none that Python parses."""
        if self.random() < 0.08:
            return self.choice(REFUSED)
        head = self.choice(
            ("def run(inputs):",) * 6 + ("def run(q, a=1):", "def run(*, q, **rest):", "def run(inputs, /):", "def go(inputs):")
        )
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
        parts = [{"text": self.choice(TEMPLATES)}, {"image_url": {"url": self.choice(TEMPLATES)}}, {"file": {"file_data": "x"}}]
        content = self.choice(TEMPLATES) if self.random() < 0.8 else self.sample(parts, 2)
        return {"role": "user", "content": content, "static": self.random() < 0.1}

    def node(self, before: list[str]) -> dict[str, Any]:
        """Returns a node that depends on some nodes before it."""
        of = {
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
        made: dict[str, Any] = {"type": self.choice(TYPES), **{key: make() for key, make in of.items() if self.random() < 0.5}}
        depends = self.sample(before, min(len(before), self.randrange(3)))
        made["depends"] = [{"node": each, **({"option": "0"} if self.random() < 0.1 else {})} for each in depends]
        if self.random() < 0.2:
            made[self.choice((*of, "type", "depends", "name"))] = self.value()
        return made

    def flow(self, count: int | None = None) -> dict[str, Any]:
        """Returns the data of a flow."""
        ids = self.sample(IDS, self.randrange(1, len(IDS))) if count is None else [f"n{place}" for place in range(count)]
        nodes = {
            each: self.node([*ids[max(0, place - 20) : place], each] if self.random() < 0.05 else ids[max(0, place - 20) : place])
            for place, each in enumerate(ids)
        }
        made: dict[str, Any] = {"nodes": nodes, "prompts": {each: {"messages": [self.message()]} for each in NAMES[:3]}}
        if self.random() < 0.8:
            made |= {"flows": {"f": {"nodes": ids}}, "workflows": {"w": {"flow": "f"}}}
        elif self.random() < 0.5:
            made["nodes"] = [{"id": each, **node} for each, node in nodes.items()]
        return made

    def text(self, data: Any) -> str:
        """Returns data as JSON or as YAML."""
        if self.random() < 0.6:
            return json.dumps(data, ensure_ascii=self.random() < 0.5)
        return str(yaml.dump(data, sort_keys=False, allow_unicode=self.random() < 0.5, default_flow_style=self.choice((None, True, False))))


@cache
def real() -> tuple[str, ...]:
    """Returns the texts of the examples' flows, and of the pairs'."""
    from tests.sdk.support import pairs

    documents = [each for file in sorted((REPOSITORY / "examples").rglob("*.yaml")) for each in yaml.safe_load_all(file.read_text())]
    examples = [each["spec"]["flow"] for each in documents if each and each.get("kind") in ("Workflow", "WorkflowVersion")]
    every = [*pairs.named(pairs.BREAKING).values(), *pairs.named(pairs.SAFE).values()]
    return (*examples, *(text for each in every for text in (each.live, each.new)))


def _damaged(chance: Chance) -> str:
    """Returns a real flow in which some values are replaced, or some characters."""
    text = chance.choice(real())
    if chance.random() < 0.3:
        place = chance.randrange(len(text))
        return text[:place] + chance.choice(("", "\0", "{", "- ", "\ud800", "&a ", "*a", "\n", '"')) + text[place + chance.randrange(30) :]
    data = yaml.safe_load(text)
    for _ in range(chance.randrange(1, 4)):
        _replace(chance, data)
    return chance.text(data)


def _replace(chance: Chance, data: Any) -> None:
    """Replaces a value somewhere in the data."""
    while isinstance(data, dict | list) and data:
        key = chance.choice(list(data) if isinstance(data, dict) else range(len(data)))
        if chance.random() < 0.25 or not isinstance(data[key], dict | list):
            data[key] = chance.value()
            return
        data = data[key]


def _characters(chance: Chance) -> str:
    """Returns a text that is hardly a flow."""
    letters = chance.choice(('{}[]":,', "abc \n:-&*!|>%@`#'\"", "\0\ud800\udfff\u2028é😀", "nodes: {}\n- "))
    return "".join(chance.choices(letters, k=chance.randrange(400)))


def _bomb(chance: Chance) -> str:
    """Returns aliases that double what they name, or that name themselves."""
    levels = "".join(f"a{place}: &a{place} [{', '.join([f'*a{place - 1}'] * 9)}]\n" for place in range(1, chance.randrange(3, 30)))
    return chance.choice(
        (f"a0: &a0 [x]\n{levels}nodes: {{b: *a2}}\n", "nodes: &a {b: *a}", "nodes: &a {b: {<<: *a}}", "<<: [*a]", "nodes: *b")
    )


def _nested(chance: Chance) -> str:
    """Returns values inside values, many levels deep."""
    depth = chance.choice((50, 99, 101, 500, 5_000, 60_000))
    opened, closed = chance.choice((("[", "]"), ('{"a":', "}"), ('{"operands":[', "]}"), ("- ", ""), ("? ", "")))
    return (
        '{"nodes":{"a":' + opened * depth + "1" + closed * depth + "}}" if chance.random() < 0.7 else opened * depth + "1" + closed * depth
    )


def _many(chance: Chance) -> str:
    """Returns a flow of many nodes, or of many fields."""
    if chance.random() < 0.5:
        return chance.text(chance.flow(chance.choice((40, 120, 399, 401))))
    selector = {f"f{place}": f"$.f{place}" for place in range(chance.choice((100, 129, 2_000)))}
    return json.dumps({"nodes": {"a": {"type": TYPES[0], "input_transformer": {"selector": selector}, "schema": {"properties": selector}}}})


def _large(chance: Chance) -> str:
    """Returns a text of 200 to 900 KiB: much code, long templates, many nodes, or one long value."""
    size = chance.randrange(LARGE_LEAST, LARGE_MOST)
    data = chance.flow()
    nodes = {f"n{place}": chance.node([]) for place in range(20)}
    fill = {
        "nodes": lambda: json.dumps(data),
        "code": lambda: "def run(inputs):\n" + '    x = inputs.get("q", 1)\n' * (size // 27),
        "operators": lambda: "def run(inputs):\n    return " + 'inputs["q"] + ' * (size // 14) + "1",
        "prompt": lambda: "{{ q.a }} {% if a %}{{ b }}{% endif %} " * (size // 39),
        "brackets": lambda: "{{" * (size // 2),
        "path": lambda: "$" + ".a" * (size // 2),
        "value": lambda: "x" * size,
        "lines": lambda: "a: - b,\n" * (size // 8),
    }
    kind = chance.choice(list(fill))
    if kind == "nodes":
        while sum(len(json.dumps(each)) for each in nodes.values()) < size:
            nodes |= {f"n{len(nodes)}_{place}": each for place, each in enumerate(list(nodes.values()))}
        return chance.text({"nodes": nodes})[:LARGE_MOST]
    text = fill[kind]()
    key = {"code": "code", "operators": "code", "prompt": "role", "brackets": "msg_template"}.get(
        kind, chance.choice(("name", "code", "role"))
    )
    made = {"type": chance.choice(TYPES), key: text, "input_transformer": {"selector": {"q": text}} if kind == "path" else None}
    made["prompt"] = {"messages": [{"content": text}]}
    if key == "code":
        made["type"] = TYPES[4]
    return chance.text({"nodes": {"a": made}} if len(text) < LARGE_MOST // 2 else {"nodes": {"a": {key: text}}})


KINDS: Mapping[str, tuple[int, Callable[[Chance], str]]] = {
    "random": (40, lambda chance: chance.text(chance.flow())),
    "real with damage": (25, _damaged),
    "any values": (10, lambda chance: chance.text({"nodes": {each: chance.value() for each in IDS[:4]}, "prompts": chance.value()})),
    "characters": (10, _characters),
    "aliases": (4, _bomb),
    "nested": (4, _nested),
    "many": (4, _many),
    "large": (3, _large),
}
"""Kinds of texts, each with its share in percent."""


def flows(seed: int, count: int) -> Iterator[tuple[str, str]]:
    """Yields kinds and texts."""
    chance = Chance(seed)
    kinds = chance.choices(list(KINDS), weights=[share for share, _ in KINDS.values()], k=count)
    for place, kind in enumerate(kinds):
        yield kind, KINDS[kind][1](Chance(f"{seed} {place}"))
