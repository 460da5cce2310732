"""Notes the begin of each node of a flow, as a process in the network of a cluster's node, where pods reach it.

A request `GET /ORDER/NODE/VERSION` adds a line to a file: Unix seconds, and the three. Executed as a program, this module is the process.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

PORT = 18_080
ADDRESS = "198.18.0.2"
"""The address of our clusters' node."""
URL = f"http://{ADDRESS}:{PORT}"


class Begun(NamedTuple):
    """A node that began. `at`: Unix seconds."""

    at: float
    order: str
    node: str
    version: str


class NodeCounter:
    """The notes of a process that runs."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def begun(self) -> list[Begun]:
        """Returns the nodes that began, in order."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [Begun(float(at), order, node, version) for at, order, node, version in map(str.split, lines)]


@contextmanager
def counting(network_of: int, folder: Path) -> Iterator[NodeCounter]:
    """Runs it while the block runs, in the network of a process."""
    from tests.support import programs  # the process itself needs nothing of the tests

    file, log = folder / "begun", folder / "counter.log"
    command = ["nsenter", f"--target={network_of}", "--net", "--", sys.executable, __file__, str(file)]
    with programs.running(command, log, lambda: log.exists() and "listens" in log.read_text()):
        yield NodeCounter(file)


def main() -> None:
    target = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    class Handler(BaseHTTPRequestHandler):
        """Notes a request before it answers."""

        def do_GET(self) -> None:
            os.write(target, f"{time.time()} {self.path.strip('/').replace('/', ' ')}\n".encode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer((ADDRESS, PORT), Handler)
    print("listens", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
