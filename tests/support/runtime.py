"""Starts the runtime as a process on a loopback port, as a pod starts it, and sends it HTTP requests."""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from tests.support.flows import a_flow
from tests.support.preloaded import LOADED_WITHIN, ForkedProcess, Preloaded
from tests.support.programs import Process
from tests.support.waiting import IN_TIME, eventually

OPERATOR = Path(__file__).parents[2] / "operator"
DEADLINE = IN_TIME

ECHO = a_flow("def run(inputs):\n    return inputs\n")
MODULES = ("call", "engine_choice", "keys", "ports", "recording", "relay", "server", "tiny", "traces", "trigger", "yaml_text")
WAITS = a_flow(
    "import io, time\ndef run(inputs):\n    while inputs.get('until'):\n        try:\n"
    "            io.open(inputs['until']).close()\n            break\n        except OSError:\n            time.sleep(0.02)\n    return 'slept'\n"
)
"""A flow whose run lasts until the file exists that its input names `until`: it never ends too early for a test."""
SLOW = a_flow("import time\ndef run(inputs):\n    time.sleep(inputs['seconds'])\n    return 'slept'\n")


@dataclass
class Answer:
    """An answer; `body` is parsed if it is JSON."""

    status: int
    body: Any
    headers: Message

    @property
    def events(self) -> list[tuple[str, Any]]:
        """Returns the events of a stream: name and data."""
        return events_in(self.body)


@dataclass
class Served:
    """A running server; `metrics_port` answers Prometheus and the operator."""

    port: int
    metrics_port: int
    process: Process
    log: Path

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEADLINE,
        *,
        port: int | None = None,
    ) -> Answer:
        url = f"http://127.0.0.1:{port or self.port}{path}"
        request = urllib.request.Request(url, body, dict(headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return _answer(response.status, response.read(), response.headers)
        except urllib.error.HTTPError as error:
            return _answer(error.code, error.read(), error.headers)

    def run(
        self,
        given: Any,
        path: str = "/",
        *,
        key: str | None = None,
        stream: Any = None,
        accept: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEADLINE,
    ) -> Answer:
        sent = {"Content-Type": "application/json", **(headers or {})}
        sent |= ({"Authorization": f"Bearer {key}"} if key else {}) | ({"Accept": accept} if accept else {})
        body = {"input": given} | ({} if stream is None else {"stream": stream})
        return self.request("POST", path, json.dumps(body).encode(), sent, timeout)

    def events(self, given: Any, timeout: float = DEADLINE) -> Iterator[tuple[str, Any]]:
        """Yields a stream's events at once: name and data."""
        body = json.dumps({"input": given, "stream": True}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=timeout) as response:
            block = ""
            for line in response:
                block += line.decode()
                if not line.strip():
                    yield from events_in(block)
                    block = ""

    def metric(self, name: str) -> float:
        """Returns one sample of /metrics, by its name with labels as written there; 0 if it is missing."""
        lines = [line.rsplit(" ", 1) for line in self.request("GET", "/metrics", port=self.metrics_port).body.splitlines()]
        return next((float(value) for key, value in lines if key == name), 0.0)

    @property
    def activity(self) -> dict[str, Any]:
        """Returns the report that the operator reads."""
        answer = self.request("GET", "/activity", port=self.metrics_port)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
        return dict(answer.body)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


def _answer(status: int, raw: bytes, headers: Message) -> Answer:
    try:
        return Answer(status, json.loads(raw), headers)
    except ValueError:
        return Answer(status, raw.decode(), headers)


def events_in(text: str) -> list[tuple[str, Any]]:
    """Returns server-sent events, without comments: name and data."""
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            events.append((fields["event"], json.loads(fields["data"])))
    return events


def environment(folder: Path, flow: str, **variables: str) -> dict[str, str]:
    """Returns the variables of a pod that serves `flow`, which is written to `folder`."""
    (folder / "flow").write_text(flow)
    own = {
        "PYTHONPATH": str(OPERATOR),
        "DYNAMIQ_FLOW": str(folder / "flow"),
        "PORT": "0",
        "DYNAMIQ_METRICS_PORT": "0",
        "DYNAMIQ_ENGINE": "tiny",
    }
    return {"PATH": os.environ["PATH"], "TERMINATION_LOG": str(folder / "termination-log"), **own, **variables}


@contextmanager
def serving(folder: Path, flow: str, *, python: str | Preloaded | None = None, **variables: str) -> Iterator[Served]:
    """Runs a server that is ready; kills it at the end if it still runs."""
    with listening(folder, flow, python=python, **variables) as served:
        eventually("it serves", lambda: '"serving"' in served.log.read_text() or served.process.poll() is not None, _start(variables))
        assert served.process.poll() is None, served.log.read_text()
        yield served


def _start(variables: Mapping[str, str]) -> float:
    return LOADED_WITHIN if variables.get("DYNAMIQ_ENGINE") == "sdk" else DEADLINE


@functools.cache
def _loaded() -> Preloaded:
    """Returns the process that has loaded the runtime, one in a session."""
    loaded = Preloaded(sys.executable, [f"dynamiq_runtime.{name}" for name in MODULES])
    atexit.register(loaded.end)
    return loaded


def forked(folder: Path, *arguments: str, **variables: str) -> ForkedProcess:
    """Starts `python -m dynamiq_runtime arguments…`, which prints into the file `printed` of the folder."""
    printed = folder / "printed"
    printed.unlink(missing_ok=True)
    files = (Path(os.devnull), printed, printed)
    return _loaded().start("dynamiq_runtime", *arguments, environment=environment(folder, "", **variables), files=files)


def _serve(
    python: str | Preloaded | None, variables: Mapping[str, str], log: Path, errors: Path, module: str = "dynamiq_runtime"
) -> Process:
    """Starts a server with an interpreter, or with a process that has loaded its modules, by default the session's own."""
    if not isinstance(python, str):
        return (python or _loaded()).start("dynamiq_runtime", "serve", environment=variables, files=(Path(os.devnull), log, errors))
    with log.open("a") as output, errors.open("a") as complaints:
        return subprocess.Popen([python, "-m", module, "serve"], env=variables, stdout=output, stderr=complaints)


@contextmanager
def listening(
    folder: Path, flow: str, *, python: str | Preloaded | None = None, module: str = "dynamiq_runtime", **variables: str
) -> Iterator[Served]:
    """Runs a server that listens and may still load its flow; kills it at the end if it still runs.

    `module`: the program of an interpreter, `python`, if it is not the runtime's own.
    """
    log = folder / "log"
    log.unlink(missing_ok=True)  # the log of another server is not this one's
    process = _serve(python, environment(folder, flow, **variables), log, log, module)
    try:
        eventually("it listens", lambda: (log.exists() and '"listening"' in log.read_text()) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        listening_line = next(line for line in map(json.loads, log.read_text().splitlines()) if line["message"] == "listening")
        yield Served(listening_line["port"], listening_line["metrics_port"], process, log)
    finally:
        process.kill()
        process.wait()


def refused(folder: Path, flow: str, *, python: str | Preloaded | None = None, **variables: str) -> tuple[int, str]:
    """Returns the exit code and the one line on stderr of a server that does not start."""
    errors = folder / "errors"
    errors.unlink(missing_ok=True)
    process = _serve(python, environment(folder, flow, **variables), folder / "output", errors)
    code = process.wait(_start(variables))
    lines = errors.read_text().splitlines()
    assert len(lines) == 1, errors.read_text()
    return code, lines[0]
