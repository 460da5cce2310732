"""`python -m tests.support.prometheus`: makes Prometheus ready for tests, and says which one it is."""

from __future__ import annotations

import sys

from local.errors import LocalError
from tests.support.prometheus import programs


def main() -> int:
    """Returns the exit code."""
    try:
        programs.ensure()
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(programs.version())
    return 0


if __name__ == "__main__":
    sys.exit(main())
