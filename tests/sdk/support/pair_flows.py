"""Makes the flows and the callers of pairs: a live flow, a new one, and what five callers send. It runs nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support import openai

RUNS: Mapping[str, int] = {"nightly": 300, "web": 120, "mobile": 45, "batch": 12, "partner": 3}
"""Runs of each caller. `nightly` is a trigger, the others are keys."""
TINY, SDK = "tiny", "sdk"
START: dict[str, Any] = {"type": "dynamiq.nodes.utils.Input"}
CONNECTIONS = {"openai": {"type": "dynamiq.connections.OpenAI", "url": "${oc.env:MODEL_URL}", "api_key": "${oc.env:MODEL_KEY}"}}
MODEL: dict[str, Any] = {"type": "dynamiq.nodes.llms.OpenAI", "model": openai.NAME, "connection": "openai"}


@dataclass(frozen=True)
class Call:
    """The runs of one caller, all with the same input."""

    caller: str
    runs: int
    given: Mapping[str, Any]

    @property
    def key(self) -> str | None:
        return None if self.caller == "nightly" else self.caller

    @property
    def trigger(self) -> str | None:
        return self.caller if self.caller == "nightly" else None


@dataclass(frozen=True)
class Pair:
    """A live flow and the one that would replace it. `is_untold`: no analysis can tell from its text which fields it reads."""

    name: str
    engine: str
    live: str
    new: str
    calls: tuple[Call, ...]
    is_untold: bool = False


def callers(fields: Mapping[str, Any], also: Mapping[str, Mapping[str, Any]] | None = None, **lacking: str) -> tuple[Call, ...]:
    """Returns the calls of all callers: each sends `fields`, and its own of `also`, without the names in its `lacking`."""
    sent = {caller: {**fields, **(also or {}).get(caller, {})} for caller in RUNS}
    for caller, names in lacking.items():
        for name in names.split():
            del sent[caller][name]
    return tuple(Call(caller, runs, sent[caller]) for caller, runs in RUNS.items())


def flow(nodes: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the text of a flow of these nodes; its model has its address and its key from variables."""
    data = {"nodes": nodes, "flows": {"main": {"nodes": list(nodes)}}, "workflows": {"main": {"flow": "main"}}}
    needs_model = any(name in json.dumps(nodes) for name in (".llms.", ".agents."))
    return json.dumps({"connections": CONNECTIONS, **data} if needs_model else data)


def node(kind: str, after: str, **fields: Any) -> dict[str, Any]:
    """Returns a node that depends on the nodes `after`, separated by spaces; `node:option` is an option of a Choice.

    `path` and `selector` are those of its input_transformer.
    """
    transformer = {name: fields.pop(name) for name in ("path", "selector") if name in fields}
    depends = [
        {"node": name, **({"option": option} if option else {})} for name, _, option in (each.partition(":") for each in after.split())
    ]
    made = {"type": f"dynamiq.nodes.{kind}", "depends": depends, **fields}
    return {**made, "input_transformer": transformer} if transformer else made


def python(code: str, after: str = "start", **fields: Any) -> dict[str, Any]:
    """Returns a Python node."""
    return node("tools.Python", after, code=code, **fields)


def output(after: str, **selector: str) -> dict[str, Any]:
    """Returns the Output node, by default with the text of node `after` as `answer`."""
    return node("utils.Output", after, selector=selector or {"answer": f"$.{after}.output.content"})


def coded(code: str, start: Mapping[str, Any] = START, **fields: Any) -> str:
    """Returns the flow start → Python node → output."""
    return flow({"start": start, "code": python(code, **fields), "output": output("code")})


def prompted(*messages: str, **fields: Any) -> str:
    """Returns the flow start → model → output. The last message is the user's and the model's answer; others are the system's."""
    roles = [*(["system"] * (len(messages) - 1)), "user"]
    prompt = {"messages": [{"role": role, "content": content} for role, content in zip(roles, messages, strict=True)]}
    model = {**node("llms.OpenAI", "start", prompt=prompt, **fields), **MODEL}
    return flow({"start": START, "model": model, "output": output("model")})


def agent(after: str = "start", **fields: Any) -> dict[str, Any]:
    """Returns an agent, whose answer is the text that it was asked."""
    defaults = {"name": "Clerk", "role": "You answer.", "inference_mode": "FUNCTION_CALLING", "max_loops": 3, "llm": {"id": "llm", **MODEL}}
    return node("agents.Agent", after, **{**defaults, **fields})


def answered(**fields: Any) -> str:
    """Returns the flow start → agent → output."""
    return flow({"start": START, "agent": agent(**fields), "output": output("agent")})


def condition(variable: str, operator: str, value: Any, **fields: Any) -> dict[str, Any]:
    """Returns a condition of a Choice."""
    return {"variable": variable, "operator": operator, "value": value, **fields}


def both(*operands: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the condition that all of these hold."""
    return condition("$", "and", None, operands=list(operands))


def chosen(when: Mapping[str, Any], then: str = "return 'an order'", **choice: Any) -> str:
    """Returns the flow start → Choice → one of two Python nodes → output. `then`: the code if the condition holds."""
    options = [{"id": "order", "condition": when}, {"id": "other"}]
    nodes = {
        "start": START,
        "choice": node("operators.Choice", "start", options=options, **choice),
        "orders": python(f"def run(inputs):\n    {then}", "choice:order"),
        "others": python("def run(inputs):\n    return 'other'", "choice:other"),
        "output": output("orders others", answer="$.orders.output.content || $.others.output.content"),
    }
    return flow(nodes)


def mapped(inner: Mapping[str, Any], items: str, name: str = "each", **fields: Any) -> str:
    """Returns the flow start → Map of node `inner` over the list at path `items` → output."""
    each = node("operators.Map", "start", node=inner, selector={"input": items}, **fields)
    return flow({"start": START, name: each, "output": output(name, answer=f"$.{name}.output.output[*].content")})
