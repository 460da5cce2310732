"""Runs programs beside the tests: forks ours from a process that has imported them already, and starts others as they are.

An import of the operator or of the API takes a second of a processor, and the suites start them by the hundred.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import importlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from tests.support.waiting import IN_TIME, SOON, eventually

ROOTS = tuple(str(Path(__file__).parents[2] / folder) for folder in ("operator", "."))
PRELOADED = (
    "pytest",
    "dynamiq_operator.__main__",
    "dynamiq_operator.rest.serve",
    "dynamiq_operator.gate.serve",
    "dynamiq_recorder.__main__",
    __name__,
)
"""Modules that children find imported. pytest is one: a forked child imports the running program, as `multiprocessing` does."""

ENDS_WITHIN = 90.0  # seconds
ANEW_WITHIN = 1.0  # seconds
_PR_SET_NAME = 15  # of prctl(2)
_CLONE_NEWNET = 0x40000000  # of setns(2)


class Process(Protocol):
    """A running or ended program: the part of `subprocess.Popen` that tests use."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Forked:
    """One of our own programs, forked from the process that has imported it; it ends with the session at the latest."""

    def __init__(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str], network_of: int | None) -> None:
        self._name = " ".join(arguments)
        log.touch()  # it is read before the child writes to it
        self._process: ForkServerProcess = _context().Process(
            target=_run, args=(tuple(arguments), str(log), {**os.environ, **environment}, network_of), daemon=True
        )
        log.touch()
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(self._name, timeout or 0)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class StartedAnew:
    """A program that is restarted after this exit code, as Kubernetes does it, until it is stopped."""

    def __init__(self, code: int, begin: Callable[[], Process]) -> None:
        self._code, self._begin = code, begin
        self._lock, self._told = threading.Lock(), False
        self.ended_by_itself = False
        """It was told to end when it had ended with the code already."""
        self._process = begin()
        threading.Thread(target=self._keep, daemon=True).start()

    def _keep(self) -> None:
        while self.poll() is None:
            time.sleep(ANEW_WITHIN)

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        with self._lock:  # a forked process returns its exit code once
            code = self._process.poll()
            if code != self._code or self._told:
                return code
            self._process = self._begin()
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Returns the exit code. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        began = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - began > timeout:
                raise subprocess.TimeoutExpired("", timeout)
            time.sleep(SOON)
        return code

    def send_signal(self, sig: int) -> None:
        with self._lock:
            if sig in (signal.SIGTERM, signal.SIGKILL) and not self._told:
                self._told, self.ended_by_itself = True, self._process.poll() == self._code
            self._process.send_signal(sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork(module: str, *arguments: str, log: Path, environment: Mapping[str, str] | None = None, network_of: int | None = None) -> Process:
    """Starts `python -m module arguments…`, whose output is added to `log`.

    `environment` is added to the test's own; with a PYTHONPATH, which a fork has read before, it gets a new interpreter. `network_of`: a
    process whose network it gets, such as a node's.
    """
    if "PYTHONPATH" in (environment or {}):
        return start((*_entering(network_of), sys.executable, "-m", module, *arguments), log=log, environment=environment)
    return Forked((module, *arguments), log, environment or {}, network_of)


def python(program: Sequence[str], *arguments: str, log: Path, network_of: int | None = None) -> Process:
    """Starts a program of Python's by its arguments: `("-m", module)`, which is forked, or a path, for instance of another checkout."""
    if program[0] == "-m":
        return fork(program[1], *arguments, log=log, network_of=network_of)
    return start((*_entering(network_of), sys.executable, *program, *arguments), log=log, environment={"PYTHONPATH": ROOTS[0]})


def _entering(network_of: int | None) -> tuple[str, ...]:
    """Returns the start of a command that runs the rest of it in the network of a process; empty without one."""
    return () if network_of is None else ("nsenter", f"--target={network_of}", "--net", "--")


def start(
    command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None, apart: bool = False
) -> Process:
    """Starts any program, whose output is added to `log`; `environment` is added to the test's own.

    `apart`: in a session of its own, which Ctrl-C does not reach.
    """
    known = {**os.environ, **(environment or {})}
    with log.open("ab") as output:
        return subprocess.Popen(
            command, env=known, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=apart
        )


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    answers: Callable[[], object],
    *,
    seconds: float = IN_TIME,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    apart: bool = False,
) -> Iterator[Process]:
    """Starts a foreign program, waits until it `answers`, and ends it after the block, whatever its exit code.

    Raises AssertionError with its log if it ends before.
    """
    name = Path(command[0]).name
    process = start(command, log=log, environment=environment, cwd=cwd, apart=apart)

    def is_ready() -> bool:
        assert process.poll() is None, f"{name} ended with exit code {process.poll()}: {log.read_text(errors='replace')[-4000:]}"
        return bool(answers())

    try:
        eventually(f"{name} is ready: see {log}", is_ready, seconds)
        yield process
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            ended(process)
        process.wait()


def listens(address: str) -> bool:
    """Returns True if a server listens at `host:port`."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def ended(process: Process, seconds: float = ENDS_WITHIN) -> int:
    """Ends a program as Kubernetes does, and returns its exit code. Raises subprocess.TimeoutExpired after killing it."""
    process.terminate()
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


@contextlib.contextmanager
def beside(process: Process, name: str, log: Path, answers: Callable[[], bool], *, seconds: float = IN_TIME) -> Iterator[Process]:
    """Waits until a started program `answers`, and ends it after the block: with exit code 0 and no traceback in its log.

    Raises AssertionError with the log.
    """
    try:
        eventually(f"{name} is ready: see {log}", lambda: process.poll() is None and answers(), seconds)
        yield process
    finally:
        code = ended(process)
    output = log.read_text(errors="replace")
    assert code == 0, f"{name} ended with exit code {code}: {output[-2000:]}"
    assert "Traceback" not in output, output[-4000:]


@functools.cache
def _context() -> ForkServerContext:
    """Returns the process that has imported our programs; `multiprocessing` starts it once in a session."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*ROOTS, *filter(None, [before])])
    try:
        forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return context


def _run(arguments: tuple[str, ...], log: str, environment: dict[str, str], network_of: int | None) -> None:
    """Becomes the program, in the child."""
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NAME, f"dynamiq {arguments[1]}".encode(), 0, 0, 0)  # for readers of a list of processes
    if network_of is not None:
        with Path(f"/proc/{network_of}/ns/net").open() as network:
            if libc.setns(network.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"no way into the network of process {network_of}")
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.argv = list(arguments)
    gc.freeze()  # imported objects are no garbage, and a collection would copy their memory
    sys.exit(importlib.import_module(f"{arguments[0]}.__main__").main())


def _end_with(session: BaseProcess | None) -> None:
    """Ends this process at once if the tests' own ends without having stopped it."""
    assert session is not None
    session.join()
    os.kill(os.getpid(), signal.SIGKILL)
