"""Makes flows for tests of contracts, and lists what a contract tells in few words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dynamiq_operator.model.contract import Contract, contract_of

INPUT, OUTPUT, PASS = "dynamiq.nodes.utils.Input", "dynamiq.nodes.utils.Output", "dynamiq.nodes.utils.Pass"
PYTHON, LLM, AGENT = "dynamiq.nodes.tools.Python", "dynamiq.nodes.llms.OpenAI", "dynamiq.nodes.agents.Agent"
START: Mapping[str, Any] = {"type": INPUT}


def flow(nodes: Mapping[str, Any], **more: Any) -> str:
    """Returns the text of a flow of an Input node, `start`, and others, of which those without `depends` depend on it."""
    others = {name: {"depends": [{"node": "start"}], **each} if isinstance(each, dict) else each for name, each in nodes.items()}
    return json.dumps({"nodes": {"start": START, **others, **({"start": nodes["start"]} if "start" in nodes else {})}, **more})


def node(kind: str, selector: Mapping[str, Any] | None = None, path: str | None = None, **more: Any) -> dict[str, Any]:
    """Returns a node with an input transformer."""
    transformer = {"path": path, "selector": selector}
    return {"type": kind, "input_transformer": {key: value for key, value in transformer.items() if value is not None}, **more}


def python(
    *lines: str, path: str | None = None, selector: Mapping[str, Any] | None = None, head: str = "def run(inputs):"
) -> dict[str, Any]:
    """Returns a Python node whose code has these lines."""
    return node(PYTHON, selector, path, code="\n    ".join([head, *lines]))


def prompt(text: str, selector: Mapping[str, Any] | None = None, path: str | None = None) -> dict[str, Any]:
    """Returns a model's node with one message."""
    return node(LLM, selector, path, prompt={"messages": [{"role": "user", "content": text}]})


def told(contract: Contract) -> str:
    """Returns the fields of a contract: `!` marks one without which a run fails, `?` one with a default; then the untold nodes."""
    fields = [f"{name}{'!' if name in contract.needs else ''}" for name in contract.reads] + [f"{name}?" for name in contract.defaults]
    return " ".join([*sorted(fields), *(f"({each.node or 'flow'})" for each in contract.untold)])


def told_of(nodes: Mapping[str, Any], **more: Any) -> str:
    """Returns the fields of a flow's contract."""
    return told(contract_of(flow(nodes, **more)))
