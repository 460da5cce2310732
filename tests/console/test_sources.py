"""The console's sources have the agreed style and the types of the API."""

from __future__ import annotations

import subprocess

import pytest

from local import console_build, steps
from local.steps import Step


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    steps.run([Step("console packages", console_build.checked_out)])


@pytest.mark.parametrize(
    "command",
    [("@biomejs/biome/bin/biome", "ci", "--colors=off", "--error-on-warnings", "."), ("typescript/bin/tsc", "--noEmit")],
    ids=["biome", "tsc"],
)
def test_nothing_is_found_in_them(command: tuple[str, ...]) -> None:
    program, *arguments = command
    done = subprocess.run(
        [console_build.node(), console_build.SOURCE / "node_modules" / program, *arguments],
        cwd=console_build.SOURCE,
        env=console_build.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
