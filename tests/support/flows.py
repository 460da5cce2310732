"""Makes flows of one Python node, in the SDK's form, as the runtime's engines run them."""

from __future__ import annotations

import json
from typing import Any


def a_flow(code: str, *, answer: str = "result", **python: Any) -> str:
    """Returns the flow input → node `code` → output; its answer is `{answer: result of `run`}`. `python`: more fields of the node."""
    nodes = {
        "input": {"type": "dynamiq.nodes.utils.Input"},
        "code": {
            "type": "dynamiq.nodes.tools.Python",
            "depends": [{"node": "input"}],
            "input_transformer": {"path": "$.input.output"},
            "code": code,
            **python,
        },
        "output": {
            "type": "dynamiq.nodes.utils.Output",
            "depends": [{"node": "code"}],
            "input_transformer": {"selector": {answer: "$.code.output.content"}},
        },
    }
    return json.dumps({"nodes": nodes, "flows": {"main": {"nodes": list(nodes)}}, "workflows": {"main": {"flow": "main"}}})


def answering(answer: str) -> str:
    """Returns a flow whose answer is `{"answer": answer}`."""
    return a_flow(f"def run(inputs):\n    return {answer!r}\n", answer="answer")


def sleeping(answer: str, seconds: float = 0) -> str:
    """Returns a flow with this answer after the seconds of its input, or else after `seconds`."""
    return a_flow(
        f"import time\ndef run(inputs):\n    time.sleep(inputs.get('seconds', {seconds}))\n    return {answer!r}\n", answer="answer"
    )
