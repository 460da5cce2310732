"""What every command works with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli.connection import Connection
from dynamiq_operator.cli.kubectl_flags import CommandLine
from dynamiq_operator.cli.output import Screen
from dynamiq_operator.cli.transport import Transport

if TYPE_CHECKING:
    import argparse


class NobodyToAsk(Refusal):
    """The command has to ask before it does anything, and standard input is no terminal."""


@dataclass
class CommandContext:
    """One call of a command: its options, the API server, and where to print."""

    given: CommandLine
    options: argparse.Namespace
    connection: Connection
    api: Transport
    out: Screen
    err: Screen
    elsewhere: str = ""
    """The context, where `api` leads to another cluster than the one that the command was given."""

    def see(self, app: str, namespace: str) -> str:
        """The command that shows an App."""
        return f"`kubectl dynamiq status {app} -n {namespace}{f' --context {self.elsewhere}' if self.elsewhere else ''}`"

    @cached_property
    def namespace(self) -> str:
        """The namespace to work in. Raises NotConnected."""
        return self.connection.namespace()
