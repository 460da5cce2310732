"""Every part of an image or a release is fixed: the same name cannot mean different content tomorrow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[3]
WORKFLOW = REPOSITORY / ".github" / "workflows" / "release.yml"


@pytest.fixture
def job() -> dict[str, Any]:
    (found,) = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    assert isinstance(found, dict)
    return found


def test_docker_builds_on_a_base_by_its_digest() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    own = {name for _, name in stages}
    bases = [base for base, _ in stages if base not in own]
    assert bases
    for base in bases:
        assert re.fullmatch(r"\S+:\S+@sha256:[0-9a-f]{64}", base)


def test_dockers_base_has_the_python_that_the_locks_are_for() -> None:
    (version,) = re.findall(r"^FROM python:(\d+\.\d+)\.", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    assert f"--python-version {version}" in (REPOSITORY / "Makefile").read_text()


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
