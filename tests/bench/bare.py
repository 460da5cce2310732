"""Runs the baselines for the runtime, as separate processes: `http FLOW`, `loop FLOW` and `recorder SECONDS`.

- `http` is an aiohttp handler that does only the same: it parses JSON, runs the flow in the tiny engine, and writes JSON. It prints its
  port.
- `loop` is Dynamiq's SDK as its user starts it, `run_sync` repeatedly on one Workflow. For each number that it reads it makes as many runs,
  and prints their seconds.
- `recorder` accepts everything, each request after so many seconds; it prints its port.
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


def _record(seconds: float) -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(seconds)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "recorder":
        _record(float(sys.argv[2]))
    elif sys.argv[1] == "http":
        asyncio.run(_serve(Path(sys.argv[2]).read_text()))
    else:
        _loop(Path(sys.argv[2]))
