"""`cancel`: cancels background runs of an App. It first shows which."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from dynamiq_operator.cli import chosen_runs, confirm, parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.cli.recorder import JOURNAL, RecorderClient
from dynamiq_operator.views import background_runs as view


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "A run that no pod has ends at once, another one at its next node. It shows which runs these are, and asks. Those that had ended"
        " stay as they are.",
        (
            "support 9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11",
            "support --all-open --preview",
            "support --all-open --yes",
        ),
        parsing.NO_OP_EXITS,
    )
    command.check = _wrong
    chosen_runs.add_arguments(command, "--all-open", "all runs of the App that have not ended")


def _wrong(options: argparse.Namespace) -> str:
    return chosen_runs.wrong(options, every=options.all_open, words="all of them by --all-open")


def run(context: CommandContext) -> int:
    options = context.options
    journal = RecorderClient(context, JOURNAL)
    path = f"{journal.app(options.app)}/runs"
    chosen = chosen_runs.chosen(context, journal, path, every=options.all_open)
    runs = [each for each in chosen if each["ended_at"] is None]
    if not runs:
        context.print_data([], ())
        context.err.lines([f"no background run of {safe(options.app)} is open" if options.all_open else _ended(chosen)])
        return 0
    data = {"namespace": context.namespace, "app": options.app, "runs": [each["id"] for each in runs]}
    if not confirm.agreed(context, chosen_runs.preview(context, "cancel", runs), data):
        return confirm.nothing_done(context)
    canceled = [journal.change(f"{path}/{each['id']}", "cancel") for each in runs]
    if not context.print_data(canceled, (safe(each["id"]) for each in canceled)):
        later = sum(each["ended_at"] is None for each in canceled)
        context.err.lines([f"background runs of {safe(options.app)}: {len(canceled) - later} canceled, {later} to end at the next node"])
    return 0


def _ended(runs: Sequence[view.Data]) -> str:
    return "nothing to cancel: " + ", ".join(safe(f"{each['id']} {each['status']}") for each in runs)
