"""`runs`: prints the runs of an App that match the options, as a table, data or an export."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

from dynamiq_operator.cli import background_runs, output, parsing, run_arguments
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.new_runs import OVERTAKEN, WATCHED_MOST, NewRuns
from dynamiq_operator.cli.output import Table, safe
from dynamiq_operator.cli.recorder import Query, RecorderClient
from dynamiq_operator.model.recorder import RunSort, RunStatus
from dynamiq_operator.views import runs as view

COLUMNS = ("RUN", "STARTED", "STATUS", "DURATION", "TOKENS", "COST", "ROW", "TRIGGER")
WIDE = ("VERSION", "MODELS", "SESSION", "USER", "TAGS", "REASON")
EVERY = 2.0
"""Seconds between two checks for new runs, at least."""
SORTS = {sort.name.lower(): sort for sort in RunSort}
OPEN_SORTS = {"newest": "-accepted_at", "oldest": "accepted_at"}
"""Orders of open background runs, as the journal names them."""
OF_RECORDED = (
    "row",
    "version",
    "status",
    "trigger",
    "tag",
    "model",
    "error",
    "since",
    "until",
    "min_duration",
    "min_cost",
    "content",
    "watch",
)
"""Options that only recorded runs have."""


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "TOKENS are those of input and output; a cost that is partly unknown begins with ≥. -o wide adds version, models,"
        " session, user, tags and the reason of a failure. -o jsonl is an export, the oldest first: each matching run, complete, on a"
        " line of its own. --watch reads every two seconds, or less often if a read takes longer. It misses a run that"
        f" ends over a day after it began, or after {OVERTAKEN} that began later, and all but the newest {WATCHED_MOST} of one read.",
        (
            "support --since 1h --status failed --status timed_out",
            "support --row 12 --sort slowest --limit 10",
            "support --session s-81 -o wide",
            "support --min-duration 5s --model gpt-4o -o json",
            "support --since 7d --content -o jsonl | gzip > runs.jsonl.gz",
            "support --watch",
            "support --open",
            "--app-id 9c1c0b52-8f0f-4a35-9e7c-6a2f0c0d7d11 --user-id u-7",
        ),
    )
    command.check = _wrong
    run_arguments.add_app_or_id(command)
    command.add_argument("--row", metavar="ROW", help="of this row, by its sequence (12) or its name")
    command.add_argument("--version", metavar="VERSION", help="of this version, such as v4")
    statuses = [each.value for each in RunStatus]
    says = f"with this status: {', '.join(statuses)}; repeatable"
    command.add_argument("--status", action="append", choices=statuses, metavar="STATUS", help=says)
    run_arguments.add_callers(command)
    command.add_argument("--trigger", metavar="NAME", help="started by this trigger")
    command.add_argument("--tag", action="append", metavar="TAG", help="with this tag; repeatable, for runs with all of them")
    command.add_argument("--model", metavar="MODEL", help="that called this model")
    command.add_argument("--error", metavar="TEXT", help="with this in the error's text, in any case")
    run_arguments.add_period(command)
    command.add_argument("--min-duration", type=parsing.duration, metavar="TIME", help="that took at least this long, such as 500ms or 5s")
    command.add_argument("--min-cost", type=_amount, metavar="USD", help="that cost at least this much, such as 0.05")
    command.add_argument("--sort", choices=list(SORTS), metavar="ORDER", help=f"{', '.join(SORTS)} (default: newest)")
    parsing.limit(command, f"most to show (default: {run_arguments.SHOWN}; of -o jsonl all)")
    command.add_argument("--content", action="store_true", help=f"of -o jsonl: {run_arguments.CONTENT}")
    command.add_argument("-w", "--watch", action="store_true", help="keep running, and print each run when it ends")
    command.add_argument(
        "--open",
        action="store_true",
        help="show the background runs that have not ended, with the row that each ends on; of the filters, --session and --user-id apply",
    )
    parsing.output(command, "wide", "name", "jsonl")


def _wrong(options: argparse.Namespace) -> str:
    if options.open and (wrong := _wrong_open(options)):
        return wrong
    is_export = options.output == "jsonl" and not options.watch
    if is_export and options.sort is not None:
        return "leave out --sort: -o jsonl lists the oldest run first"
    if options.content and not is_export:
        return "--content needs -o jsonl, without --watch"
    if options.app_id is not None and options.row is not None:
        return "leave out --row: the rows of a deleted App are deleted, too"
    return run_arguments.wrong_of_app(options)


def _wrong_open(options: argparse.Namespace) -> str:
    if others := [f"--{name.replace('_', '-')}" for name in OF_RECORDED if getattr(options, name)]:
        return f"leave out {', '.join(others)}: --open lists no recorded runs"
    if options.sort not in (None, *OPEN_SORTS):
        return f"with --open, --sort is {' or '.join(OPEN_SORTS)}"
    return "-o jsonl does not go with --open" if options.output == "jsonl" else ""


def _amount(text: str) -> float:
    if (amount := run_arguments.number(text)) < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {text}")
    return amount


def run(context: CommandContext) -> int:
    options = context.options
    query = _query(context)
    if options.open:
        return background_runs.show_open(context, [*query, ("sort", OPEN_SORTS[options.sort or "newest"])])
    recorder = RecorderClient(context)
    path = f"{recorder.chosen_app()}/runs"
    if options.output == "jsonl" and not options.watch:
        return _export(context, recorder, path, query)
    sort = [("sort", SORTS[options.sort or "newest"].value)]
    # Before the list is read: a run that arrives between the two is shown then, and would be missed in the other order.
    new = NewRuns(recorder, path, query) if options.watch else None
    runs = list(recorder.listed(path, [*query, *sort], options.limit or run_arguments.SHOWN))
    table = _table(context, runs)
    if new is not None:
        _print(context, table, runs[::-1] if options.sort is None else runs)
        new.know(runs)
        _follow(context, new, table)
    elif output.is_data(options.output):
        context.out.lines([output.formatted(runs, options.output)])
    elif not runs:
        context.err.lines([f"no run of {safe(options.app or options.app_id)} is recorded{' that matches these options' if query else ''}"])
    else:
        _print(context, table, runs)
    return 0


def _query(context: CommandContext) -> Query:
    options = context.options
    filters: dict[str, Any] = {
        "deployment_id": context.find_row(options.row)["metadata"]["uid"] if options.row is not None else None,
        "workflow_version": options.version,
        "session_id": options.session,
        "user_id": options.user_id,
        "trigger": options.trigger,
        "model": options.model,
        "error": options.error,
        "from": options.since,
        "to": options.until,
        "min_duration_ms": options.min_duration and options.min_duration * 1000,
        "min_cost_usd": options.min_cost,
    }
    query = [(name, str(value)) for name, value in filters.items() if value is not None]
    return query + [("status", each) for each in options.status or ()] + [("tag", each) for each in options.tag or ()]


def _export(context: CommandContext, recorder: RecorderClient, path: str, query: Query) -> int:
    """Prints each run as it arrives; holds none in memory."""
    options = context.options
    lines = recorder.lines(f"{path}.jsonl", [*query, *([("include", "content")] if options.content else [])])
    for count, line in enumerate(lines):
        if options.limit is not None and count >= options.limit:
            break
        context.out.write(output.in_ascii(line.decode(errors="replace").rstrip("\n")) + "\n")
    return 0


def _table(context: CommandContext, runs: Sequence[view.Data]) -> Table:
    is_wide = context.options.output == "wide"
    header = [*COLUMNS, *(WIDE if is_wide else ())]
    return Table(header, [_cells(each, is_wide) for each in runs], context.out, cut="" if is_wide else "TRIGGER", status="STATUS")


def _print(context: CommandContext, table: Table, runs: Sequence[view.Data]) -> None:
    if not output.is_data(context.options.output) and context.options.output not in ("name", "jsonl"):
        context.out.lines([table.header()])
    context.out.lines(_line(context, table, each) for each in runs)


def _line(context: CommandContext, table: Table, run_: view.Data) -> str:
    how = context.options.output
    if how == "name":
        return safe(run_["id"])
    if how in ("json", "jsonl"):
        return output.as_json(run_, compact=True)
    if output.is_data(how):
        return f"---\n{output.as_yaml(run_)}" if how == "yaml" else output.formatted(run_, how)
    return table.row(_cells(run_, how == "wide"))


def _cells(run_: view.Data, is_wide: bool) -> list[str]:
    cells = [
        run_["id"],
        view.at_second(run_["started_at"]),
        run_["status"],
        view.milliseconds(run_["duration_ms"]),
        view.tokens(run_),
        view.dollars(run_["cost_usd"], run_["unpriced_calls"]),
        view.row_of(run_),
        run_["trigger"] or "",
    ]
    if is_wide:
        cells += [run_["workflow_version"], ",".join(run_["models"]), run_["session_id"], run_["user_id"], ",".join(run_["tags"])]
        cells.append(run_["error"] or run_["reason"])
    return [safe(cell or "") for cell in cells]


def _follow(context: CommandContext, new: NewRuns, table: Table) -> None:
    """Prints each new run; until interrupted."""
    took = 0.0
    while True:
        context.api.patience.heard()
        # Waits as long as a check took, so that the recorder is busy with it half of the time at most.
        time.sleep(max(EVERY, took))
        began = time.monotonic()
        runs = new.read()
        took = time.monotonic() - began
        context.out.lines(_line(context, table, each) for each in runs)
