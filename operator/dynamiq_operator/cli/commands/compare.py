"""`compare`: compares the runs of a row with those of an earlier one. With --exit-code the exit code is the result, for scripts."""

from __future__ import annotations

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import Table, safe
from dynamiq_operator.cli.recorder import RecorderClient
from dynamiq_operator.model.recorder import Verdict
from dynamiq_operator.views import runs as view

REGRESSED, UNDECIDED = 3, 4
"""Exit codes with --exit-code."""
PREVIOUS = "previous"
EXITS = (
    "exit codes: 0 done, 1 it failed or was refused, 2 wrong usage, 130 interrupted; with --exit-code also 3 it regressed, 4 too few runs,"
    " or no row to compare it with"
)


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "The default row is the live one; the default baseline is the row that went live before it. A ratio over 1 is more than"
        " before; one with 1 inside its 95 % interval may be chance. A row needs 30 runs to be compared, and 60 for its p95.",
        ("support", "support 12", "support 12 9", "support 12 --exit-code", "support -o jsonpath='{.verdict}'"),
        EXITS,
    )
    parsing.app(command)
    command.add_argument("row", metavar="ROW", nargs="?", help="the row to compare, by its sequence or name (default: the live one)")
    command.add_argument("baseline", metavar="ROW", nargs="?", help="the baseline (default: the row that went live before it)")
    command.add_argument("--exit-code", action="store_true", help="exit with 3 if it regressed, with 4 if there are too few runs")
    parsing.output(command)


def run(context: CommandContext) -> int:
    options = context.options
    recorder = RecorderClient(context)
    row = _uid(context, options.row if options.row is not None else _live(context, recorder))
    baseline = _uid(context, options.baseline) if options.baseline is not None else PREVIOUS
    comparison = recorder.data(f"{recorder.app(options.app)}/deployments/{row}/comparison", [("baseline", baseline)])
    if not context.print_data(comparison):
        _print(context, comparison)
    if not options.exit_code:
        return 0
    return {Verdict.REGRESSED: REGRESSED, Verdict.IMPROVED: 0, Verdict.UNCHANGED: 0}.get(comparison["verdict"], UNDECIDED)


def _live(context: CommandContext, recorder: RecorderClient) -> str:
    if (row := recorder.live_row(context.options.app)) is None:
        raise Refusal(f"nothing of {context.options.app} is live: name a row of {context.hint(f'history {context.options.app} -o wide')}")
    return row


def _uid(context: CommandContext, row: str) -> str:
    return str(context.find_row(row)["metadata"]["uid"])


def _print(context: CommandContext, comparison: view.Data) -> None:
    row, baseline = comparison["deployment"], comparison["baseline"]
    header = ("", _title(row), _title(baseline) if baseline else view.UNKNOWN, "RATIO", "95 % INTERVAL", "VERDICT")
    rows = [[safe(cell) for cell in line] for line in view.compared(comparison)]
    rows += [[f"score {safe(name)}", *cells, "", "", ""] for name, cells in _scores(row, baseline)]
    table = Table([safe(name) for name in header], rows, context.out, status="VERDICT")
    context.out.lines([*table.lines(), "", f"{view.verdict(comparison['verdict'])}: {safe(comparison['sentence'])}"])


def _title(row: view.Data) -> str:
    return f"#{row['sequence']} {row['workflow_version']}"


def _scores(row: view.Data, baseline: view.Data | None) -> list[tuple[str, tuple[str, str]]]:
    means = [row["score_means"], baseline["score_means"] if baseline else {}]
    names = sorted({name for each in means for name in each})
    return [(name, (_mean(means[0], name), _mean(means[1], name))) for name in names]


def _mean(means: view.Data, name: str) -> str:
    return f"{means[name]:.2f}" if name in means else view.UNKNOWN
