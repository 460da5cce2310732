"""`python -m tests.api.support.prometheus.spending`: runs the real runtime with an engine that calls a priced model and needs no network."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any

from dynamiq_runtime.engine import Failure, NodeRun, Report, RunFailedError, Usage
from dynamiq_runtime.serving import serve
from dynamiq_runtime.settings import from_environment


class Spending:
    """An engine that calls two models; the price of one is known. The input `{"fails": true}` fails."""

    nodes, outputs, workflow, waits = 2, 1, "spending", False

    def execute(self, given: Mapping[str, Any], report: Report) -> Any:
        for name, cost in (("writer", 0.002), ("critic", None)):
            now = time.time_ns()
            used = Usage(input_tokens=100, output_tokens=20, cost=cost)
            report.nodes.append(NodeRun(name, name, "model", now, name, ended=now, is_model=True, usage=used))
        if given.get("fails"):
            raise RunFailedError([Failure("writer", "writer", "it was told to fail")])
        return {"said": "yes"}


if __name__ == "__main__":
    asyncio.run(serve(from_environment(os.environ), Spending, None))
