"""Runs a flow with the SDK's own tracing client, and sends the run twice; run by the interpreter that has the SDK.

python -m tests.support.sdk_client URL KEY < {"flow": …, "input": …}

It prints the handler's data of the run as JSON, which is what the client sent.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import orjson
from dynamiq import Workflow
from dynamiq.callbacks import TracingCallbackHandler
from dynamiq.clients import DynamiqTracingClient
from dynamiq.runnables import RunnableConfig
from dynamiq.utils.utils import orjson_encode

from dynamiq_runtime.sdk import _loaded, _read


def main(url: str, key: str) -> None:
    """Runs once, and sends the run at its end and again later."""
    logging.disable(logging.WARNING)
    request: dict[str, Any] = json.load(sys.stdin)
    loaded = _loaded(_read(request["flow"]))
    workflow = Workflow(id=loaded.id, flow=loaded.flow, version="1")
    handler = TracingCallbackHandler(client=DynamiqTracingClient(base_url=url, access_key=key), tags=["outside"])
    workflow.run_sync(input_data=request["input"], config=RunnableConfig(callbacks=[handler]))
    handler.flush()
    runs = {"runs": [run.to_dict() for run in handler.runs.values()]}
    sys.stdout.write(orjson.dumps(runs, default=orjson_encode, option=orjson.OPT_NON_STR_KEYS).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
