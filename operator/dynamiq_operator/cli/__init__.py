"""`kubectl dynamiq`: the plugin's entry. It separates kubectl's own flags, starts kubectl, and only then imports the commands."""

from __future__ import annotations

import sys

from dynamiq_operator.cli import kubectl_flags
from dynamiq_operator.cli.connection import Connection


def main() -> int:
    """Runs the plugin; returns the exit code."""
    command_line = kubectl_flags.split(sys.argv[1:])
    # kubectl starts while Python imports the rest: import nothing more above this line.
    try:
        with Connection(command_line) as connection:
            if command_line.needs_cluster:
                connection.start()
            from dynamiq_operator.cli import program

            return program.run(command_line, connection)
    except KeyboardInterrupt:
        return 130
