"""Reads the background runs that a command is about, by their ids or all open ones, and shows them before it acts. It changes none."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from dynamiq_operator.cli import background_runs, parsing, run_arguments
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.recorder import RecorderClient
from dynamiq_operator.views import background_runs as view

SHOWN = 20
"""Runs that the preview names, at most."""


def add_arguments(command: parsing.Parser, every: str, help: str) -> None:  # noqa: A002 - argparse's own name
    """Adds the App, its runs, and the flag `every`, which stands for several of them."""
    parsing.app(command)
    command.add_argument("run", type=run_arguments.run_id, metavar="RUN", nargs="*", help="ids of the runs: `runs APP --open` shows them")
    command.add_argument(every, action="store_true", help=help)
    parsing.add_preview_flags(command)


def wrong(options: argparse.Namespace, *, every: bool, words: str) -> str:
    """Returns what is wrong: neither runs nor the flag are given, or both; empty if nothing is. `words`: the flag in words."""
    return f"name the runs, or {words}" + (", not both" if options.run else "") if bool(options.run) is every else ""


def chosen(context: CommandContext, journal: RecorderClient, path: str, *, every: bool) -> list[view.Data]:
    """Returns the runs by their ids; all open ones if `every`."""
    if every:
        return list(journal.paged(path, [background_runs.OPEN], parsing.LIMIT_MOST))
    return [journal.data(f"{path}/{each}") for each in dict.fromkeys(context.options.run)]


def preview(context: CommandContext, verb: str, runs: Sequence[view.Data], on: str = "") -> Iterator[str]:
    """Yields what would be done with which runs. `on`: where they go on, in words."""
    yield f"{verb} {len(runs)} background run{'s' if len(runs) != 1 else ''} of {context.options.app} in {context.namespace}{on}"
    for each in runs[:SHOWN]:
        yield f"  {each['id']} {view.state_of(each)}" + (f", at node {each['node']}" if each["node"] else "")
    if len(runs) > SHOWN:
        yield f"  and {len(runs) - SHOWN} more"
