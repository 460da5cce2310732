"""The architecture is held by import-linter, and breaking it fails."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages, for all tests of this file: import-linter remembers what it read of files that are as they were."""
    folder = tmp_path_factory.mktemp("layers")
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    for package in (REPOSITORY / "operator").glob("*/__init__.py"):
        shutil.copytree(package.parent, folder / "operator" / package.parent.name, ignore=shutil.ignore_patterns("__pycache__", "static"))
    return folder


Lint = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def lint(copied: Path) -> Iterator[Lint]:
    """Runs `lint-imports` over a copy of the packages, after adding a line to one of its modules, which is as it was after the test."""
    with contextlib.ExitStack() as after:

        def run(module: str = "", line: str = "") -> subprocess.CompletedProcess[str]:
            if module:
                path = copied / "operator" / module
                if path.exists():
                    after.callback(path.write_bytes, path.read_bytes())
                else:
                    after.callback(path.unlink)
                with path.open("a") as file:
                    file.write(f"\n{line}\n")
            command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--cache-dir", str(copied / "cache")]
            environment = os.environ | {"PYTHONPATH": str(copied / "operator")}
            return subprocess.run(command, cwd=copied, env=environment, capture_output=True, text=True, timeout=60, check=False)

        yield run


def test_the_layers_hold(lint: Lint) -> None:
    done = lint()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("dynamiq_operator/model/names.py", "from dynamiq_operator.desired import base"),
        ("dynamiq_operator/plan/planner.py", "from dynamiq_operator.kube import errors"),
        ("dynamiq_operator/kube/errors.py", "import dynamiq_operator.controller.run"),
        ("dynamiq_operator/plan/planner.py", "import time"),
        ("dynamiq_operator/desired/base.py", "import kopf"),
        ("dynamiq_operator/controller/run.py", "import dynamiq_runtime.engine"),
        ("dynamiq_runtime/engine.py", "from dynamiq_runtime import tiny"),
        ("dynamiq_operator/helpers.py", "# a module that is in no layer"),
        ("dynamiq_operator/controller/observe.py", "from dynamiq_operator.controller.execute import records"),
        ("dynamiq_operator/kube/client.py", "from dynamiq_operator.controller.cache import Cache"),
        ("dynamiq_operator/controller/handlers.py", "from dynamiq_operator.controller import workers"),
        ("dynamiq_operator/controller/helpers.py", "# a module of the controller that is in no layer of it"),
        ("dynamiq_operator/controller/execute/records.py", "from dynamiq_operator.controller.execute import children"),
        ("dynamiq_operator/cli/output.py", "from dynamiq_operator.cli import progress"),
        ("dynamiq_operator/cli/commands/diff.py", "from dynamiq_operator.cli.commands import status"),
        ("dynamiq_operator/cli/helpers.py", "# a module of the plugin that is in no layer of it"),
        ("dynamiq_operator/gate/front.py", "from dynamiq_operator.plan import operations"),
        ("dynamiq_operator/gate/directory.py", "from dynamiq_operator.gate.front import Front"),
        ("dynamiq_operator/gate/helpers.py", "# a module of the gate that is in no layer of it"),
        ("dynamiq_operator/rest/apps/routes.py", "from dynamiq_operator.rest.workflows import versions"),
        ("dynamiq_operator/rest/http/errors.py", "from dynamiq_operator.rest.context import ApiContext"),
        ("dynamiq_operator/rest/kube/client.py", "from dynamiq_operator.rest.http.errors import HttpProblem"),
        ("dynamiq_operator/rest/helpers.py", "# a module of the REST API that is in no layer of it"),
        ("dynamiq_operator/rest/workflows/parse.py", "from dynamiq_operator.rest.workflows import versions"),
        ("dynamiq_operator/actions/history.py", "from dynamiq_operator.actions import deploy"),
        ("dynamiq_operator/actions/triggers.py", "from dynamiq_operator.actions import deploy"),
        ("dynamiq_operator/desired/service.py", "from dynamiq_operator.desired import ingress"),
        ("dynamiq_operator/desired/helpers.py", "# a module of the makers that is in no layer of them"),
        ("dynamiq_operator/plan/children/variables.py", "from dynamiq_operator.plan.records import retention"),
        ("dynamiq_operator/plan/triggers/schedules.py", "from dynamiq_operator.plan.records import retention"),
        ("dynamiq_operator/plan/observed/jobs.py", "from dynamiq_operator.plan.snapshot import Snapshot"),
        ("dynamiq_operator/plan/helpers.py", "# a module of the planner that is in no layer of it"),
        ("dynamiq_operator/model/base.py", "import dynamiq_operator.model.app  # a circle"),
    ],
)
def test_breaking_one_fails(lint: Lint, module: str, line: str) -> None:
    done = lint(module, line)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout


def test_the_folder_operator_is_no_package() -> None:
    """As a package it would take the place of the standard library's `operator` wherever the repository is on the path."""
    assert not (REPOSITORY / "operator" / "__init__.py").exists()
