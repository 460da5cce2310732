"""`score`: gives a run a score."""

from __future__ import annotations

from dynamiq_operator.cli import parsing, run_arguments
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.cli.recorder import RecorderClient


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "A second score of the same name by you replaces the first. `compare` shows their mean by row.",
        ("9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11 helpful 1", "9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11 tone -0.5 --comment 'too short'"),
    )
    command.add_argument("run", type=run_arguments.run_id, metavar="RUN", help="id of the run")
    command.add_argument("name", metavar="NAME", help="what the score measures, such as helpful")
    command.add_argument("value", type=run_arguments.number, metavar="VALUE", help="a number")
    command.add_argument("--comment", metavar="TEXT", help="why")
    run_arguments.add_app_id(command)
    parsing.output(command)


def run(context: CommandContext) -> int:
    options = context.options
    body = {"name": options.name, "value": options.value, **({"comment": options.comment} if options.comment is not None else {})}
    query = [("app_id", options.app_id)] if options.app_id is not None else []
    made = RecorderClient(context).score(options.run, query, body)
    if not context.print_data(made):
        context.out.lines([safe(f"run {options.run} has the score {made['name']} {made['value']:g} by {made['by']}")])
    return 0
