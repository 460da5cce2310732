"""Tests the conditions of `make flaky`: a share of the processors, and a freezer, for all processes of a test, including cgroups of
clusters.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local import cgroups
from tests import flaky
from tests.support import conditions
from tests.support.cluster import REPOSITORY
from tests.support.conditions import Group
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("root")
WITHIN = "dynamiq-made-within"
MAKES_A_GROUP = f"""
import pathlib, sys
from local import cgroups
cgroups.create(folder for folder in cgroups.planned({WITHIN!r}) if str(pathlib.Path(folder).parent) == sys.argv[1])
print(flush=True)
sys.stdin.read()
"""


@contextmanager
def entered(part: str) -> Iterator[Group]:
    """Runs a program in a group that has made a group of its own, as a cluster does."""
    with conditions.group(part) as group:
        command = group.entered([sys.executable, "-c", MAKES_A_GROUP, str(group.root)])
        with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == b"\n"
            yield group
            group.thaw()


def text(group: Group, *names: str) -> str:
    """Returns the content of the one of these files that this version of cgroups has."""
    return next((group.folder / name).read_text() for name in names if (group.folder / name).exists())


def test_half_a_processor_is_the_limit_of_a_command_and_of_the_groups_that_it_makes() -> None:
    with entered("cpu") as group:
        group.limit(0.5)
        assert text(group, "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
        nested = group.folder / WITHIN
        weights = {name: (nested / name).read_text().strip() for name in cgroups.WEIGHT if (nested / name).exists()}
        assert weights, "all pods of a cluster weigh more than one process beside them"
        assert weights.items() <= cgroups.WEIGHT.items()
    assert not group.folder.exists()


def test_a_freeze_holds_a_command_and_the_groups_that_it_makes() -> None:
    with entered("freezer") as group:
        assert (group.folder / WITHIN).is_dir()
        group.freeze()
        eventually("it is frozen", lambda: {"FROZEN", "frozen 1"} & set(text(group, "freezer.state", "cgroup.events").splitlines()))
    assert not group.folder.exists()


def test_a_test_that_fails_under_some_condition_is_counted_and_its_log_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace = str(Path("/proc/self/ns/mnt").readlink())
    text = f"import os\ndef test_fails_in_a_group():\n    assert os.readlink('/proc/self/ns/mnt') == {namespace!r}\n"
    (tmp_path / "test_fails.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    assert flaky.main(["test_fails.py", "--times", "1"]) == 1
    assert capsys.readouterr().out.splitlines()[-3:] == ["| busy | 1 | 0 |", "| half | 0 | 1 |", "| frozen | 0 | 1 |"]
    assert sorted(path.name for path in flaky.OUT.iterdir()) == ["frozen-1.log", "half-1.log"]
