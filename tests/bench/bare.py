"""What the runtime is measured beside, as processes of their own: `http FLOW` and `loop FLOW`.

`http` is an aiohttp handler that does the same and no more: reads the JSON, runs the flow in the tiny engine, writes the JSON. It
prints its port. `loop` is Dynamiq's SDK as its user starts it, `run_sync` again and again on one Workflow: for each number that it
reads it makes as many runs, and prints the seconds they took.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from pathlib import Path


async def _serve(flow: str) -> None:
    from aiohttp import web

    from dynamiq_runtime.engine import Report
    from dynamiq_runtime.tiny import Tiny

    engine = Tiny(flow, os.environ)

    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        return web.json_response(engine.execute(body["input"], Report()))

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def _loop(flow: Path) -> None:
    logging.basicConfig(level=logging.WARNING)
    from dynamiq import Workflow

    logging.getLogger("dynamiq.utils.logger").setLevel(logging.CRITICAL)
    workflow = Workflow.from_yaml_file(str(flow), init_components=True)
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.monotonic()
        for number in range(int(line)):
            result = workflow.run_sync(input_data={"n": number})
            assert result.output["output"]["output"] == {"result": {"n": number}}, result
        print(time.monotonic() - began, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "http":
        asyncio.run(_serve(Path(sys.argv[2]).read_text()))
    else:
        _loop(Path(sys.argv[2]))
