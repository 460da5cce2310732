"""A release of this commit, built and installed from its files alone, as `make release` and `make release-check` do it."""

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
    said = ours("build", images.version(), "--folder", tmp_path / "release")
    assert f"operator-{images.version()}" in said
    told = ours("check", "--folder", tmp_path / "release")
    assert f"Release {images.version()} installs and works" in told
    assert str(tmp_path) not in (tmp_path / "release" / layout.INDEX).read_text()
    assert clusters.find(check.NAME) is None
