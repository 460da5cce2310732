"""`delete-runs`: deletes runs for good. It first shows how many."""

from __future__ import annotations

from dynamiq_operator.cli import confirm, parsing, run_arguments
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.cli.recorder import RecorderClient
from dynamiq_operator.model.recorder import COUNTED


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "It shows how many there are, and asks.",
        (
            "support --before 720h --preview",
            "support --before 2026-11-01",
            "support --user-id u-7 --yes",
            "--app-id 9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11 --user-id u-7",
        ),
        f"{parsing.EXITS}; 2 also without a terminal and --yes",
    )
    command.check = run_arguments.wrong_of_app
    run_arguments.add_app_or_id(command)
    chosen = command.add_mutually_exclusive_group(required=True)
    chosen.add_argument(
        "--before", type=parsing.moment, metavar="TIME", help="runs before this time or date, or longer ago than this, such as 30d"
    )
    run_arguments.add_callers(chosen)
    parsing.add_preview_flags(command)


def run(context: CommandContext) -> int:
    options = context.options
    recorder = RecorderClient(context)
    path = f"{recorder.chosen_app()}/runs"
    app = options.app or options.app_id
    chosen, counted, which = _chosen(context)
    count = recorder.count(path, [counted])
    many = f"{count}{' or more' if count >= COUNTED else ''} run{'s' if count != 1 else ''}"
    lines = [
        f"delete {many} of {app} in {context.namespace}: {which}"
        if options.app
        else f"delete {many} of the App with the id {app}: {which}",
        "  with their contents and scores; they cannot be restored",
    ]
    named = {"namespace": context.namespace, "app": app} if options.app else {"app_id": app}
    data = {**named, "runs": count, chosen[0]: chosen[1]}
    if not confirm.agreed(context, lines, data):
        return confirm.nothing_done(context)
    deleted = recorder.delete(path, chosen)
    if not context.print_data({"deleted": deleted}):
        context.err.lines([f"runs of {safe(app)} that are deleted: {deleted}"])
    return 0


def _chosen(context: CommandContext) -> tuple[tuple[str, str], tuple[str, str], str]:
    """Returns the filter to delete by, the same filter for a list, and both in words."""
    options = context.options
    if options.before is not None:
        return ("before", options.before), ("to", options.before), f"that began before {options.before}"
    if options.session is not None:
        return ("session_id", options.session), ("session_id", options.session), f"of session {options.session}"
    return ("user_id", options.user_id), ("user_id", options.user_id), f"of user {options.user_id}"
