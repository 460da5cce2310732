"""Starts the runtime as a process on a loopback port, the way a pod starts it, and talks HTTP to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

OPERATOR = Path(__file__).parents[3] / "operator"
DEADLINE = 60.0

INPUT = {"type": "dynamiq.nodes.utils.Input"}


def a_flow(code: str, **python: Any) -> str:
    """The SDK's form: input → `code` → output; the answer is {"result": what `run` returns}."""
    nodes = {
        "input": INPUT,
        "code": {
            "type": "dynamiq.nodes.tools.Python",
            "depends": [{"node": "input"}],
            "input_transformer": {"path": "$.input.output"},
            "code": code,
            **python,
        },
        "output": {
            "type": "dynamiq.nodes.utils.Output",
            "depends": [{"node": "code"}],
            "input_transformer": {"selector": {"result": "$.code.output.content"}},
        },
    }
    return json.dumps({"nodes": nodes, "flows": {"f": {"nodes": list(nodes)}}, "workflows": {"w": {"flow": "f"}}})


ECHO = a_flow("def run(inputs):\n    return inputs\n")
SLOW = a_flow("import time\ndef run(inputs):\n    time.sleep(inputs['seconds'])\n    return 'slept'\n")


@dataclass
class Answer:
    """What came back; `body` is parsed where it is JSON."""

    status: int
    body: Any
    headers: Message


@dataclass
class Served:
    """A running server."""

    port: int
    process: subprocess.Popen[str]
    log: Path

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEADLINE,
    ) -> Answer:
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, body, dict(headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return _answer(response.status, response.read(), response.headers)
        except urllib.error.HTTPError as error:
            return _answer(error.code, error.read(), error.headers)

    def run(self, given: Any, path: str = "/", key: str | None = None, timeout: float = DEADLINE) -> Answer:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        return self.request("POST", path, json.dumps({"input": given}).encode(), headers, timeout)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


def _answer(status: int, raw: bytes, headers: Message) -> Answer:
    try:
        return Answer(status, json.loads(raw), headers)
    except ValueError:
        return Answer(status, raw.decode(), headers)


def environment(folder: Path, flow: str, **variables: str) -> dict[str, str]:
    """The variables of a pod that serves `flow`, written to `folder`."""
    (folder / "flow").write_text(flow)
    own = {"PYTHONPATH": str(OPERATOR), "DYNAMIQ_FLOW": str(folder / "flow"), "PORT": "0", "DYNAMIQ_ENGINE": "tiny"}
    return {"PATH": os.environ["PATH"], "TERMINATION_LOG": str(folder / "termination-log"), **own, **variables}


@contextmanager
def serving(folder: Path, flow: str, **variables: str) -> Iterator[Served]:
    """A server that is ready; it is killed at the end if it still runs."""
    log = folder / "log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "dynamiq_runtime", "serve"]
        process = subprocess.Popen(command, env=environment(folder, flow, **variables), stdout=output, stderr=subprocess.STDOUT, text=True)
    try:
        eventually(lambda: '"serving"' in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        first = json.loads(log.read_text().splitlines()[0])
        yield Served(first["port"], process, log)
    finally:
        process.kill()
        process.wait()


def refused(folder: Path, flow: str, **variables: str) -> tuple[int, str]:
    """The exit code and the one line on stderr of a server that does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "dynamiq_runtime", "serve"],
        env=environment(folder, flow, **variables),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return done.returncode, lines[0]


def eventually(condition: Callable[[], bool], within: float = DEADLINE) -> None:
    """Waits until `condition` holds; an AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
