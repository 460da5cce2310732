"""Builds a release of this commit and installs it from its files alone, like `make release` and `make release-check`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from local import clusters, images
from local.release import check, layout

pytestmark = pytest.mark.timeout(3600)
REPOSITORY = Path(__file__).parents[3]


def ours(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "local.release", *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_release_installs_from_its_files_alone_and_works(tmp_path: Path) -> None:
    build_output = ours("build", images.version(), "--folder", tmp_path / "release")
    assert f"operator-{images.version()}" in build_output
    check_output = ours("check", "--folder", tmp_path / "release")
    assert f"Release {images.version()} installs and works" in check_output
    assert str(tmp_path) not in (tmp_path / "release" / layout.INDEX).read_text()
    assert clusters.find(check.NAME) is None
