"""Runs a flow without a model, once with success and once without, and prints the answers, and whether litellm is loaded."""

from __future__ import annotations

import json
import os
import sys

from dynamiq_runtime.engine import Report, RunFailedError
from dynamiq_runtime.engine_choice import load_engine
from tests.support.flows import a_flow

FLOW = json.loads(a_flow("def run(d):\n    return 1 / d['n']\n"))
FLOW["nodes"]["code"]["error_handling"] = {"max_retries": 1, "retry_interval_seconds": 0.01}


def main() -> None:
    """Runs it."""
    engine, failing = load_engine("sdk", json.dumps(FLOW), os.environ), Report()
    answer = engine.execute({"n": 2}, Report())
    try:
        engine.execute({"n": 0}, failing)
    except RunFailedError as error:
        attempts = [node.attempts for node in failing.nodes if node.id == "code"]
        print(json.dumps([answer, [failure.node for failure in error.failures], attempts, "litellm" in sys.modules]))


if __name__ == "__main__":
    main()
