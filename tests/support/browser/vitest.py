"""Runs the unit tests of the console's own functions, with JUnit XML in FILE: `python -m tests.support.browser.vitest FILE`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from local import console_build, steps
from local.builds import BuildError
from local.steps import Step


def main() -> int:
    """Replaces this process by vitest; returns an exit code only if it can't."""
    results = Path(sys.argv[1]).absolute()
    try:
        steps.run([Step("console packages", console_build.checked_out)])
        node = str(console_build.node())
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    vitest = str(console_build.SOURCE / "node_modules" / "vitest" / "vitest.mjs")
    reporters = ("--reporter=default", "--reporter=junit", f"--outputFile.junit={results}")
    os.execve(node, [node, vitest, "run", f"--root={console_build.SOURCE}", *reporters], console_build.environment())  # noqa: S606
    return 1


if __name__ == "__main__":
    sys.exit(main())
