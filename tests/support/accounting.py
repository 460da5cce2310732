"""Counts the core-seconds of one pytest process: by file of tests and by program, of itself and of all its descendants.

It reads `/proc`, which needs no root. A program that lived only between two reads is counted by the time charged to its parent. It does not
know the purpose of a program.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.processes import MARK

FOLDER = "COST"
"""The environment variable with the folder of the accounts; without it none are kept."""
SERVER, ETCD, CLUSTER, CHROMIUM, OURS, PYTEST = KINDS = "API server", "etcd", "cluster", "Chromium", "ours", "pytest"
_KINDS = {
    "kube-apiserver": SERVER,
    "etcd": ETCD,
    **dict.fromkeys(("contour", "envoy", "coredns", "pause"), CLUSTER),
    **dict.fromkeys(
        ("chrome", "chromium", "chromium-headle", "headless_shell", "chrome_crashpad", "node", "MainThread", "node-MainThread"), CHROMIUM
    ),
}
"""Other programs are the cluster's if they carry its mark, else ours. Playwright's driver is `node`; some versions name it `MainThread`."""

SESSION = "(start, end, fixtures of the session)"
EVERY = 2.0  # seconds between two reads, of 1 to 5 ms, while a file runs
TICKS = os.sysconf("SC_CLK_TCK")
"""Ticks a second: the kernel counts in these."""


@dataclass(frozen=True)
class _Process:
    """A process as `/proc/<pid>/stat` has it: ticks of its own, and those of its children that have ended."""

    pid: int
    began: int
    name: str
    parent: int
    own: int
    children: int


def _processes() -> dict[int, _Process]:
    running = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                text = Path(entry.path, "stat").read_text(errors="replace")
            except OSError:  # it has ended
                continue
            name, _, rest = text[text.index("(") + 1 :].rpartition(") ")
            values = rest.split()
            user, system, users, systems = (int(value) for value in values[11:15])
            running[int(entry.name)] = _Process(int(entry.name), int(values[19]), name, int(values[1]), user + system, users + systems)
    return running


class Account:
    """The ticks of a process and its descendants since they began. `alone`: without its descendants."""

    def __init__(self, root: int, *, alone: bool = False) -> None:
        self._root, self._alone = root, alone
        self._known: dict[int, _Process] = {}
        self._kinds: dict[tuple[int, int, str], str] = {}

    def settle(self) -> Counter[str]:
        """Returns the ticks by kind since its last call."""
        every = _processes()
        present = {each.pid: each for each in self._family(every)}
        used: Counter[str] = Counter()
        ended: Counter[int] = Counter()  # already counted ticks of ended children, by the ancestor that they are charged to now
        for pid, last in self._known.items():
            if pid not in present or present[pid].began != last.began:
                ended[self._charged(last, present)] += last.own + last.children
        for each in present.values():
            before = self._known.get(each.pid)
            own, children = (before.own, before.children) if before is not None and before.began == each.began else (0, 0)
            kind = self._kind(each)
            used[kind] += each.own - own
            if not self._alone:
                used[OURS if kind == PYTEST else kind] += max(0, each.children - children - ended[each.pid])
        self._known = present
        return used

    def _family(self, every: dict[int, _Process]) -> Iterator[_Process]:
        """Yields the process and its descendants, also those that have lost their parent."""
        belongs = {self._root: True}
        for each in every.values():
            line = []
            while each.pid not in belongs:
                line.append(each.pid)
                known = self._known.get(each.pid)
                if known is not None and known.began == each.began:
                    belongs[each.pid] = True
                elif (parent := every.get(each.parent)) is None or self._alone:
                    belongs[each.pid] = False
                else:
                    each = parent
            belongs.update(dict.fromkeys(line, belongs[each.pid]))
        return (each for pid, each in every.items() if belongs[pid])

    def _charged(self, ended: _Process, present: dict[int, _Process]) -> int:
        """Returns the nearest ancestor that still runs; 0 if none does."""
        parent = ended.parent
        while parent not in present and parent in self._known:
            parent = self._known[parent].parent
        return parent if parent in present else 0

    def _kind(self, process: _Process) -> str:
        if process.pid == self._root:
            return PYTEST
        key = process.pid, process.began, process.name  # a process that executes another program gets its name
        if key not in self._kinds:
            self._kinds[key] = _KINDS.get(process.name) or (CLUSTER if _is_marked(process.pid) else OURS)
        return self._kinds[key]


def _is_marked(pid: int) -> bool:
    try:
        return f"{MARK}=".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


class Accounting:
    """A plugin of pytest that writes to a file the ticks that each file of tests took; `tests/support/cost.py` reads it."""

    def __init__(self, file: Path, *, alone: bool) -> None:
        self._file, self._account = file, Account(os.getpid(), alone=alone)
        self._rows: dict[str, Counter[str]] = {}
        self._now, self._settled = SESSION, 0.0

    def _settle(self, then: str | None = None) -> None:
        """Charges the use so far to the current file; later use is charged to `then`."""
        self._rows.setdefault(self._now, Counter()).update(self._account.settle())
        self._settled = time.monotonic()
        if then is not None and then != self._now:
            self._now = then
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._rows))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        test_file = nodeid.partition("::")[0]
        if test_file != self._now:
            self._settle(test_file)

    def pytest_runtest_logreport(self) -> None:
        if time.monotonic() - self._settled > EVERY:
            self._settle()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
        if fixturedef.scope != "session":
            return (yield)
        before = self._now
        self._settle(SESSION)
        try:
            return (yield)
        finally:
            self._settle(before)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, nextitem: pytest.Item | None) -> None:
        if nextitem is None:
            self._settle(SESSION)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        self._settle("")
