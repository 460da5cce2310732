"""Every part of an image or a release is fixed: the same name cannot mean different content tomorrow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import debian_lock

REPOSITORY = Path(__file__).parents[3]
WORKFLOW = REPOSITORY / ".github" / "workflows" / "release.yml"


@pytest.fixture
def job() -> dict[str, Any]:
    (found,) = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    assert isinstance(found, dict)
    return found


def test_images_have_the_python_that_the_locks_are_for() -> None:
    assert f"--python-version {debian_lock.PYTHON} " in (REPOSITORY / "Makefile").read_text()


def test_the_workflow_calls_what_anybody_can_call_and_nothing_else(job: dict[str, Any]) -> None:
    assert [step["run"] for step in job["steps"] if "run" in step] == ['make release VERSION="${GITHUB_REF_NAME#v}"', "make release-check"]
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert {"release", "release-check"} <= set(targets)


def test_a_tag_that_the_workflow_takes_has_nothing_that_a_shell_would_run() -> None:
    text = WORKFLOW.read_text()
    tags = re.findall(r"^    tags: (.*)$", text, re.MULTILINE)
    assert [re.sub(r"\[0-9\]\+", "", each) for each in tags] == ['["v..", "v..-rc"]']


def test_the_workflow_takes_actions_by_commit_and_may_write_nothing(job: dict[str, Any]) -> None:
    for step in job["steps"]:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step.get("uses", "actions/none@" + "0" * 40))
    assert yaml.safe_load(WORKFLOW.read_text())["permissions"] == {"contents": "read"}
    assert "permissions" not in job
    (checkout,) = (step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@"))
    assert checkout["with"]["persist-credentials"] is False
