"""Makes texts of flows by chance: whole ones, real ones with damage, and texts that are no flows. A seed always makes the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import yaml

from tests.sdk.support import pairs
from tests.support.cluster import REPOSITORY
from tests.support.flow_chance import IDS, TYPES, Chance

KIB = 1024
LARGE_LEAST, LARGE_MOST = 200 * KIB, 900 * KIB


@cache
def real() -> tuple[str, ...]:
    """Returns the texts of the examples' flows, and of the pairs'."""
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
    merged = f"a0: &a0 {{k: v}}\n{levels.replace('[*', '{<<: [*').replace(']', ']}')}nodes: {{b: *a2}}"
    doubled = f"a0: &a0 [x]\n{levels}nodes: {{b: *a2}}\n"
    return chance.choice((doubled, merged, "nodes: &a {b: *a}", "nodes: &a {b: {<<: *a}}", "<<: [*a]", "nodes: *b"))


def _nested(chance: Chance) -> str:
    """Returns values inside values, many levels deep."""
    depth = chance.choice((50, 99, 101, 500, 5_000, 60_000))
    opened, closed = chance.choice((("[", "]"), ('{"a":', "}"), ('{"operands":[', "]}"), ("- ", ""), ("? ", "")))
    text = opened * depth + "1" + closed * depth
    return f'{{"nodes":{{"a":{text}}}}}' if chance.random() < 0.7 else text


def _many(chance: Chance) -> str:
    """Returns a flow of many nodes, or of many fields, or of nodes that each pass on several times what the node before passed on."""
    pick = chance.randrange(3)
    if pick == 0:
        return chance.text(chance.flow(chance.choice((40, 120, 399, 401))))
    if pick == 1:
        selector = {f"f{place}": f"$.f{place}" for place in range(chance.choice((100, 129, 2_000)))}
        return json.dumps(
            {
                "nodes": {
                    "a": {
                        "type": TYPES[0],
                        "input_transformer": {"selector": selector},
                        "schema": {"properties": selector},
                    }
                }
            }
        )
    nodes = {}
    for place in range(chance.randrange(2, 60)):
        selector = {str(key): f"$.n{place - 1}.output" for key in range(9)}
        nodes[f"n{place}"] = {
            "type": TYPES[2],
            "depends": [{"node": f"n{place - 1}"}],
            "input_transformer": {"selector": selector},
        }
    return chance.text({"nodes": nodes})


def _hard(chance: Chance, size: int) -> str:
    """Returns a text of about `size` characters in which one value takes many steps to read."""
    code, prompt, choice = (TYPES[4], "code"), (TYPES[8], "prompt"), (TYPES[12], "options")
    (kind, key), head, part = chance.choice(
        (
            (code, "def run(inputs):\n", '    x = inputs.get("q", 1)\n'),
            (code, "def run(inputs):\n    return 1", ' + inputs["q"]'),
            (code, "def run(i):\n    if i: 0\n", "    elif i['a']: 0\n"),
            (code, "def run(i):\n    x", "[0]"),
            (code, "def run(i):\n    ", "-x;"),
            *(
                (prompt, "", part)
                for part in ("{{ q.a }} ", "{{", "{% raw %}", "{% if q %}", "{% for x in y %}", "{{ a + b if c else d | e }} ")
            ),
            (choice, "$", ".a"),
            *(((TYPES[2], "name"), head, part) for head, part in (("", "x"), ("", "a: - b,\n"), ("$", ".a"), ("$.a", " || $.a"))),
        )
    )
    text = head + part * (size // len(json.dumps(part)))
    value = {"prompt": {"messages": [{"content": text}]}, "options": [{"condition": {"variable": text, "operands": [{}] * 99}}]}.get(
        key, text
    )
    return chance.text(
        {
            "nodes": {
                "a": {
                    "type": kind,
                    key: value,
                    "input_transformer": {"selector": {"q": text if key == "name" else "q"}},
                }
            }
        }
    )


def _large(chance: Chance) -> str:
    """Returns a text of 200 to 900 KiB: many nodes, or one long value."""
    size = chance.randrange(LARGE_LEAST * 9 // 8, LARGE_MOST * 3 // 4)
    if chance.random() < 0.6:
        return _hard(chance, size)
    nodes: list[dict[str, Any]] = []
    while len(nodes) < 380 and sum(map(len, map(repr, nodes))) < size:
        nodes += [chance.node([]) for _ in range(40)]
    return chance.text({"nodes": {f"n{place}": each for place, each in enumerate(nodes)}, "name": "x" * max(0, size - len(repr(nodes)))})


KINDS: Mapping[str, tuple[int, Callable[[Chance], str]]] = {
    "random": (40, lambda chance: chance.text(chance.flow())),
    "real with damage": (25, _damaged),
    "any values": (10, lambda chance: chance.text({"nodes": {each: chance.value() for each in IDS[:4]}, "prompts": chance.value()})),
    "characters": (10, _characters),
    "aliases": (4, _bomb),
    "nested": (2, _nested),
    "many": (3, _many),
    "hard": (3, lambda chance: _hard(chance, chance.choice((500, 5_000, 15_000, 60_000)))),
    "large": (3, _large),
}
"""Kinds of texts, each with its share in percent."""


def flows(seed: int, count: int) -> Iterator[tuple[str, str]]:
    """Yields kinds and texts."""
    chance = Chance(seed)
    kinds = chance.choices(list(KINDS), weights=[share for share, _ in KINDS.values()], k=count)
    for place, kind in enumerate(kinds):
        yield kind, KINDS[kind][1](Chance(f"{seed} {place}"))
