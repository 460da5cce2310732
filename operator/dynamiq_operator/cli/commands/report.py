"""`report`: reports all deploys of a period as a table, spreadsheet, document or data, and whether the histories verify."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from dynamiq_operator.cli import output, parsing, report_arguments
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import Table, safe
from dynamiq_operator.model.archive import InCluster
from dynamiq_operator.model.manifests import format_time, parse_time
from dynamiq_operator.model.text import in_camel_case
from dynamiq_operator.views import report as view
from dynamiq_operator.views.audited import COLUMNS, TABLE

DOES_NOT_FIT = 1
EXITS = (
    "exit codes: 0 done, and every history fits; 1 it failed or was refused, or a row does not fit (named on standard error);"
    " 2 wrong usage; 130 interrupted"
)


def add_arguments(command: parsing.Parser) -> None:
    fields = ", ".join(in_camel_case(column.key) for column in COLUMNS)
    parsing.describe(
        command,
        "It lists every deploy that began in the period, the earliest first. For each App whose rows it reads, `report` computes every digest anew, as"
        " `verify` does, also of rows outside the period. -o csv is for spreadsheets: text that they would run as a formula begins with an"
        f" apostrophe. -o md is a document. -o json has since, until, fits, says, histories, and deploys with these fields: {fields}.",
        (
            "--since 2026-11-01 --until 2026-12-01",
            "--since 30d -A -o csv | tee deploys.csv",
            "support --since 7d -o md",
            "--since 24h -A -o jsonpath='{.says}'",
        ),
        EXITS,
    )
    command.check = _wrong
    report_arguments.add_apps(command)
    command.add_argument(
        "--since",
        type=report_arguments.moment,
        metavar="TIME",
        help="start of the period: how long ago, such as 7d, or a time or date",
    )
    command.add_argument("--until", type=report_arguments.moment, metavar="TIME", help="end of the period (default: now)")
    parsing.output(command, "csv", "md")


def _wrong(options: argparse.Namespace) -> str:
    if options.since is not None and parse_time(options.since) > datetime.now(UTC):
        return "--since is in the future"
    if options.since is not None and options.until is not None and parse_time(options.since) >= parse_time(options.until):
        return "--since is not before --until"
    return report_arguments.wrong_of_apps(options)


def run(context: CommandContext) -> int:
    from dynamiq_operator.actions.audits import audited_rows
    from dynamiq_operator.cli.archive import archives

    options = context.options
    namespace = "" if options.all_namespaces else context.namespace
    reading = view.ReportBuilder(options.since, options.until)
    in_cluster = InCluster()
    for row in audited_rows(context.api, namespace, options.app):
        in_cluster.add(row)
        reading.add(row)
    for archive in archives(context, namespace, options.app):
        for row in in_cluster.others(archive.walk()):
            reading.add(row)
    report = reading.report(format_time(datetime.now(UTC)))
    if options.app is not None and not report.histories:
        context.find_app()
    _print(context, report)
    context.err.lines(safe(f"error: {each}") for each in report.wrong)
    return 0 if report.fits else DOES_NOT_FIT


def _print(context: CommandContext, report: view.Report) -> None:
    how = context.options.output
    if how == "csv":
        context.out.write(view.as_csv(report))
    elif how == "md":
        context.out.write(view.as_markdown(report))
    elif output.is_data(how):
        context.print_data(view.as_data(report))
    else:
        _table(context, report)


def _table(context: CommandContext, report: view.Report) -> None:
    columns = TABLE if context.options.all_namespaces else TABLE[1:]  # without the namespace
    rows = [[safe(cell) if (cell := column.cell(row)) is not None else "" for column in columns] for row in report.rows]
    if rows:
        table = Table([column.title for column in columns], rows, context.out, cut="MESSAGE")
        context.out.lines([*table.lines(), ""])
    context.out.lines([report.says])
