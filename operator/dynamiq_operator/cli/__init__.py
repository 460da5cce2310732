"""`kubectl dynamiq`: history, deploy, rollback, promote and the rest from a terminal.

It separates kubectl's own flags and starts kubectl before it imports anything else: kubectl starts while Python imports.
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
                connection.start()
            from dynamiq_operator.cli import program

            return program.run(given, connection)
    except KeyboardInterrupt:
        return 130
