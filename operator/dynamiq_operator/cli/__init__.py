"""`kubectl dynamiq`: the plugin's entry. It separates kubectl's own flags, starts kubectl, and only then imports the commands."""

from __future__ import annotations

import atexit
import gc
import sys

from dynamiq_operator.cli import kubectl_flags
from dynamiq_operator.cli.connection import Connection

OBJECTS = 100_000
"""New objects after which garbage is searched. Python's default, 700, is for programs that run for long."""


def main() -> int:
    """Runs the plugin; returns the exit code."""
    # The objects of imports are no garbage. A search through them, again and again and at exit, takes a fifth of a preview's CPU.
    gc.set_threshold(OBJECTS)
    atexit.register(gc.freeze)
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
