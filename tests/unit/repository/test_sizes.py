"""Files and functions are short enough to be read as a whole."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
ROOTS = ("operator/dynamiq_operator", "operator/dynamiq_recorder", "operator/dynamiq_runtime", "local", "tests")
FILE_MOST, FUNCTION_MOST = 400, 60
"""Lines, with empty ones and docstrings."""
TOO_LONG = frozenset(
    (
        "tests/api/test_admission.py",
        "tests/api/test_recorder_rights.py",
        "tests/api/test_rest_fuzz.py::configuration",
        "tests/api/test_rest_isolation.py",
        "tests/support/stage.py",
        "tests/support/world.py",
        "tests/unit/actions/test_promote.py",
        "tests/unit/cli/test_deploy.py",
        "tests/unit/cli/test_runs.py",
        "tests/unit/controller/test_archiving.py",
        "tests/unit/controller/test_claims.py",
        "tests/unit/controller/test_execute_children.py",
        "tests/unit/controller/test_observe.py",
        "tests/unit/gate/test_forwarding.py",
        "tests/unit/model/test_completion.py",
        "tests/unit/plan/test_deploys.py",
        "tests/unit/plan/test_environment.py",
        "tests/unit/plan/test_guards.py",
        "tests/unit/plan/test_reverts.py",
        "tests/unit/plan/test_reverts_by_comparison.py",
        "tests/unit/plan/test_sleep.py",
        "tests/unit/plan/test_switch.py",
        "tests/unit/plan/test_verification.py",
        "tests/unit/rest/test_apps.py",
        "tests/unit/rest/test_console_oidc.py",
        "tests/unit/rest/test_deployments.py",
        "tests/unit/rest/test_history.py",
        "tests/unit/rest/test_watch.py",
    )
)
"""Tests that are still to be split."""


def _too_long(path: Path, text: str) -> Iterator[str]:
    """Yields the file, and each function of it, that is longer than allowed."""
    if len(text.splitlines()) > FILE_MOST:
        yield str(path)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= FUNCTION_MOST:
            yield f"{path}::{node.name}"


@pytest.mark.parametrize("root", ROOTS)
def test_files_and_functions_are_short(root: str) -> None:
    paths = sorted((REPOSITORY / root).rglob("*.py"))
    too_long = {each for path in paths for each in _too_long(path.relative_to(REPOSITORY), path.read_text(encoding="utf-8"))}
    assert paths
    assert too_long == {each for each in TOO_LONG if each.startswith(f"{root}/")}


@pytest.mark.parametrize(
    ("text", "too_long"),
    [
        ("x = 1\n" * 400, []),
        ("x = 1\n" * 401, ["a.py"]),
        ("def f():\n" + "    x = 1\n" * 59, []),
        ("class A:\n    async def f(self):\n" + "        x = 1\n" * 60, ["a.py::f"]),
    ],
)
def test_one_line_more_is_too_long(text: str, too_long: list[str]) -> None:
    assert list(_too_long(Path("a.py"), text)) == too_long
