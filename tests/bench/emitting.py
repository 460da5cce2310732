"""Runs the runtime's server with an engine that emits `chunks` of its input, each with `bytes` of text, as an agent's answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from dynamiq_runtime.engine import Report
from dynamiq_runtime.serving import serve
from dynamiq_runtime.settings import from_environment

SOURCE = {"id": "agent", "name": "Agent", "group": "agents", "type": "dynamiq.nodes.agents.Agent"}


class Emitting:
    """An engine whose run emits numbered words."""

    nodes, outputs, workflow, waits = 1, 1, "emitting", False

    def execute(self, given: Mapping[str, Any], report: Report) -> Any:
        padding = "x" * given.get("bytes", 0)
        for number in range(given.get("chunks", 0)):
            if report.emit is not None:
                delta = {"content": f"{number} {padding}", "source": "Agent", "step": "answer"}
                report.emit({"event": "streaming", "entity_id": "agent", "source": SOURCE, "data": {"choices": [{"delta": delta}]}})
        return {"result": given.get("chunks", 0)}


if __name__ == "__main__":
    asyncio.run(serve(from_environment(os.environ), Emitting, None))
