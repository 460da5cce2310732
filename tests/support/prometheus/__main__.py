"""Prepares Prometheus for tests, and prints its version: `python -m tests.support.prometheus`."""

from __future__ import annotations

import sys

from local.errors import LocalError
from tests.support.prometheus import programs


def main() -> int:
    """Prepares it, and returns the exit code."""
    try:
        programs.ensure()
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(programs.version())
    return 0


if __name__ == "__main__":
    sys.exit(main())
