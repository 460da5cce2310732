"""Facts that the repository states in several places agree, and everything that its documents name exists."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

import dynamiq_operator
import dynamiq_runtime
from dynamiq_operator.model.settings import TRIGGER_IMAGE
from local import images
from tests.support import documents
from tests.support.commands import blocks, pushed

REPOSITORY = Path(__file__).parents[3]
IMAGES_NAMED_IN = ("README.md", "docs/**/*.md", "examples/**/*.yaml", "manifests/**/*.yaml")
TAG = re.compile(r"(?:dynamiq\.local|registry\.example/dynamiq)/(?:operator|runtime|runtime-sdk):([\w.-]+\w)")
DOCUMENTS = (
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs/alerts.md",
    "docs/alerts-details.md",
    "docs/architecture.md",
    "docs/architecture-details.md",
    "docs/architecture-walks.md",
    "docs/design/*.md",
    "tests/*.md",
)
MOST_OF_THE_PLUGIN = 12
"""The most packages of an installation of the plugin, including its own."""
REFERENCE = re.compile(r"`([\w./-]+\.\w+)::([\w.-]+)`")
PLACE = re.compile(r"`((?:crds|docs|examples|local|locks|manifests|operator|tests)/[\w./-]*)`")
EVERY_DOCUMENT = ("*.md", "docs/**/*.md", "tests/*.md")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)
PAGE = 100  # lines
FENCED = re.compile(r"^(```+).*?^\1$", re.MULTILINE | re.DOTALL)


def texts(*patterns: str) -> Iterator[tuple[Path, str]]:
    for pattern in patterns:
        for path in sorted(REPOSITORY.glob(pattern)):
            yield path, path.read_text()


@cache
def defined_in(path: Path) -> frozenset[str]:
    """Returns the names that a reference may use: functions, classes, methods and constants of a module, or objects of a YAML file."""
    if path.suffix != ".py":
        return frozenset(each["metadata"]["name"] for each in yaml.safe_load_all(path.read_text()))
    return frozenset(_names(ast.parse(path.read_text()).body))


def _names(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield prefix + name
            case ast.ClassDef(name=name, body=inner):
                yield prefix + name
                yield from _names(inner, f"{prefix}{name}.")
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield prefix + name


def test_every_image_that_a_text_names_has_the_version_of_the_project() -> None:
    found = [(path.relative_to(REPOSITORY).as_posix(), tag) for path, text in texts(*IMAGES_NAMED_IN) for tag in TAG.findall(text)]
    assert {"docs/install-details.md", "manifests/base/deployment.yaml", "manifests/api/deployment.yaml"} <= {path for path, _ in found}
    stale = sorted({path for path, tag in found if tag != images.version()})
    assert not stale, f"they name another version than {images.version()}: {', '.join(stale)}"


def test_the_page_on_installing_pushes_each_image_that_make_images_builds(tmp_path: Path) -> None:
    names = pushed(blocks(REPOSITORY / "docs/install.md")[0], tmp_path)
    assert names == {image.name: f"registry.example/dynamiq/{image.name}:{images.version()}" for image in images.ALWAYS}


def test_each_package_and_the_image_that_runs_triggers_have_the_version_of_the_project() -> None:
    assert dynamiq_operator.__version__ == images.version()
    assert dynamiq_runtime.__version__ == images.version()
    assert images.RUNTIME.reference == TRIGGER_IMAGE
    plugin = tomllib.loads((REPOSITORY / "operator/kubectl/pyproject.toml").read_text())
    assert plugin["project"]["version"] == images.version()


def test_the_plugin_comes_with_few_packages_which_the_tests_run_with_too() -> None:
    locked, tested = (
        dict(re.findall(r"^([\w-]+)==(\S+)", (REPOSITORY / "locks" / name).read_text(), re.MULTILINE))
        for name in ("kubectl.txt", "dev.txt")
    )
    assert 0 < len(locked) < MOST_OF_THE_PLUGIN
    assert locked.items() <= tested.items()


def test_the_changelog_has_a_section_for_the_version_of_the_project() -> None:
    assert f"\n## [{images.version()}]" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_a_commit_is_checked_by_the_commands_of_make_lint() -> None:
    recipe = (REPOSITORY / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    (hooks,) = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    run = [hook["entry"].removeprefix(".venv/bin/") for hook in hooks["hooks"]]
    assert run == [line.split(" || ")[0].strip().removeprefix("@$(BIN)/") for line in recipe.splitlines()[1:]]


@pytest.mark.parametrize("pattern", DOCUMENTS)
def test_names_in_documents_exist(pattern: str) -> None:
    for document, text in texts(pattern):
        missing = [f"{path}::{name}" for path, name in REFERENCE.findall(text) if name not in defined_in(REPOSITORY / path)]
        missing += [place for place in PLACE.findall(text) if not (REPOSITORY / place).exists()]
        assert missing == [], document.name


@pytest.mark.parametrize("pattern", EVERY_DOCUMENT)
def test_every_link_of_a_document_leads_to_what_is_there(pattern: str) -> None:
    broken = []
    for document, text in texts(pattern):
        for path, anchor in LINK.findall(FENCED.sub("", text)):
            target = document.parent / path if path else document
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{document.relative_to(REPOSITORY)}: {path}#{anchor}")
    assert broken == []


@cache
def anchors(document: Path) -> frozenset[str]:
    """Returns the anchors of a document's headings, as a forge and the site name them."""
    headings = HEADING.findall(FENCED.sub("", document.read_text()))
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def test_every_session_of_a_document_is_run() -> None:
    found = {document.relative_to(REPOSITORY).as_posix() for document, text in texts(*EVERY_DOCUMENT) if documents.BLOCK.search(text)}
    assert found == set(documents.SESSIONS)


def test_the_readme_stays_a_page_long() -> None:
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= PAGE


def test_ports_of_a_session_are_free_ones() -> None:
    session = ["kubectl port-forward -n a service/b 18080:80 >/dev/null 2>&1 &", "curl localhost:18080/v1?n=180801"]
    forward, curl = documents.with_free_ports(session)
    (port,) = documents.FORWARD.findall(forward)
    assert port != "18080"
    assert curl == f"curl localhost:{port}/v1?n=180801"


def test_make_has_what_the_documents_name() -> None:
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]
    commands = "".join(block for each in pages for block in blocks(each))
    commands += "\n".join(text for each in pages for text in re.findall(r"`(make [^`]*)`", each.read_text()))
    named = set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)", commands))
    listed = subprocess.run(["make"], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True).stdout
    assert {"demo", "test", "check", "cluster", "cluster-down"} <= named
    assert named <= set(re.findall(r"^  make ([a-z-]+)", listed, re.MULTILINE))
