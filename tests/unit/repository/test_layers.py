"""import-linter checks the architecture, and finds each way of breaking it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
OPERATOR = "dynamiq_operator"
NO_LAYER = "no layer"
BROKEN = (
    ("dynamiq_operator/model/names.py", "from dynamiq_operator.desired import base", "model, desired"),
    ("dynamiq_operator/plan/planner.py", "from dynamiq_operator.kube import errors", "plan, kube"),
    ("dynamiq_operator/kube/errors.py", "import dynamiq_operator.controller.run", "kube, controller"),
    ("dynamiq_operator/plan/planner.py", "import time", "plan, time"),
    ("dynamiq_operator/desired/base.py", "import kopf", "desired, kopf"),
    ("dynamiq_operator/controller/run.py", "import dynamiq_runtime.engine", "dynamiq_operator, dynamiq_runtime"),
    ("dynamiq_runtime/engine.py", "from dynamiq_runtime import tiny", "cycles in dynamiq_runtime"),
    ("dynamiq_operator/helpers.py", "# a module that is in no layer", NO_LAYER),
    (
        "dynamiq_operator/controller/observing/observe.py",
        "from dynamiq_operator.controller.execute import rows",
        "controller.observing, controller.execute",
    ),
    ("dynamiq_operator/kube/client.py", "from dynamiq_operator.controller.cached.cache import Cache", "kube, controller"),
    (
        "dynamiq_operator/controller/watching/handlers.py",
        "from dynamiq_operator.controller.reconciling import workers",
        "controller.watching, controller.reconciling",
    ),
    (
        "dynamiq_operator/controller/watching/informers.py",
        "from dynamiq_operator.controller.app_state import AppStates",
        "controller.watching, controller.app_state",
    ),
    (
        "dynamiq_operator/controller/background/slots.py",
        "from dynamiq_operator.controller.execute import turns",
        "controller.background, controller.execute",
    ),
    ("dynamiq_operator/controller/helpers.py", "# a module of the controller that is in no layer of it", NO_LAYER),
    (
        "dynamiq_operator/controller/execute/rows.py",
        "from dynamiq_operator.controller.execute import children",
        "controller.execute.rows, controller.execute.children",
    ),
    ("dynamiq_operator/cli/output.py", "from dynamiq_operator.cli import progress", "cli.output, cli.progress"),
    ("dynamiq_operator/cli/commands/diff.py", "from dynamiq_operator.cli.commands import status", "cli.commands.diff, cli.commands.status"),
    ("dynamiq_operator/cli/helpers.py", "# a module of the plugin that is in no layer of it", NO_LAYER),
    ("dynamiq_operator/gate/front.py", "from dynamiq_operator.plan import operations", "gate, plan"),
    ("dynamiq_operator/gate/directory.py", "from dynamiq_operator.gate.front import Front", "gate.directory, gate.front"),
    ("dynamiq_operator/gate/helpers.py", "# a module of the gate that is in no layer of it", NO_LAYER),
    ("dynamiq_operator/rest/apps/routes.py", "from dynamiq_operator.rest.workflows import versions", "rest.apps, rest.workflows"),
    ("dynamiq_operator/rest/http/errors.py", "from dynamiq_operator.rest.context import ApiContext", "rest.http, rest.context"),
    ("dynamiq_operator/rest/kube/client.py", "from dynamiq_operator.rest.http.errors import HttpProblem", "rest.kube, rest.http"),
    ("dynamiq_operator/rest/helpers.py", "# a module of the REST API that is in no layer of it", NO_LAYER),
    ("dynamiq_operator/serving/problems.py", "from dynamiq_operator.serving.lanes import Lane", "serving.problems, serving.lanes"),
    ("dynamiq_operator/serving/helpers.py", "# a module of the kit that is in no layer of it", NO_LAYER),
    (
        "dynamiq_operator/rest/workflows/parse.py",
        "from dynamiq_operator.rest.workflows import versions",
        "rest.workflows.parse, rest.workflows.versions",
    ),
    ("dynamiq_operator/actions/reads.py", "from dynamiq_operator.actions import deploy", "actions.reads, actions.deploy"),
    ("dynamiq_operator/actions/triggers.py", "from dynamiq_operator.actions import deploy", "actions.triggers, actions.deploy"),
    ("dynamiq_operator/desired/service.py", "from dynamiq_operator.desired import ingress", "desired.service, desired.ingress"),
    ("dynamiq_operator/desired/helpers.py", "# a module of the makers that is in no layer of them", NO_LAYER),
    ("dynamiq_operator/plan/children/variables.py", "from dynamiq_operator.plan.rows import retention", "plan.children, plan.rows"),
    ("dynamiq_operator/plan/triggers/schedules.py", "from dynamiq_operator.plan.rows import retention", "plan.triggers, plan.rows"),
    ("dynamiq_operator/plan/observed/jobs.py", "from dynamiq_operator.plan.snapshot import Snapshot", "plan.observed, plan.snapshot"),
    ("dynamiq_operator/plan/helpers.py", "# a module of the planner that is in no layer of it", NO_LAYER),
    ("dynamiq_operator/model/base.py", "import dynamiq_operator.model.app  # a circle", "cycles in model"),
)
"""A module, a line that is added to it, and the packages that may not import each other, in the form of `refusals`."""


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a copy of the packages."""
    folder = tmp_path_factory.mktemp("layers")
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    for package in (REPOSITORY / "operator").glob("*/__init__.py"):
        shutil.copytree(package.parent, folder / "operator" / package.parent.name, ignore=shutil.ignore_patterns("__pycache__", "static"))
    return folder


