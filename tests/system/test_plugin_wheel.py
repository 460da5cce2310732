"""Tests the plugin's wheel as `pipx` installs it: in an environment of its own with its locked packages and nothing else."""

from __future__ import annotations

import json
import re
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

from dynamiq_operator.cli import arguments
from local import dist, images
from tests.support import factories as given
from tests.support.installed_plugin import LOCK, InstalledPlugin, run
from tests.support.scripted_namespace import permitting
from tests.support.scripted_plugin import ScriptedPlugin

MOST_PACKAGES = 12
COMMANDS = arguments.commands_of(arguments.parser())
OTHERS = ("controller", "gate", "rest", "__main__", "generate", "plan/planner")
"""Parts of the operator that the plugin does not use."""
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
"""Carries out every import of a folder's modules, including those inside of functions, but not those for the type checker."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dist.build_plugin(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> InstalledPlugin:
    return InstalledPlugin.of(wheel, tmp_path_factory.mktemp("plugin"))


def test_it_is_of_the_projects_version_and_has_both_programs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folder = f"dynamiq_kubectl-{images.version()}.dist-info"
        headers = BytesParser().parsebytes(archive.read(f"{folder}/METADATA"))
        programs = archive.read(f"{folder}/entry_points.txt").decode()
    assert (headers["Name"], headers["Version"]) == ("dynamiq-kubectl", images.version())
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


def test_the_environment_has_few_packages_and_lacks_none(installed: InstalledPlugin) -> None:
    packages = {each["name"].lower() for each in json.loads(installed.pip("list", "--format", "json"))}
    locked = set(re.findall(r"^([\w-]+)==", LOCK.read_text(), re.MULTILINE))
    assert {name.replace("_", "-") for name in packages} == locked | {"dynamiq-kubectl"}
    assert len(packages) <= MOST_PACKAGES
    installed.pip("check")


def test_all_imports_of_the_plugin_are_installed(installed: InstalledPlugin) -> None:
    run(installed.path("python"), "-c", IMPORT_ALL, str(installed.package))


def test_the_plugin_prints_its_version_and_its_commands(installed: InstalledPlugin) -> None:
    assert run(installed.program, "--version") == f"kubectl dynamiq {images.version()}\n"
    assert run(installed.program, "deploy", "--help").startswith("usage: kubectl dynamiq deploy")
    offered = run(installed.path("kubectl_complete-dynamiq"), "").splitlines()
    assert {line.partition("\t")[0] for line in offered[:-1]} == set(COMMANDS)


def test_it_previews_a_deploy_and_shows_a_history(
    installed: InstalledPlugin, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedPlugin(capsys, monkeypatch) as plugin:
        permitting(plugin.script)
        plugin.app(given.stored(given.app_manifest()))
        plugin.rows(given.stored(given.row_manifest("chat-a", given.live(1, "v1"))))
        plugin.releases(given.stored(given.version_manifest("v1")), given.stored(given.version_manifest("v2")))
        plugin.runtimes(given.stored(given.runtime_manifest()))
        plugin.flows("v1", "v2")
        assert "  version  v1 (#1) → v2\n" in run(installed.program, "deploy", given.NAME, "--preview")
        assert "version: v2\n" in run(installed.program, "deploy", given.NAME, "--preview", "-o", "yaml")
        assert run(installed.program, "history", given.NAME).splitlines()[1].startswith("v1 ")
