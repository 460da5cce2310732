"""Writes the alerts of `manifests/monitoring` as a rule file, and runs promtool on it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.prometheus.programs import PACKAGE

MONITORING = Path(__file__).parents[3] / "manifests" / "monitoring"
UNIT_TESTS = Path(__file__).parent / "alerts"
RULES = "alerts.yaml"
"""The rule file's name in unit tests of promtool."""


def spec() -> dict[str, Any]:
    """Returns the content from which the Prometheus Operator makes a rule file."""
    content: dict[str, Any] = yaml.safe_load((MONITORING / RULES).read_text())["spec"]
    return content


def alerts() -> list[dict[str, Any]]:
    return [rule for group in spec()["groups"] for rule in group["rules"]]


def written(folder: Path) -> Path:
    """Writes the rule file to a folder; returns its path."""
    path = folder / RULES
    path.write_text(yaml.safe_dump(spec(), sort_keys=False))
    return path


def unit_tests() -> list[dict[str, Any]]:
    """Returns the expectations of promtool's unit tests for each alert, in order."""
    files = [yaml.safe_load(path.read_text()) for path in sorted(UNIT_TESTS.glob("*.yaml"))]
    return [expected for file in files for test in file["tests"] for expected in test["alert_rule_test"]]


def promtool(*arguments: str, folder: Path) -> tuple[int, str]:
    """Returns the exit code, and the output."""
    done = subprocess.run([PACKAGE.program("promtool"), *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def tested(folder: Path) -> tuple[int, str]:
    """Runs the unit tests on the rule file of a folder."""
    copies = [Path(shutil.copy(path, folder)).name for path in sorted(UNIT_TESTS.glob("*.yaml"))]
    return promtool("test", "rules", *copies, folder=folder)