def lint(copied: Path) -> subprocess.CompletedProcess[str]:
    """Runs `lint-imports` over the copy."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--cache-dir", str(copied / "cache")]
    environment = os.environ | {"PYTHONPATH": str(copied / "operator")}
    return subprocess.run(command, cwd=copied, env=environment, capture_output=True, text=True, timeout=60, check=False)


def refusals(report: str) -> dict[str, str]:
    """Returns what the report lists for each refusal: `plan, kube` if plan may not import kube, `cycles in PACKAGE`, `no layer`."""
    text = " ".join(report.split()).replace(f"{OPERATOR}.", "")
    text = re.sub(r"(\S+) is not allowed to import (\S+):", r"\n\1, \2:", text)
    text = re.sub(r"No cycles are allowed in (\S+)\.", r"\ncycles in \1:", text)
    text = text.replace("The following modules are not listed as layers:", f"\n{NO_LAYER}:")
    found: dict[str, str] = {}
    for line in text.splitlines():
        refusal, _, listed = line.partition(":")
        found[refusal] = found.get(refusal, "") + listed
    return found


@pytest.fixture(scope="module")
def refused(copied: Path) -> dict[str, str]:
    """Returns the refusals of a copy in which every rule of `BROKEN` is broken."""
    # All rules are broken at once, because each run takes a second.
    whole = lint(copied)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    for module, line, _ in BROKEN:
        with (copied / "operator" / module).open("a") as file:
            file.write(f"\n{line}\n")
    done = lint(copied)
    assert done.returncode == 1, done.stdout + done.stderr
    return refusals(done.stdout)


@pytest.mark.parametrize(("module", "line", "refusal"), BROKEN)
def test_the_layers_hold_and_breaking_one_fails(refused: dict[str, str], module: str, line: str, refusal: str) -> None:
    importer = module.removesuffix(".py").replace("/", ".").removeprefix(f"{OPERATOR}.")
    importing = {NO_LAYER: f"- {importer} "}.get(refusal, f"- {importer} -> " if ", " in refusal else " -> ")
    assert importing in f"{refused.get(refusal)} ", refused


def test_the_folder_operator_is_no_package() -> None:
    """A package of this name would replace the standard library's `operator` wherever the repository is on the path."""
    assert not (REPOSITORY / "operator" / "__init__.py").exists()
