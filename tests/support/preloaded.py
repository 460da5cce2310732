"""Programs, those of the runtime above all, that are forked from one process which has loaded their modules.

To load them takes 0.3 s each time, and with the SDK 10 s. Run by itself it is this process, which takes a line of JSON for each request and
answers with one.
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
WITH_SDK = ("dynamiq_runtime.sdk", "dynamiq_runtime.server")


class Preloaded:
    """The process that has loaded `modules`."""

    def __init__(self, python: str, modules: Sequence[str]) -> None:
        self.python = python
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": ROOTS, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        self._process = subprocess.Popen(
            [python, "-m", "tests.support.preloaded", *modules], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._lock = threading.Lock()

    def start(self, module: str, *arguments: str, environment: Mapping[str, str], files: Sequence[Path]) -> ForkedProcess:
        """Starts `python -m module arguments…` in no other environment; `files`: its standard input, output and errors."""
        asked = {"module": module, "arguments": arguments, "environment": dict(environment), "files": [*map(str, files)]}
        return ForkedProcess(self, int(self.ask(asked)))

    def run(self, module: str, *arguments: str, environment: Mapping[str, str], given: str, folder: Path) -> str:
        """Runs a program to its end, and returns its output. Raises AssertionError with its errors."""
        files = [folder / f"{module}.{name}" for name in ("in", "out", "err")]
        files[0].write_text(given)
        code = self.start(module, *arguments, environment=environment, files=files).wait(LOADED_WITHIN)
        assert code == 0, files[2].read_text()
        return files[1].read_text()

    def ask(self, asked: Mapping[str, Any]) -> Any:
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(f"{json.dumps(asked)}\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """Ends it, once all programs have ended."""
        self._process.kill()
        self._process.wait()


class ForkedProcess:
    """A program that was forked; its parent is not this process, but tells how it ended."""

    def __init__(self, preloaded: Preloaded, pid: int) -> None:
        self._preloaded, self.pid, self._code = preloaded, pid, None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._preloaded.ask({"ended": self.pid})
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code. Raises AssertionError after `timeout` seconds."""
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
    """Modules, those of the SDK where none are named, loaded while the block runs."""
    made = Preloaded(python, modules)
    try:
        yield made
    finally:
        made.end()


def main() -> None:
    """Loads the modules that it is given and forks what is asked for, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the tests' own, who then ask how the programs ended
    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.freeze()  # what was imported is no garbage, and to look at it would copy its memory
    for line in sys.stdin:
        asked = json.loads(line)
        if "ended" in asked:
            pid, status = os.waitpid(asked["ended"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif not (answer := os.fork()):
            _become(asked)
        print(json.dumps(answer), flush=True)


def _become(asked: dict[str, Any]) -> NoReturn:
    """Is the program, in the child."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    flags = (os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_APPEND, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, (path, flag) in enumerate(zip(asked["files"], flags, strict=True)):
        os.dup2(os.open(path, flag, 0o644), number)
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = ["", *asked["arguments"]]
    code = 1
    try:
        runpy.run_module(asked["module"], run_name="__main__", alter_sys=True)
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
