"""The context with which every command works."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import output
from dynamiq_operator.model.text import plugin_command

# Every command imports this module, also for the completion of its options, which needs neither HTTP nor the models.
if TYPE_CHECKING:
    import argparse

    from dynamiq_operator.cli.connection import Connection
    from dynamiq_operator.cli.kubectl_flags import CommandLine
    from dynamiq_operator.cli.output import Screen
    from dynamiq_operator.cli.transport import Transport
    from dynamiq_operator.model.objects import App, Manifest


class NobodyToAsk(Refusal):
    """The command needs a confirmation, and standard input is not a terminal."""


@dataclass
class CommandContext:
    """One call of a command: its options, the API server, and where to print."""

    command_line: CommandLine
    options: argparse.Namespace
    connection: Connection
    api: Transport
    out: Screen
    err: Screen
    elsewhere: str = ""
    """The context of the kubeconfig, if `api` leads to another cluster than the one given to the command."""

    def see(self, app: str, namespace: str) -> str:
        """Returns the command that shows an App."""
        return plugin_command(f"status {app}", namespace, self.elsewhere or self.command_line.value_of("--context"))

    def hint(self, words: str) -> str:
        """Returns a command of the plugin for the namespace and the context of this call. Raises NotConnected."""
        return plugin_command(words, self.namespace, self.command_line.value_of("--context"))

    def find_app(self) -> App:
        """Returns the App that the command names. Raises Unknown and kube.errors.ApiError."""
        from dynamiq_operator.actions.reads import find_app  # imports the models

        return find_app(self.api, self.namespace, self.options.app)

    def find_row(self, row: str) -> Manifest:
        """Returns a row of that App by its sequence or name. Raises Unknown and kube.errors.ApiError."""
        from dynamiq_operator.actions.reads import find_row  # imports the models
        from dynamiq_operator.kube.app_objects import uid_of

        uid = uid_of(self.api, self.namespace, self.options.app)
        return find_row(self.api, self.namespace, self.options.app, uid, row)

    def print_data(self, data: Any, names: Iterable[str] | None = None) -> bool:
        """Prints data as `-o` asks for it, or `names` for `-o name`. Returns False, and prints nothing, if the output is for people."""
        how = self.options.output
        if how == "name" and names is not None:
            self.out.lines(names)
        elif output.is_data(how):
            self.out.lines([output.formatted(data, how)])
        else:
            return False
        return True

    @cached_property
    def namespace(self) -> str:
        """The namespace to work in. Raises NotConnected."""
        return self.connection.namespace()
