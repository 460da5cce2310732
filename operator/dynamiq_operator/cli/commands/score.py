"""`score`: gives a run a score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.cli import output
from dynamiq_operator.cli.output import safe
from dynamiq_operator.cli.recorder import Recorder

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def run(context: CommandContext) -> int:
    options = context.options
    body = {"name": options.name, "value": options.value, **({"comment": options.comment} if options.comment is not None else {})}
    query = [("app_id", options.app_id)] if options.app_id is not None else []
    made = Recorder(context).score(options.run, query, body)
    if output.is_data(options.output):
        context.out.lines([output.formatted(made, options.output)])
    else:
        context.out.lines([safe(f"run {options.run} has the score {made['name']} {made['value']:g} by {made['by']}")])
    return 0
