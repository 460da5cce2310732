"""Forks programs, above all those of the runtime, from one process that has loaded their modules.

Loading them takes 0.3 s each time, and 10 s with the SDK. Run by itself, this module is that process: it reads a line of JSON for each
request and answers with one.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tests.support.waiting import eventually

ROOTS = f"{Path(__file__).parents[2] / 'operator'}:{Path(__file__).parents[2]}"
LOADED_WITHIN = 300.0  # seconds: the SDK's packages are large, and a busy machine reads them slowly
WITH_SDK = (
    "dynamiq_runtime.lazy_packages:install",
    *("dynamiq_runtime.sdk", "dynamiq_runtime.server", "dynamiq.nodes.agents.agent", "dynamiq.nodes.llms.openai"),
)
"""Modules of the SDK that most flows of tests use, loaded as pods load them."""


class Preloaded:
    """The process that has loaded `modules`; of `module:function` it has called the function, too."""

    def __init__(self, python: str, modules: Sequence[str]) -> None:
        self.python = python
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": ROOTS, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        self._process = subprocess.Popen(
            [python, "-m", "tests.support.preloaded", *modules], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._lock = threading.Lock()

    def start(self, module: str, *arguments: str, environment: Mapping[str, str], files: Sequence[Path]) -> ForkedProcess:
        """Starts `python -m module arguments…` in exactly this environment; `files`: its standard input, output and errors."""
        request = {"module": module, "arguments": arguments, "environment": dict(environment), "files": [*map(str, files)]}
        return ForkedProcess(self, int(self.ask(request)))

    def run(self, module: str, *arguments: str, environment: Mapping[str, str], given: str, folder: Path) -> str:
        """Runs a program to its end, and returns its output. Raises AssertionError with its errors."""
        files = [folder / f"{module}.{name}" for name in ("in", "out", "err")]
        files[0].write_text(given)
        code = self.start(module, *arguments, environment=environment, files=files).wait(LOADED_WITHIN)
        assert code == 0, files[2].read_text()
        return files[1].read_text()

    def ask(self, request: Mapping[str, Any]) -> Any:
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(f"{json.dumps(request)}\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """Ends it, once all programs have ended."""
        self._process.kill()
        self._process.wait()


class ForkedProcess:
    """A forked program. Its parent is not this process, but reports its end."""

    def __init__(self, preloaded: Preloaded, pid: int) -> None:
        self._preloaded, self.pid, self._code = preloaded, pid, None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._preloaded.ask({"ended": self.pid})
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; returns the exit code. Raises AssertionError after `timeout` seconds."""
        eventually(f"process {self.pid} ends", lambda: self.poll() is not None, timeout or LOADED_WITHIN)
        assert self._code is not None
        return self._code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(15)

    def kill(self) -> None:
        self.send_signal(9)


@contextlib.contextmanager
def preloaded(python: str, modules: Sequence[str] = WITH_SDK) -> Iterator[Preloaded]:
    """Loads modules, by default those of the SDK, while the block runs."""
    loaded = Preloaded(python, modules)
    try:
        yield loaded
    finally:
        loaded.end()


def main() -> None:
    """Loads the modules of its arguments and forks requested programs, until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which then request the ends of the programs
    for name, _, function in (each.partition(":") for each in sys.argv[1:]):
        module = importlib.import_module(name)
        if function:
            getattr(module, function)()
    gc.freeze()  # imported objects are no garbage, and a collection would copy their memory
    for line in sys.stdin:
        request = json.loads(line)
        if "ended" in request:
            pid, status = os.waitpid(request["ended"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif not (answer := os.fork()):
            _become(request)
        print(json.dumps(answer), flush=True)


def _become(request: dict[str, Any]) -> NoReturn:
    """Becomes the program, in the child."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    flags = (os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_APPEND, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, (path, flag) in enumerate(zip(request["files"], flags, strict=True)):
        os.dup2(os.open(path, flag, 0o644), number)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["", *request["arguments"]]
    code = 1
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
