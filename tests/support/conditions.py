"""`python -m tests.support.conditions busy|half|frozen COMMAND…`: a command on a machine that gives it late what it asks for.

Busy loops run beside it, one for each core; or it has half of the processors; or all of it stands still for five seconds at random moments. Both of
the latter are done with cgroups of version 1 or 2, so they need root; clusters that the command starts are in these too.
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
"""A command joins the group, and finds it in the place of its hierarchy's root: so the groups that it makes, as a cluster does, are within.

Of version 1 it leaves its groups of other hierarchies, and has a namespace of its own: the paths of `/proc/<pid>/cgroup`, which runc reads, lead there.
"""


@dataclass(frozen=True)
class Group:
    """A cgroup with a quota or a freezer below the `root` of their hierarchy, and the one within that takes processes."""

    root: Path
    folder: Path
    joined: Path

    def limit(self, cores: float) -> None:
        """Gives it so many cores, and these whatever else runs."""
        quota = int(cores * PERIOD)
        cgroups.write(self.folder, {"cpu.cfs_period_us": f"{PERIOD}", "cpu.cfs_quota_us": f"{quota}", "cpu.shares": "262144"})
        cgroups.write(self.folder, {"cpu.max": f"{quota} {PERIOD}", "cpu.weight": "10000"})

    def freeze(self) -> None:
        cgroups.write(self.folder, {"freezer.state": "FROZEN", "cgroup.freeze": "1"})

    def thaw(self) -> None:
        cgroups.write(self.folder, {"freezer.state": "THAWED", "cgroup.freeze": "0"})

    def entered(self, command: Sequence[str]) -> list[str]:
        """The command that joins the group."""
        return ["unshare", "--mount", "sh", "-ec", ENTER, str(self.joined), str(self.folder), str(self.root), *command]


@contextlib.contextmanager
def group(part: str) -> Iterator[Group]:
    """A group of the hierarchy of `part`, cpu or freezer. What still runs in it at the end is killed. Raises PermissionError without root."""
    if os.geteuid() != 0:
        raise PermissionError("this needs root: cgroups limit and freeze what runs")
    mounts = [line.split()[1:4] for line in cgroups.MOUNTS.read_text().splitlines()]
    unified = [str(cgroups.UNIFIED_ROOT), "cgroup2"] in [each[:2] for each in mounts]
    of_version_1 = {name: Path(point) for point, kind, options in mounts if kind == "cgroup" for name in options.split(",")}
    root = cgroups.UNIFIED_ROOT if unified else of_version_1[part]
    folder = root / f"dynamiq-tests-{os.getpid()}"
    made = Group(root, folder, folder / "tests" if unified else folder)
    cgroups.create([str(folder)])
    try:
        if unified:  # a group whose controllers are passed on may have no processes of its own
            cgroups.write(
                folder, {"cgroup.subtree_control": " ".join(f"+{each}" for each in (folder / "cgroup.controllers").read_text().split())}
            )
            made.joined.mkdir()
        yield made
    finally:
        made.thaw()
        cgroups.remove([str(folder)])


def run(condition: str, command: Sequence[str], cores: float, output: IO[str] | None = None) -> int:
    """Runs a command under a condition and returns its exit code; half of the processors are `cores`.

    Raises KeyboardInterrupt after its end where it was told to end.
    """
    with contextlib.ExitStack() as stack:
        if condition == BUSY:
            stack.enter_context(_busy())
            return _until_it_ends(command, output)
        made = stack.enter_context(group("cpu" if condition == HALF else "freezer"))
        if condition == HALF:
            made.limit(cores)
        else:
            stack.enter_context(_frozen_now_and_then(made))
        return _until_it_ends(made.entered(command), output)


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
def _frozen_now_and_then(made: Group) -> Iterator[None]:
    over, draw = threading.Event(), random.Random()  # noqa: S311 - no secret

    def freeze() -> None:
        while not over.wait(draw.uniform(*BETWEEN)):
            made.freeze()
            over.wait(FROZEN_FOR)
            made.thaw()

    freezing = threading.Thread(target=freeze)
    freezing.start()
    try:
        yield
    finally:
        over.set()
        freezing.join()


def _until_it_ends(command: Sequence[str], output: IO[str] | None) -> int:
    """The terminal's Ctrl-C comes to the command as to us, so it is not passed on; SIGTERM comes to us alone."""
    told = []
    process = subprocess.Popen(command, stdout=output, stderr=output)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        told.append(number)
        if number == signal.SIGTERM:
            process.terminate()

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if told:
        raise KeyboardInterrupt
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the command's exit code, 130 where it was told to end."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.conditions", description="Runs a command on a machine that answers late."
    )
    parser.add_argument("condition", choices=CONDITIONS)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    return interruptible(lambda: run(given.condition, given.command, (os.cpu_count() or 1) / 2))


def interruptible(program: Callable[[], int]) -> int:
    """Returns the exit code of a program of ours, 130 where it was told to end; exits with a sentence without root."""
    try:
        return program()
    except KeyboardInterrupt:
        return 130
    except PermissionError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    sys.exit(main())
