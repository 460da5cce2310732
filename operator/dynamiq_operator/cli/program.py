"""Runs one command; turns an error into one message with the next step, and an exit code."""

from __future__ import annotations

import os
import sys

from dynamiq_operator.actions.refusals import Changed, Refusal
from dynamiq_operator.cli import arguments
from dynamiq_operator.cli.connection import Connection, NotConnected
from dynamiq_operator.cli.context import CommandContext, NobodyToAsk
from dynamiq_operator.cli.kubectl_flags import CommandLine
from dynamiq_operator.cli.output import Screen, safe
from dynamiq_operator.cli.patience import Patience
from dynamiq_operator.cli.transport import Transport, error_message
from dynamiq_operator.kube.errors import ApiError

REFUSED, USAGE, CHANGED, CLOSED_PIPE = 1, 2, 4, 141
TRACEBACK = "KUBECTL_DYNAMIQ_TRACEBACK"


def run(command_line: CommandLine, connection: Connection) -> int:
    """Parses the arguments and runs the command; returns the exit code."""
    # Searching for plugins of pydantic takes as long as a request.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    parser = arguments.parser()
    rest = list(command_line.rest)
    if not rest or rest[0] == "help":
        parser.parse_args([*rest[1:2], "--help"])
    options = parser.parse_args(rest)
    if command_line.lacks_value is not None:
        parser.error(f"argument {command_line.lacks_value}: expected one argument")
    err = Screen(sys.stderr)
    context = CommandContext(command_line, options, connection, Transport(connection, Patience(err)), Screen(sys.stdout), err)
    try:
        return int(arguments.module_of(options.command).run(context))
    except (Refusal, ApiError, NotConnected) as error:
        context.err.lines([f"error: {safe(error_message(error))}"])
        if options.command == "verify" or isinstance(error, NobodyToAsk):
            return USAGE
        return CHANGED if isinstance(error, Changed) else REFUSED
    except BrokenPipeError:
        # The buffer is flushed at exit, which would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        context.err.lines([f"error: the plugin itself failed, {safe(repr(error))}: please report it, with what {TRACEBACK}=1 shows"])
        return REFUSED
