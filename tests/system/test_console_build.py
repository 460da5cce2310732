"""Tests the console's build: it gives the same bytes every time and everywhere, and runs only after a change."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local import builds, console_build
from local.steps import Commands, Task


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.long("a second build from nothing; that a build is what is served: test_the_served_files_become_the_built_ones_and_then_stay")
def test_a_second_build_elsewhere_has_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = content(console_build.ensure())
    console = tmp_path / "another" / "place"
    for path in console_build.sources():
        copy = console / path.relative_to(console_build.SOURCE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    shutil.copytree(console_build.SOURCE / "node_modules", console / "node_modules", symlinks=True)
    monkeypatch.setattr(console_build, "SOURCE", console)
    console_build.build_into(tmp_path / "built", Task("console", 1, Commands()))
    assert content(tmp_path / "built") == first


def test_the_served_files_become_the_built_ones_and_then_stay(tmp_path: Path) -> None:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "assets" / "of-before.js").write_text("old")
    assert console_build.install(static)
    assert content(static) == content(console_build.ensure())
    before = (static / console_build.SHELL).stat().st_mtime_ns
    assert not console_build.install(static)
    assert (static / console_build.SHELL).stat().st_mtime_ns == before


def test_a_failing_build_shows_its_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    console = tmp_path / "console"
    shutil.copytree(console_build.SOURCE, console, symlinks=True, ignore=shutil.ignore_patterns("node_modules"))
    if (installed := console_build.SOURCE / "node_modules").exists():
        (console / "node_modules").symlink_to(installed)
    (console / "src" / "main.tsx").write_text("import './nowhere.ts';\n")
    monkeypatch.setenv("DYNAMIQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(console_build, "SOURCE", console)
    with pytest.raises(builds.BuildError, match=r"nowhere\.ts"):
        console_build.ensure()
    assert not console_build.is_built()
    assert not list((tmp_path / "cache" / "console").glob("[!.]*/index.html"))


def test_make_console_build_prints_the_size_that_a_browser_loads() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "local.console_build"], cwd=console_build.REPOSITORY, capture_output=True, text=True, check=True
    )
    assert "kB of JS" in done.stdout.splitlines()[-1]
    assert content(console_build.STATIC) == content(console_build.ensure())
