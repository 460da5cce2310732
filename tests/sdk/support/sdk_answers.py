"""Answers many flows in one process, since its start takes seconds; run by the interpreter that has the SDK.

It reads JSON from stdin, `[{"flow": text, "inputs": [...]}, …]`. For each flow it prints its answers as JSON, or the reason of its refusal.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from dynamiq_runtime.engine import Report, RunFailedError
from dynamiq_runtime.engine_choice import load_engine
from dynamiq_runtime.logs import take_over
from dynamiq_runtime.text import FlowError


def main() -> None:
    """Answers all flows."""
    take_over()
    print(json.dumps([_answers(request["flow"], request["inputs"]) for request in json.load(sys.stdin)]))


def _answers(flow: str, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    try:
        engine = load_engine("sdk", flow, os.environ)
    except FlowError as error:
        return {"refused": str(error)}
    answers = []
    for content in inputs:
        report = Report()
        try:
            answers.append({"output": engine.execute(content, report), "within": sorted({node.within for node in report.nodes})})
        except RunFailedError as error:
            answers.append({"failed": [[failure.node, failure.name] for failure in error.failures], "input_refused": error.input_refused})
    return {"answers": answers}


if __name__ == "__main__":
    main()
