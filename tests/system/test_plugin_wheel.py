"""The plugin's wheel as `pipx` installs it: in an environment of its own that has what its lock names and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

from dynamiq_operator.cli import arguments
from local import dist, images
from tests.support import factories as given
from tests.support.scripted_namespace import permitting
from tests.support.scripted_plugin import ScriptedPlugin

LOCK = images.REPOSITORY / "locks" / "kubectl.txt"
MOST_PACKAGES = 12
COMMANDS = arguments.commands_of(arguments.parser())
OTHERS = ("controller", "gate", "rest", "__main__", "generate", "plan/planner")
"""Parts of the operator that the plugin has no use for."""
IMPORT_ALL = """
import ast, pathlib, sys

class Imports(ast.NodeVisitor):
    def visit_If(self, node):
        for each in node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else ast.iter_child_nodes(node):
            self.visit(each)
    def visit_Import(self, node):
        exec(compile(ast.Module([node], []), str(path), "exec"), {})
    visit_ImportFrom = visit_Import

for path in pathlib.Path(sys.argv[1]).rglob("*.py"):
    Imports().visit(ast.parse(path.read_text(encoding="utf-8")))
"""
"""Carries out every import of a folder's modules, those inside of functions, too, but not those for the type checker."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dist.build_plugin(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment's folder."""
    folder = tmp_path_factory.mktemp("plugin")
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    _pip(folder, "install", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK))
    _pip(folder, "install", "--no-deps", "--no-index", str(wheel))
    return folder


def _pip(folder: Path, *arguments: str) -> str:
    return _run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder / "bin" / "python"), *arguments)


def _run(*command: str) -> str:
    """What a program prints, started outside of the checkout, with nothing of it on Python's path. Raises AssertionError."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_of_the_projects_version_and_has_both_programs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folder = f"dynamiq_kubectl-{images.version()}.dist-info"
        found = BytesParser().parsebytes(archive.read(f"{folder}/METADATA"))
        programs = archive.read(f"{folder}/entry_points.txt").decode()
    assert (found["Name"], found["Version"]) == ("dynamiq-kubectl", images.version())
    assert re.findall(r"^([\w-]+) =", programs, re.MULTILINE) == ["kubectl-dynamiq", "kubectl_complete-dynamiq"]


def test_it_has_every_module_of_the_plugin_and_nothing_of_the_servers(wheel: Path) -> None:
    source = images.REPOSITORY / "operator"
    modules = {path.relative_to(source).as_posix() for path in (source / "dynamiq_operator" / "cli").rglob("*.py")}
    names = set(zipfile.ZipFile(wheel).namelist())
    assert modules <= names
    assert not [name for name in names if name.startswith(tuple(f"dynamiq_operator/{other}" for other in OTHERS))]
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"dynamiq_operator", "dynamiq_kubectl"}


def test_it_is_the_same_whenever_it_is_built(wheel: Path, tmp_path: Path) -> None:
    assert dist.build_plugin(tmp_path).read_bytes() == wheel.read_bytes()


def test_the_environment_has_few_packages_and_lacks_none(installed: Path) -> None:
    packages = {each["name"].lower() for each in json.loads(_pip(installed, "list", "--format", "json"))}
    locked = set(re.findall(r"^([\w-]+)==", LOCK.read_text(), re.MULTILINE))
    assert {name.replace("_", "-") for name in packages} == locked | {"dynamiq-kubectl"}
    assert len(packages) <= MOST_PACKAGES
    _pip(installed, "check")


def test_whatever_a_module_of_it_imports_is_there(installed: Path) -> None:
    (folder,) = installed.glob("lib/python*/site-packages/dynamiq_operator")
    _run(str(installed / "bin" / "python"), "-c", IMPORT_ALL, str(folder))


def test_it_tells_its_version_and_its_commands(installed: Path) -> None:
    program = str(installed / "bin" / "kubectl-dynamiq")
    assert _run(program, "--version") == f"kubectl dynamiq {images.version()}\n"
    assert _run(program, "deploy", "--help").startswith("usage: kubectl dynamiq deploy")
    offered = _run(str(installed / "bin" / "kubectl_complete-dynamiq"), "").splitlines()
    assert {line.partition("\t")[0] for line in offered[:-1]} == set(COMMANDS)


def test_it_previews_a_deploy_and_shows_a_history(
    installed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = str(installed / "bin" / "kubectl-dynamiq")
    with ScriptedPlugin(capsys, monkeypatch) as plugin:
        permitting(plugin.script)
        plugin.app(given.stored(given.app_manifest()))
        plugin.rows(given.stored(given.row_manifest("chat-a", given.live(1, "v1"))))
        plugin.releases(given.stored(given.version_manifest("v1")), given.stored(given.version_manifest("v2")))
        plugin.runtimes(given.stored(given.runtime_manifest()))
        plugin.flows("v1", "v2")
        assert "  version  v1 (#1) → v2\n" in _run(program, "deploy", given.NAME, "--preview")
        assert "version: v2\n" in _run(program, "deploy", given.NAME, "--preview", "-o", "yaml")
        assert _run(program, "history", given.NAME).splitlines()[1].startswith("v1 ")
