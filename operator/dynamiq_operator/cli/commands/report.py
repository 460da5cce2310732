"""`report`: reports all deploys of a period as a table, spreadsheet, document or data, and whether the histories verify."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dynamiq_operator.actions.audits import audited_rows
from dynamiq_operator.actions.history import find_app
from dynamiq_operator.cli import output
from dynamiq_operator.cli.archive import archives
from dynamiq_operator.cli.output import Table, safe
from dynamiq_operator.model.archive import InCluster
from dynamiq_operator.model.manifests import format_time
from dynamiq_operator.views import report as view
from dynamiq_operator.views.audited import TABLE

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext

DOES_NOT_FIT = 1


def run(context: CommandContext) -> int:
    options = context.options
    namespace = "" if options.all_namespaces else context.namespace
    reading = view.Reading(options.since, options.until)
    in_cluster = InCluster()
    for row in audited_rows(context.api, namespace, options.app):
        in_cluster.add(row)
        reading.add(row)
    for archive in archives(context, namespace, options.app):
        for row in in_cluster.others(archive.walk()):
            reading.add(row)
    report = reading.report(format_time(datetime.now(UTC)))
    if options.app is not None and not report.histories:
        find_app(context.api, namespace, options.app)
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
        context.out.lines([output.formatted(view.as_data(report), how)])
    else:
        _table(context, report)


def _table(context: CommandContext, report: view.Report) -> None:
    columns = TABLE if context.options.all_namespaces else TABLE[1:]  # without the namespace
    rows = [[safe(cell) if (cell := column.cell(row)) is not None else "" for column in columns] for row in report.rows]
    table = Table([column.title for column in columns], rows, context.out, cut="MESSAGE")
    if rows:
        context.out.lines([table.header(), *map(table.row, rows), ""])
    context.out.lines([report.says])
