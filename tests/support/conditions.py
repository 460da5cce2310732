"""Runs a command on a slow machine: `python -m tests.support.conditions busy|half|frozen COMMAND…`.

- busy: one busy loop for each core runs beside it.
- half: it has half of the processors.
- frozen: all of it stops for five seconds at random moments.

The last two use cgroups of version 1 or 2, and so need root; clusters that the command starts are in these, too.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from local import cgroups

BUSY, HALF, FROZEN = CONDITIONS = "busy", "half", "frozen"
LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
FROZEN_FOR = 5.0  # seconds
BETWEEN = (1.0, 15.0)
"""Seconds between the end of a freeze and the next one."""
PERIOD = 100_000  # microseconds, over which a share of the processors is counted

ENTER = """\
[ -e /sys/fs/cgroup/cgroup.procs ] || { for each in /sys/fs/cgroup/*/cgroup.procs; do echo $$ >"$each"; done; own=--cgroup; }
echo $$ >"$0/cgroup.procs"; mount --bind "$1" "$2"; shift 2; exec unshare ${own:---mount} "$@"
"""
"""Joins the group, and mounts it as the root of its hierarchy: groups that the command makes, like a cluster's, are within.

With version 1 it leaves its groups of other hierarchies, and gets a cgroup namespace. runc resolves the paths of `/proc/<pid>/cgroup`
there.
"""


@dataclass(frozen=True)
class Group:
    """A cgroup with a quota or a freezer below the `root` of its hierarchy, and the group within it for processes."""

    root: Path
    folder: Path
    joined: Path

    def limit(self, cores: float) -> None:
        """Gives it exactly so many cores, whatever else runs."""
        quota = int(cores * PERIOD)
        cgroups.write(self.folder, {"cpu.cfs_period_us": f"{PERIOD}", "cpu.cfs_quota_us": f"{quota}", "cpu.shares": "262144"})
        cgroups.write(self.folder, {"cpu.max": f"{quota} {PERIOD}", "cpu.weight": "10000"})

    def freeze(self) -> None:
        cgroups.write(self.folder, {"freezer.state": "FROZEN", "cgroup.freeze": "1"})

    def thaw(self) -> None:
        cgroups.write(self.folder, {"freezer.state": "THAWED", "cgroup.freeze": "0"})

    def entered(self, command: Sequence[str]) -> list[str]:
        """Returns the command that joins the group."""
        return ["unshare", "--mount", "sh", "-ec", ENTER, str(self.joined), str(self.folder), str(self.root), *command]


@contextlib.contextmanager
def group(part: str) -> Iterator[Group]:
    """Makes a group of the hierarchy of `part`, cpu or freezer; kills its processes at the end. Raises PermissionError without root."""
    if os.geteuid() != 0:
        raise PermissionError("this needs root: cgroups limit and freeze what runs")
    mounts = [line.split()[1:4] for line in cgroups.MOUNTS.read_text().splitlines()]
    unified = [str(cgroups.UNIFIED_ROOT), "cgroup2"] in [each[:2] for each in mounts]
    of_version_1 = {name: Path(point) for point, kind, options in mounts if kind == "cgroup" for name in options.split(",")}
    root = cgroups.UNIFIED_ROOT if unified else of_version_1[part]
    folder = root / f"dynamiq-tests-{os.getpid()}"
    created = Group(root, folder, folder / "tests" if unified else folder)
    cgroups.create([str(folder)])
    try:
        if unified:  # a group that delegates its controllers may have no processes of its own
            cgroups.write(
                folder, {"cgroup.subtree_control": " ".join(f"+{each}" for each in (folder / "cgroup.controllers").read_text().split())}
            )
            created.joined.mkdir()
        yield created
    finally:
        created.thaw()
        cgroups.remove([str(folder)])


def run(condition: str, command: Sequence[str], cores: float, output: IO[str] | None = None) -> int:
    """Runs a command under a condition and returns its exit code; `cores`: half of the processors.

    Raises KeyboardInterrupt after its end if a signal ended it.
    """
    with contextlib.ExitStack() as stack:
        if condition == BUSY:
            stack.enter_context(_busy())
            return _until_it_ends(command, output)
        joined = stack.enter_context(group("cpu" if condition == HALF else "freezer"))
        if condition == HALF:
            joined.limit(cores)
        else:
            stack.enter_context(_frozen_now_and_then(joined))
        return _until_it_ends(joined.entered(command), output)


@contextlib.contextmanager
def _busy() -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@contextlib.contextmanager
def _frozen_now_and_then(frozen: Group) -> Iterator[None]:
    over, draw = threading.Event(), random.Random()  # noqa: S311 - no secret

    def freeze() -> None:
        while not over.wait(draw.uniform(*BETWEEN)):
            frozen.freeze()
            over.wait(FROZEN_FOR)
            frozen.thaw()

    freezing = threading.Thread(target=freeze)
    freezing.start()
    try:
        yield
    finally:
        over.set()
        freezing.join()


def _until_it_ends(command: Sequence[str], output: IO[str] | None) -> int:
    """Runs the command to its end. The terminal sends Ctrl-C to it as well, so only SIGTERM is passed on."""
    signals = []
    process = subprocess.Popen(command, stdout=output, stderr=output)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        if number == signal.SIGTERM:
            process.terminate()

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if signals:
        raise KeyboardInterrupt
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the command's exit code, or 130 after a signal."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.conditions", description="Runs a command on a machine that answers late."
    )
    parser.add_argument("condition", choices=CONDITIONS)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    return interruptible(lambda: run(options.condition, options.command, (os.cpu_count() or 1) / 2))


def interruptible(program: Callable[[], int]) -> int:
    """Returns the exit code of a program of ours, or 130 after a signal; exits with a message without root."""
    try:
        return program()
    except KeyboardInterrupt:
        return 130
    except PermissionError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    sys.exit(main())
