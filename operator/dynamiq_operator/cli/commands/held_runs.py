"""`restart-runs`, `release-runs`: begin held background runs of an App again on what is live, or let them go on. They first show which."""

from __future__ import annotations

import argparse

from dynamiq_operator.cli import chosen_runs, confirm, parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.cli.recorder import JOURNAL, RecorderClient

RESTART = "restart-runs"


def add_arguments(command: parsing.Parser) -> None:
    how = (
        "Nodes that ended run again, and answers are dropped: the run begins again with its input, on what the App serves now. "
        "A run that is named may also be queued, such as for pods whose image is gone."
        if command.prog.endswith(RESTART)
        else "Each goes on where it was, on the version that it began with. Runs of a rejected version stay held."
    )
    parsing.describe(
        command,
        f"{how} It shows which runs these are, and asks. Others stay as they are.",
        ("support 9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11", "support --all-held --preview", "support --all-held --yes"),
        parsing.NO_OP_EXITS,
    )
    command.check = _wrong
    chosen_runs.add_arguments(command, "--all-held", "all held runs of the App")


def _wrong(options: argparse.Namespace) -> str:
    return chosen_runs.wrong(options, every=options.all_held, words="all that are held by --all-held")


def run(context: CommandContext) -> int:
    options = context.options
    journal = RecorderClient(context, JOURNAL)
    path = f"{journal.app(options.app)}/runs"
    chosen = chosen_runs.chosen(context, journal, path, every=options.all_held)
    is_restart = options.command == RESTART
    states = ("held", "queued") if is_restart and not options.all_held else ("held",)
    runs = [each for each in chosen if each["state"] in states]
    if not runs:
        context.print_data([], ())
        others = ", ".join(safe(f"{each['id']} is {each['state']}") for each in chosen) if not options.all_held else ""
        context.err.lines([f"no background run of {safe(options.app)} is {' or '.join(states)}{f': {others}' if others else ''}"])
        return 0
    verb = "restart" if is_restart else "release"
    body, on = _live_pins(context) if is_restart else ({}, "")
    data = {"namespace": context.namespace, "app": options.app, "runs": [each["id"] for each in runs], **body}
    if not confirm.agreed(context, chosen_runs.preview(context, verb, runs, on), data):
        return confirm.nothing_done(context)
    done = [journal.change(f"{path}/{each['id']}", verb, body) for each in runs]
    if not context.print_data(done, (safe(each["id"]) for each in done)):
        context.err.lines([f"background runs of {safe(options.app)}: {len(done)} {'begin again' if is_restart else 'released'}"])
    return 0


def _live_pins(context: CommandContext) -> tuple[dict[str, str], str]:
    """Returns the pins that the App serves, and their row in words."""
    from dynamiq_operator.actions.running import app_manifest, live_pins

    app = app_manifest(context.api, context.namespace, context.options.app)
    pins, live = live_pins(context.api, app), app["status"]["live"]
    return pins, f" on {live['workflowVersion']} (#{live['sequence']})"
