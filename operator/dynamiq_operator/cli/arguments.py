"""The plugin's command line: its commands, whose arguments stand in their own modules, and the help of all."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from dynamiq_operator import __version__
from dynamiq_operator.cli import parsing

COMMANDS = {
    "list": "show the Apps: what each serves, whether it is ready, and its hostname",
    "version": "show the versions of the plugin, the operator, its resources and the cluster",
    "history": "show the rows of an App, the newest first",
    "status": "show what an App serves, what is being deployed, and how its pods are",
    "diff": "show what changed from one row to another",
    "verify": "verify that nobody changed or removed a row of an App's history",
    "deploy": "deploy a version of an App: one more row",
    "rollback": "bring back what an App ran before: one more row",
    "promote": "deploy what an App serves here to another environment of its project",
    "release": "release the draft of a workflow as its next version",
    "sync": "print the change of spec.deploy by which Git says what is live",
    "logs": "print what the pods of an App log",
    "invoke": "call an App, and print what it answers",
    "keys": "list, create or revoke the Access Keys of an App",
    "open": "print the address of an App, and open it on a desktop",
    "approve": "agree to the deploy of a row that waits",
    "resume": "let go on what is held after a rollback or a freeze",
    "reject": "refuse a row that waits: it is never deployed",
    "withdraw": "take a row of your own back that waits",
    "reject-version": "say that nobody is to deploy a version, or take that back",
    "suspend": "deploy nothing of an App until that is taken off",
    "policy": "say what would hold a deploy of an App now, and until when",
    "runs": "show the runs of an App, the newest first",
    "run": "show one run: its figures, and its nodes with their times, tokens and cost",
    "compare": "say whether a row made an App slower, dearer or more often fail, by its runs",
    "sessions": "show the sessions of an App, that of the newest run first",
    "score": "say what you think of a run, as a number",
    "delete-runs": "delete runs of an App for good, with their contents and scores",
    "report": "report the deploys of a time: by whom, approved by whom, how they ended, and whether nobody changed the histories",
    "at": "show what was live at a time",
}
"""The summary of each command, in the order of the help. Its module in `commands` has `add_arguments` and `run`."""


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the whole command line, without kubectl's own flags. A command's module is imported once its parser is used."""
    made = parsing.Parser(
        prog=parsing.PROG,
        description="Every deploy of an App is a row of its history; rolling back is one more row.",
        epilog=f"{parsing.KUBECTL}. {parsing.EXITS}. `{parsing.PROG} COMMAND --help` has examples."
        " The variable KUBECTL names another kubectl than that of the PATH; NO_COLOR takes the colours.",
        allow_abbrev=False,
    )
    version = f"{parsing.PROG} {__version__}"
    made.add_argument(
        "--version", action="version", version=version, help="print the plugin's own version; `version` has the cluster's, too"
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=parsing.Parser)
    for name, summary in COMMANDS.items():
        parsing.add_command(commands, name, summary, partial(_add_arguments, name))
    return made


def _add_arguments(name: str, command: parsing.Parser) -> None:
    module_of(name).add_arguments(command)


def module_of(command: str) -> Any:
    """Returns the module of a command; imports no other command's."""
    return import_module(f"dynamiq_operator.cli.commands.{command.replace('-', '_')}")


def options(made: argparse.ArgumentParser, wanted: Callable[[argparse.Action], bool] = lambda _: True) -> dict[str, str]:
    """Returns the option strings of a parser with their help."""
    return {option: action.help or "" for action in made._actions if wanted(action) for option in action.option_strings}


def commands_of(made: argparse.ArgumentParser, *names: str) -> dict[str, argparse.ArgumentParser]:
    """Returns the parsers of these commands, or of all, by name, with their arguments."""
    parsers = next(action.choices for action in made._actions if isinstance(action, argparse._SubParsersAction))
    chosen = {name: parsers[name] for name in names or parsers}
    for each in chosen.values():
        if isinstance(each, parsing.Parser):
            each.complete()
    return chosen


def parser_of(command: str) -> argparse.ArgumentParser:
    """Returns the parser of a command; imports no other command's module."""
    return commands_of(parser(), command)[command]
