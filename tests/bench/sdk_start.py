"""Loads a flow with the SDK's engine, runs it once, and prints what that took as JSON.

`lazy` loads it as pods do, `plain` without lazy packages. Run by the interpreter that has the SDK: `.venv-sdk/bin/python -m tests.bench.sdk_start lazy|plain FLOW`. `FLOW` is a key of `flows`.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dynamiq_runtime.engine import Report
from tests.support import openai

EXAMPLES = Path(__file__).parents[2] / "examples"


def flows() -> Mapping[str, tuple[str, dict[str, Any]]]:
    """Returns the flows with an input of each."""
    return {
        "without a model": (_flow("support-v1.yaml"), {"question": "Where is my invoice?"}),
        "agent": (_flow("agent/helpdesk-v1.yaml"), {"question": "Where is my order 1001?"}),
    }


def _flow(name: str) -> str:
    text: str = yaml.safe_load((EXAMPLES / name).read_text())["spec"]["flow"]
    return text


def main(how: str, name: str) -> None:
    """Prints CPU seconds, MiB and modules of the load, and the modules that the first run loaded."""
    text, given = flows()[name]
    with openai.serving() as model:
        model.calls["order-status"] = {"order": "1001"}
        os.environ.update(MODEL_URL=model.url, MODEL_KEY=openai.KEY, LITELLM_LOCAL_MODEL_COST_MAP="True")
        before = resource.getrusage(resource.RUSAGE_SELF)
        if how == "lazy":
            from dynamiq_runtime.engine_choice import load_engine

            engine: Any = load_engine("sdk", text, os.environ)
        else:
            from dynamiq_runtime.sdk import SDK

            engine = SDK(text)
        logging.disable()
        after, loaded = resource.getrusage(resource.RUSAGE_SELF), set(sys.modules)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        engine.execute(given, Report())
    first = sorted(set(sys.modules) - loaded)
    print(json.dumps({"cpu": cpu, "memory": after.ru_maxrss / 1024, "modules": len(loaded), "first": first}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
