"""Only actions and the controller write to the API server. The surfaces translate their input into actions, and the results back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "operator" / "dynamiq_operator"
WRITERS = ("actions", "controller", "kube/api.py", "kube/client.py")
QUESTIONS = ("rest/http/sessions.py", "rest/console/fetching.py", "cli/app_calls.py", "cli/recorder.py")
"""Files with POST requests that write nothing to the API server: token reviews, and calls of an OIDC provider, an App and the recorder."""
METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
KUBE_API = "dynamiq_operator.kube.api"


def writes_of(source: str) -> Iterator[int]:
    """Yields the lines that send a write: a request by a method other than GET, or `kube.api.create`, under any imported name."""
    tree = ast.parse(source)
    modules, functions = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if f"{node.module}.{alias.name}" == KUBE_API:
                    modules.add(alias.asname or alias.name)
                elif node.module == KUBE_API and alias.name == "create":
                    functions.add(alias.asname or alias.name)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called, first = node.func, node.args[0] if node.args else None
        if (
            (
                isinstance(called, ast.Attribute)
                and isinstance(called.value, ast.Name)
                and called.value.id in modules
                and called.attr == "create"
            )
            or (isinstance(called, ast.Name) and called.id in functions)
            or (isinstance(called, ast.Attribute) and isinstance(first, ast.Constant) and first.value in METHODS)
        ):
            yield node.lineno


def test_no_surface_writes_by_itself() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(WRITERS) and name not in QUESTIONS:
            found += [f"{name}:{line}" for line in writes_of(path.read_text())]
    assert found == []


def test_a_row_is_written_in_one_place() -> None:
    found = [
        path.relative_to(PACKAGE).as_posix()
        for path in sorted((PACKAGE / "actions").rglob("*.py"))
        for line in path.read_text().splitlines()
        if '"POST", ROWS' in line or ("create(api, ROWS" in line and "dry_run=True" not in line)
    ]
    assert found == ["actions/deploy.py"]


@pytest.mark.parametrize(
    "line",
    [
        'session.api.request("PATCH", path, body={})',
        'api.request("DELETE", path)',
        "from dynamiq_operator.kube import api as kube_api; kube_api.create(api, APPS, made)",
        "from dynamiq_operator.kube.api import create; create(api, APPS, made)",
    ],
)
def test_a_write_is_found(line: str) -> None:
    assert list(writes_of(line)) == [1]


def test_a_read_is_none() -> None:
    assert list(writes_of('api.request("GET", path); router.post("/v1/apps"); context.create()')) == []
