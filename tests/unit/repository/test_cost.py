"""The cost of tests: core-seconds by file and by program, each counted once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.support import cost
from tests.support.accounting import ETCD, KINDS, OURS, PYTEST, SESSION, TICKS, Account
from tests.support.cluster import REPOSITORY

BURNT = 0.3  # core-seconds
BURN = f"""
import sys, time
while time.process_time() < {BURNT}: pass
print(flush=True)
sys.stdin.read()
"""
SLACK = 4  # ticks: two for each process, whose last part of one is cut


def burning(program: str | Path = sys.executable) -> subprocess.Popen[str]:
    """Returns a program that has used processor time, and ends with its input."""
    started = subprocess.Popen([program, "-I", "-S", "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    started.stdout.readline()
    return started


def ended(program: subprocess.Popen[str]) -> int:
    """Lets the program end, and returns its processor time in ticks."""
    assert program.stdin is not None
    program.stdin.close()
    _, status, used = os.wait4(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(status)
    return round((used.ru_utime + used.ru_stime) * TICKS)


def test_a_program_that_is_seen_and_one_that_is_not_are_each_counted_once(tmp_path: Path) -> None:
    account, whole = Account(os.getpid()), Counter[str]()
    account.settle()
    unseen = ended(burning())
    whole += account.settle()
    assert abs(whole[OURS] - unseen) <= SLACK
    server = tmp_path / "etcd"
    server.symlink_to(sys.executable)
    one, other = burning(server), burning()
    whole += account.settle()
    assert whole[ETCD] >= BURNT * TICKS - SLACK
    seen = ended(one), ended(other)
    whole += account.settle()
    assert abs(whole[ETCD] + whole[OURS] - unseen - sum(seen)) <= 3 * SLACK


def test_each_file_of_a_session_has_its_row(tmp_path: Path) -> None:
    conftest = "\n".join(
        (
            "import pathlib, pytest",
            "from tests.support.accounting import Accounting",
            "def pytest_configure(config):",
            f"    config.pluginmanager.register(Accounting(pathlib.Path({str(tmp_path)!r}, 'cost', 'api-1.json'), alone=False))",
        )
    )
    burn = f"import time\ndef test_burns():\n    began = time.process_time()\n    while time.process_time() - began < {BURNT}: pass\n"
    for name, text in (("conftest", conftest), ("test_one", burn), ("test_two", burn)):
        (tmp_path / f"{name}.py").write_text(text)
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(REPOSITORY)}
    command = (sys.executable, "-m", "pytest", f"--rootdir={tmp_path}", str(tmp_path))
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    rows = cost.by_suite(tmp_path / "cost")["api"]
    assert set(rows) == {SESSION, "test_one.py", "test_two.py"}
    assert all(rows[name][PYTEST] >= BURNT * TICKS - SLACK for name in ("test_one.py", "test_two.py"))
    cost.write(tmp_path / "cost")
    lines = (tmp_path / "cost.txt").read_text().splitlines()
    assert lines[2].split() == " ".join(("all", *KINDS)).split()
    assert "core-s of 1000" in lines[3]
    assert lines[-1].endswith((".py", SESSION))


def test_a_suite_over_its_budget_is_named() -> None:
    assert cost.against_budget("api", 1200.4) == "1200 core-s of 1000, over"
    assert cost.against_budget("api", 999.6) == "1000 core-s of 1000"
    assert cost.against_budget("docs", 3.2) == "3 core-s"
