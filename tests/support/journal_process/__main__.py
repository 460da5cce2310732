"""Serves a journal by a file, the argument, until SIGTERM."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from dynamiq_recorder import servers
from dynamiq_recorder.journal.serve import Options, serve_for
from dynamiq_recorder.journal.store import opened
from tests.support.journal import HOST, Table
from tests.support.journal_process import Setup


async def serve(setup: Setup) -> None:
    table = Table()
    for token, place in setup.pods.items():
        table.add_pod(token, place)
    store = opened(setup.address, setup.clock, setup.clock) if setup.speed is not None else opened(setup.address)
    options = Options(store=store, host=HOST, port=setup.port, health_port=setup.health_port, metrics_port=setup.metrics_port)
    await serve_for(options, table, servers.signalled())
    store.close()


def main() -> None:
    servers.log_lines("info")
    asyncio.run(serve(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Setup)))


if __name__ == "__main__":
    main()
