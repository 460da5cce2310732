"""`runs`: prints the runs of an App that match the options, as a table, data or an export."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dynamiq_operator.cli import output
from dynamiq_operator.cli.new_runs import NewRuns
from dynamiq_operator.cli.output import Table, safe
from dynamiq_operator.cli.recorder import Query, Recorder
from dynamiq_operator.cli.run_arguments import SHOWN, SORTS
from dynamiq_operator.views import runs as view

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext

COLUMNS = ("RUN", "STARTED", "STATUS", "DURATION", "TOKENS", "COST", "ROW", "TRIGGER")
WIDE = ("VERSION", "MODELS", "SESSION", "USER", "TAGS", "REASON")
EVERY = 2.0
"""Seconds between two checks for new runs, at least."""


def run(context: CommandContext) -> int:
    options = context.options
    recorder = Recorder(context)
    query = _query(context)
    path = f"{recorder.chosen_app()}/runs"
    if options.output == "jsonl" and not options.watch:
        return _export(context, recorder, path, query)
    sort = [("sort", SORTS[options.sort or "newest"].value)]
    # Before the list is read: a run that arrives between the two is shown then, and would be missed in the other order.
    new = NewRuns(recorder, path, query) if options.watch else None
    runs = list(recorder.listed(path, [*query, *sort], options.limit or SHOWN))
    table = _table(context, runs)
    if new is not None:
        _print(context, table, runs[::-1] if options.sort is None else runs)
        new.know(runs)
        _follow(context, new, table)
    elif output.is_data(options.output):
        context.out.lines([output.formatted(runs, options.output)])
    elif not runs:
        context.err.lines([f"no run of {safe(options.app or options.app_id)} is recorded{' that these options take' if query else ''}"])
    else:
        _print(context, table, runs)
    return 0


def _query(context: CommandContext) -> Query:
    """Returns the recorder's query for the options."""
    options = context.options
    filters: dict[str, Any] = {
        "deployment_id": _row_id(context),
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


def _row_id(context: CommandContext) -> str | None:
    if context.options.row is None:
        return None
    from dynamiq_operator.actions.history import find_row  # imports the models

    uid: str = find_row(context.api, context.namespace, context.options.app, context.options.row)["metadata"]["uid"]
    return uid


def _export(context: CommandContext, recorder: Recorder, path: str, query: Query) -> int:
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
        runs = new.look()
        took = time.monotonic() - began
        context.out.lines(_line(context, table, each) for each in runs)
