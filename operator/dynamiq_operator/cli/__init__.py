"""`kubectl dynamiq`: history, deploy, rollback, promote and the rest from a terminal.

kubectl's own flags are set apart and the connection is begun before anything else is imported: both take time, side by side.
"""

from __future__ import annotations

import sys

from dynamiq_operator.cli import kubectl_flags
from dynamiq_operator.cli.connection import Connection


def main() -> int:
    """The plugin's entry; returns the exit code."""
    given = kubectl_flags.split(sys.argv[1:])
    try:
        with Connection(given) as connection:
            if given.needs_cluster:
                connection.begin()
            from dynamiq_operator.cli import program

            return program.run(given, connection)
    except KeyboardInterrupt:
        return 130
