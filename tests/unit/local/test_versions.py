"""The documents about each Kubernetes that is built here, and the expectations of `make test-versions`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local import components
from tests import run
from tests.support import versions
from tests.support.cluster import REPOSITORY
from tests.support.lanes import Ended

CONFTEST = """
from tests.support import versions

def pytest_collection_modifyitems(items):
    versions.expect(items, "{}")
"""
TESTS = """
import pytest

@pytest.mark.stamped
def test_holds_without_a_stamp():
    pass

@pytest.mark.stamped
def test_needs_a_stamp():
    assert {}["createdBy"]

@pytest.mark.stamped
def test_is_wrong():
    raise RuntimeError("the mark is not for this")

def test_needs_none():
    pass
"""


def test_the_document_has_each_version_that_is_built_and_what_an_older_one_loses() -> None:
    text = (REPOSITORY / "docs" / "versions.md").read_text()
    rows = re.findall(r"^\| (1\.\d+) \| (1\.\d+\.\d+) \|", text, re.MULTILINE)
    assert rows == [(minor, component.version) for minor, component in components.KUBERNETES_OF.items()]
    overlay = (REPOSITORY / "manifests" / "overlays" / "before-1.36" / "kustomization.yaml").read_text()
    for lost in ("createdBy", "changedBy", "settingsChangedBy", "kubectl replace", "Approval", "restoring", "finalizers"):
        assert lost in text, lost
        assert lost in overlay, lost


@pytest.mark.parametrize(("version", "outcome"), [("1.36.3", "2 failed, 2 passed in"), ("1.35.4", "2 failed, 1 passed, 1 xfailed in")])
def test_a_test_of_a_newer_feature_has_to_fail_as_expected_on_an_older_version(tmp_path: Path, version: str, outcome: str) -> None:
    for name, text in (
        ("conftest.py", CONFTEST.format(version)),
        ("test_marked.py", TESTS),
        ("pytest.ini", "[pytest]\nmarkers = stamped: of this test\n"),
    ):
        (tmp_path / name).write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        f"--rootdir={tmp_path}",
        str(tmp_path),
    ]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "operator"))),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    output = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False).stdout
    assert outcome in output.splitlines()[-1], output


def test_every_version_runs_ledger_rollouts_and_surfaces_of_files_that_are_there() -> None:
    plan = run.versions()
    steps = [step for lane in plan.lanes for step in lane]
    assert {step.name for step in steps} == {
        f"{minor}-{purpose}" for minor in components.KUBERNETES_OF for purpose in ("ledger", "rollouts", "surfaces", "console")
    }
    for step in steps:
        assert step.arguments[:2] == ("env", f"KUBERNETES={step.name.partition('-')[0]}")
        files = [argument for argument in step.arguments if argument.startswith("tests/")]
        assert files
        assert all((REPOSITORY / file.partition("::")[0]).is_file() for file in files)
    assert len({step.results for step in steps}) == len(steps)


def test_the_end_is_a_table_and_the_first_failure(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("versions"))
    ended = []
    for lane in run.versions().lanes:
        for step in lane:
            bad = step.name == "1.35-ledger"
            step.log.parent.mkdir(parents=True, exist_ok=True)
            step.log.write_text(f"what {step.name} said\n")
            assert step.results is not None
            body = '<failure message="no">why</failure>' if bad else ""
            left = '<testcase name="c"><skipped type="pytest.xfail" message="as said"/></testcase>' if step.name == "1.35-surfaces" else ""
            counts = f'tests="{2 if left else 1}" failures="{int(bad)}" errors="0" skipped="{int(bool(left))}"'
            step.results.write_text(
                f'<testsuites><testsuite {counts}><testcase classname="a" name="b" time="1">{body}</testcase>{left}</testsuite></testsuites>'
            )
            ended.append(Ended(step, int(bad), 1.0))
    lines = run.by_version(ended)
    table = [line.split("|") for line in lines if line.startswith("|")]
    assert [cell.strip() for cell in table[0] if cell.strip()] == ["Kubernetes", "ledger", "rollouts", "surfaces", "console"]
    assert [cell.strip() for cell in table[2]][1:-1] == ["1.35.4", "1 failed, 0 passed", "1 passed", "1 passed, 1 lacking", "1 passed"]
    assert len(table) == 2 + len(components.KUBERNETES_OF)
    assert lines[-1] == "what 1.35-ledger said"
    assert run.by_version([each for each in ended if each.ok])[-1].startswith("|")


def test_no_mark_is_of_a_test_that_only_one_version_would_run() -> None:
    """A mark is for tests that run on every version: elsewhere a wrong mark would not be noticed."""
    run_everywhere = {file for files in run.VERSION_FILES.values() for file in files}
    marked = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "tests").rglob("test_*.py")
        if path.name != "test_versions.py" and "pytest.mark.stamped" in path.read_text()
    }
    assert marked
    assert marked <= run_everywhere
    assert versions.STAMPS_SINCE == 36
