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
    "rollback": "deploy an older row of an App again: one more row",
    "promote": "deploy what an App serves here to another environment of its project",
    "release": "release the draft of a workflow as its next version",
    "sync": "print the patch of spec.deploy that makes Git match what is live",
    "logs": "print the logs of an App's pods",
    "invoke": "call an App and print its answer",
    "keys": "list, create or revoke the Access Keys of an App",
    "open": "print the address of an App, and open it on a desktop",
    "approve": "approve a waiting row",
    "resume": "resume a waiting row, or changes from Git after a rollback",
    "reject": "reject a waiting row: it is never deployed",
    "withdraw": "withdraw a waiting row of your own",
    "reject-version": "reject a version for good, or withdraw that rejection",
    "suspend": "suspend all deploys of an App until you end that with --off",
    "policy": "show which guards would block a deploy of an App now, and until when",
    "runs": "show the runs of an App, the newest first",
    "run": "show one run: its figures, and its nodes with their times, tokens and cost, or the events and callbacks of a background run",
    "cancel": "cancel background runs of an App",
    "questions": "show what background runs ask a person, the oldest question first",
    "answer": "answer a question of a background run, or approve or deny what it asks approval for",
    "restart-runs": "begin held background runs again, on what is live now",
    "release-runs": "let held background runs go on where they were",
    "compare": "compare two rows by their runs: slower, more expensive or less reliable",
    "sessions": "show the sessions of an App, the one with the newest run first, or its open conversations by row",
    "score": "score a run, as a number",
    "delete-runs": "delete runs of an App for good, with their contents and scores",
    "report": "report the deploys of a period: authors, approvals, outcomes, and whether each history is intact",
    "at": "show what was live at a time",
}
"""The summary of each command, in the order of the help."""
MODULES = {
    **{name: name.replace("-", "_") for name in COMMANDS},
    **dict.fromkeys(("approve", "resume", "reject", "withdraw"), "approvals"),
    **dict.fromkeys(("restart-runs", "release-runs"), "held_runs"),
}
"""The module in `commands` of each command. It has `add_arguments` and `run`."""


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the whole command line, without kubectl's own flags. A command's module is imported once its parser is used."""
    made = parsing.Parser(
        prog=parsing.PROG,
        description="Every deploy of an App is a row of its history; rolling back is one more row.",
        epilog=f"{parsing.KUBECTL}. {parsing.EXITS}. `{parsing.PROG} COMMAND --help` has examples."
        " The variable KUBECTL names a kubectl that is not on the PATH; NO_COLOR turns colours off.",
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
    """Returns the module of a command; imports no other one."""
    return import_module(f"dynamiq_operator.cli.commands.{MODULES[command]}")


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
