"""`sessions`: prints the sessions of an App: its runs grouped by the session that callers named, or open conversations by row."""

from __future__ import annotations

import argparse

from dynamiq_operator.cli import background_runs, parsing, run_arguments
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import Table, safe
from dynamiq_operator.cli.recorder import PAGE_MOST, RecorderClient
from dynamiq_operator.views import runs as view

COLUMNS = ("SESSION", "USER", "RUNS", "FAILED", "FIRST", "LAST", "TOKENS", "COST")
OF_RECORDED = ("user_id", "since", "until", "limit")
"""Options that only sessions of recorded runs have."""


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "Callers name a session by the header X-Dynamiq-Session-Id. Without --by-row these are the sessions of recorded runs. With it they are"
        " counts of the conversations of an App with spec.sessions that are open now, by the row that answers them: OPEN had a turn within"
        " idleSeconds, RECENT within warmSeconds; MOVED went to another row, since theirs was rejected, reverted or taken over. They come from the journal, which has no names of sessions.",
        ("support --since 24h", "support --user-id u-7 -o json", "support --by-row"),
    )
    command.check = _wrong
    parsing.app(command)
    command.add_argument("--by-row", action="store_true", help="show how many conversations are open, by the row that answers them")
    command.add_argument("--user-id", metavar="USER", help="of this user")
    run_arguments.add_period(command)
    parsing.limit(command, f"most to show (default: {run_arguments.SHOWN})")
    parsing.output(command, "name")


def _wrong(options: argparse.Namespace) -> str:
    others = [f"--{name.replace('_', '-')}" for name in OF_RECORDED if getattr(options, name)]
    return f"leave out {', '.join(others)}: --by-row shows what is open now" if options.by_row and others else ""


def run(context: CommandContext) -> int:
    options = context.options
    if options.by_row:
        return background_runs.show_conversations(context)
    recorder = RecorderClient(context)
    filters = {"user_id": options.user_id, "from": options.since, "to": options.until}
    query = [(name, value) for name, value in filters.items() if value is not None]
    sessions = _read_sessions(recorder, f"{recorder.app(options.app)}/sessions", query, options.limit or run_arguments.SHOWN)
    if context.print_data(sessions, (safe(each["session_id"]) for each in sessions)):
        return 0
    if not sessions:
        context.err.lines([f"no run of {safe(options.app)} names a session{' that matches these options' if query else ''}"])
    else:
        context.out.lines(Table(COLUMNS, [_cells(each) for each in sessions], context.out).lines())
    return 0


def _read_sessions(recorder: RecorderClient, path: str, query: list[tuple[str, str]], most: int) -> list[view.Data]:
    """Reads up to `most` sessions. Their pages have numbers and no cursor."""
    sessions: list[view.Data] = []
    size = min(most, PAGE_MOST)
    while len(sessions) < most:
        page = [("page", str(len(sessions) // size + 1)), ("page_size", str(size))]
        batch = recorder.data(path, [*query, *page])
        sessions += batch
        if len(batch) < size:
            break
    return sessions[:most]


def _cells(session: view.Data) -> list[str]:
    cells = [
        session["session_id"],
        session["user_id"] or "",
        session["runs"],
        session["failed"],
        view.at_second(session["first_at"]),
        view.at_second(session["last_at"]),
        view.tokens(session),
        view.dollars(session["cost_usd"], session["unpriced_calls"]),
    ]
    return [safe(cell) for cell in cells]
