"""Makes a flow of four models, with an agent whose tool is another agent, and adds up the cost of its run by hand."""

from __future__ import annotations

import json
from typing import Any

from tests.support import openai

PRICES = {
    "gpt-4o-mini": (0.15, 0.075, 0.60),
    "gpt-4o": (2.50, 1.25, 10.00),
    "gpt-4.1-mini": (0.40, 0.10, 1.60),
    "gpt-4.1-nano": (0.10, 0.025, 0.40),
}
"""US dollars for a million tokens of input, of cached input, and of output: from the provider's public list."""
UNKNOWN = "our-own-model"
USED = {
    "gpt-4o-mini": (1000, 600, 50),
    "gpt-4o": (3000, 0, 200),
    "gpt-4.1-mini": (500, 500, 20),
    "gpt-4.1-nano": (10, 0, 1),
    UNKNOWN: (700, 100, 70),
}
"""Tokens of a call: of input, of its cached part, and of output."""
CALLS = {"gpt-4o-mini": 2, "gpt-4o": 2, "gpt-4.1-mini": 1, "gpt-4.1-nano": 1, UNKNOWN: 1}
"""Calls of a run: an agent asks its model which tool to call, and again what to answer."""
SUBJECT = "clerk"


def price() -> float:
    """Returns the cost of a run, in US dollars, without the model of unknown price."""
    total = 0.0
    for model, (per_input, per_cached, per_output) in PRICES.items():
        tokens, cached, output = USED[model]
        total += CALLS[model] * ((tokens - cached) * per_input + cached * per_cached + output * per_output) / 1e6
    return total


def tokens() -> tuple[int, int, int]:
    """Returns the tokens of a run: of input, of its cached part, and of output."""
    return tuple(sum(CALLS[model] * used[place] for model, used in USED.items()) for place in range(3))  # type: ignore[return-value]


def usages() -> dict[str, dict[str, Any]]:
    """Returns the models' reported usage of a call."""
    return {
        model: {
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "total_tokens": prompt + output,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        for model, (prompt, cached, output) in USED.items()
    }


def set_up(model: openai.Model) -> None:
    """Makes the models report that, and the agents call their tools."""
    model.usages |= usages()
    model.calls |= {SUBJECT: {"input": "look it up"}, "register": {"number": "7"}}


def a_flow() -> str:
    """Returns the flow input → a desk, whose tool is a clerk, whose tool is a register → three models → output."""
    register = {
        "id": "register",
        "type": "dynamiq.nodes.tools.Python",
        "name": "register",
        "code": "def run(inputs):\n    return 'is kept'\n",
    }
    clerk = _agent("clerk", "gpt-4o", register | {"description": "Looks a number up."}) | {"description": "Looks things up."}
    nodes = {
        "input": {"type": "dynamiq.nodes.utils.Input"},
        "desk": _agent("desk", "gpt-4o-mini", clerk)
        | {"depends": [{"node": "input"}], "input_transformer": {"selector": {"input": "$.input.output.question"}}},
        "short": _llm("gpt-4.1-mini", "desk"),
        "title": _llm("gpt-4.1-nano", "short"),
        "check": _llm(UNKNOWN, "title"),
        "output": {
            "type": "dynamiq.nodes.utils.Output",
            "depends": [{"node": "check"}],
            "input_transformer": {"selector": {"answer": "$.check.output.content"}},
        },
    }
    connection = {"type": "dynamiq.connections.OpenAI", "url": "${oc.env:MODEL_URL}", "api_key": "${oc.env:MODEL_KEY}"}
    flows, workflows = {"f": {"nodes": list(nodes)}}, {"w": {"flow": "f"}}
    return json.dumps({"connections": {"openai": connection}, "nodes": nodes, "flows": flows, "workflows": workflows})


def _agent(name: str, model: str, tool: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": name,
        "type": "dynamiq.nodes.agents.Agent",
        "name": name,
        "role": "You answer shortly.",
        "inference_mode": "FUNCTION_CALLING",
        "max_loops": 5,
        "llm": {
            "id": f"model-of-{name}",
            "type": "dynamiq.nodes.llms.OpenAI",
            "name": f"Model of {name}",
            "connection": "openai",
            "model": model,
        }
        | RETRIES,
        "tools": [tool],
    }


RETRIES = {"error_handling": {"max_retries": 3, "retry_interval_seconds": 0.01}}


def _llm(model: str, after: str) -> dict[str, Any]:
    return {
        "type": "dynamiq.nodes.llms.OpenAI",
        "name": model,
        "model": model,
        "connection": "openai",
        "prompt": {"messages": [{"role": "user", "content": "{{text}}"}]},
        "depends": [{"node": after}],
        "input_transformer": {"selector": {"text": f"$.{after}.output.content"}},
    } | RETRIES
