"""Loads and runs flows with the SDK's engine in one process, and prints as JSON how they ended, and what is loaded by then."""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import Any

from dynamiq_runtime import lazy_packages
from dynamiq_runtime.engine import Report, RunFailedError
from dynamiq_runtime.engine_choice import load_engine
from dynamiq_runtime.text import FlowError
from tests.support import openai
from tests.support.flows import a_flow

RETRIED = {"max_retries": 1, "retry_interval_seconds": 0.01}
UNKNOWN_TYPE = json.dumps({"nodes": {"x": {"type": "dynamiq.nodes.tools.Nothing"}}})


def main() -> None:
    """Prints one object."""
    thresholds = gc.get_threshold()
    refused = [_refused(text) for text in ("no nodes", UNKNOWN_TYPE)]
    dividing = json.loads(a_flow("def run(d):\n    return 1 / d['n']\n"))
    dividing["nodes"]["code"]["error_handling"] = RETRIED
    divided = [_ran(dividing, {"n": 2}, "code"), _ran(dividing, {"n": 0}, "code")]
    has_litellm = "litellm" in sys.modules
    asking = json.loads(openai.a_flow(streaming=False))
    asking["nodes"]["model"]["error_handling"] = RETRIED
    with openai.serving() as model:
        os.environ.update(MODEL_URL=model.url, MODEL_KEY="another key")
        asked = _ran(asking, {"question": "why"}, "model")
    same = gc.get_threshold() == thresholds
    said = {"refused": refused, "divided": divided, "litellm": has_litellm, "asked": asked, "thresholds": same}
    print(json.dumps({**said, "whole": lazy_packages.has_given_up()}))


def _refused(text: str) -> str:
    try:
        load_engine("sdk", text, os.environ)
    except FlowError as error:
        return str(error)
    return "loaded"


def _ran(flow: dict[str, Any], given: dict[str, Any], node: str) -> list[Any]:
    """Returns the answer, or False, and the attempts of a node."""
    engine, report = load_engine("sdk", json.dumps(flow), os.environ), Report()
    answer: Any = False
    try:
        answer = engine.execute(given, report)
    except RunFailedError:
        answer = False
    return [answer, *(each.attempts for each in report.nodes if each.id == node)]


if __name__ == "__main__":
    main()
