"""A pytest session that is ended leaves no program behind, even a cluster's stand-in that takes longer to end than xdist would wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster import REPOSITORY
from tests.support.waiting import eventually

CONFTEST = """
import os, pathlib, subprocess, sys, time
import pytest
from tests.support.ending import Ending

def pytest_configure(config):
    is_worker = hasattr(config, "workerinput")
    config.pluginmanager.register(Ending(is_worker=is_worker))
    if config.pluginmanager.hasplugin("xdist") and not is_worker:
        from xdist.workermanage import NodeManager
        NodeManager.EXIT_TIMEOUT = 0.5

@pytest.fixture(scope="session")
def cluster():
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        yield program.pid
    finally:
        pathlib.Path(__file__).with_name(f"{os.getpid()}.ends").touch()
        time.sleep(2)
        program.kill()
        program.wait()
"""
TESTS = """
import os, pathlib, time
def test_waits(cluster):
    made = pathlib.Path(__file__).with_suffix(".partial")
    made.write_text(f"{os.getpid()} {cluster}")
    made.rename(made.with_suffix(".pids"))
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("workers", "by_terminal"), [(False, False), (True, False), (True, True)], ids=["alone", "with workers", "by Ctrl-C with workers"]
)
def test_a_session_that_gets_a_signal_ends_its_workers_and_their_processes(tmp_path: Path, workers: bool, by_terminal: bool) -> None:
    """A terminal sends Ctrl-C to every process. The controller then signals a worker that is already ending once more."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    files = [tmp_path / f"test_{name}.py" for name in ("one", "two")[: 1 + workers]]
    for file in files:
        file.write_text(TESTS)
    options = ("-p", "xdist", "-n", "2", "--dist", "loadfile") if workers else ()
    command = (sys.executable, "-m", "pytest", f"--rootdir={tmp_path}", *options, str(tmp_path))
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(REPOSITORY)}
    session = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        eventually("each test waits", lambda: all(file.with_suffix(".pids").exists() for file in files))
        started = [[int(pid) for pid in file.with_suffix(".pids").read_text().split()] for file in files]
        if by_terminal:
            for worker, _ in started:
                os.kill(worker, signal.SIGINT)
            eventually("each worker ends", lambda: all((tmp_path / f"{worker}.ends").exists() for worker, _ in started))
        session.send_signal(signal.SIGINT if by_terminal else signal.SIGTERM)
        output, _ = session.communicate(timeout=60)
        assert session.returncode == pytest.ExitCode.INTERRUPTED, output
        assert [pid for pids in started for pid in pids if Path("/proc", str(pid)).exists()] == []
    finally:
        session.kill()
