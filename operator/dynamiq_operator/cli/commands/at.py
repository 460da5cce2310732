"""`at`: prints what was live at a time: one App in full, or many Apps as a table."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from dynamiq_operator.cli import parsing, report_arguments
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import Table, safe
from dynamiq_operator.model.manifests import parse_time
from dynamiq_operator.views.audited import AuditedRow
from dynamiq_operator.views.history import compute_in_words, config_in_words, title
from dynamiq_operator.views.live_at import LiveAt, LiveAtSearch, as_data

NOTHING_LIVE = 3
COLUMNS = ("APP", "VERSION", "ROW", "RUNTIME", "LIVE FROM", "LIVE UNTIL", "CREATED BY", "APPROVED BY")
LiveByApp = dict[tuple[str, str], LiveAt]
"""The result for each App, by namespace and name."""
EXITS = (
    "exit codes: 0 done; 1 it failed or was refused; 2 wrong usage; 3 nothing of the App was live then, or it is unknown; 130 interrupted"
)


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "A time is a date, 2026-11-24T22:22:45Z, or how long ago: 90m, 7d. Rows that retention deleted are unknown, and so are"
        " deleted Apps. `verify` checks that nobody changed the rows.",
        ("support 2026-11-24T18:20:50Z", "3h -A", "support 2026-11-24 -o jsonpath='{.row.version} {.row.flowHash}'"),
        EXITS,
    )
    command.check = _wrong
    report_arguments.add_apps(command)
    command.add_argument("time", metavar="TIME", help="the time: how long ago, or a time or date")
    parsing.limit(command, "most Apps to show (default: all)")
    parsing.output(command)


def _wrong(options: argparse.Namespace) -> str:
    if options.app is not None and options.app[:1].isdigit():  # TIME APP, the order of older versions: no App's name begins with a digit
        options.app, options.time = options.time, options.app
    try:
        options.time = report_arguments.moment(options.time)
    except argparse.ArgumentTypeError as error:
        return f"argument TIME: {error}"
    if parse_time(options.time) > datetime.now(UTC):
        return "that time is in the future"
    return report_arguments.wrong_of_apps(options)


def run(context: CommandContext) -> int:
    options = context.options
    namespace = "" if options.all_namespaces else context.namespace
    live_by_app = _read(context, namespace)
    if options.app is not None:
        if not live_by_app:
            context.find_app()
        return _print_app(context, live_by_app.get((namespace, options.app)) or LiveAtSearch(options.time).found())
    shown = {app: each for app, each in live_by_app.items() if each.row or each.rolling_out or each.unknown}
    _print_table(context, dict(islice(shown.items(), options.limit)))
    return 0


def _read(context: CommandContext, namespace: str) -> LiveByApp:
    from dynamiq_operator.actions.audits import audited_rows

    readings: dict[tuple[str, str], LiveAtSearch] = {}
    for row in audited_rows(context.api, namespace, context.options.app):
        key = row["metadata"]["namespace"], row["spec"]["app"]
        readings.setdefault(key, LiveAtSearch(context.options.time)).add(row)
    live_by_app = {app: reading.found() for app, reading in sorted(readings.items())}
    if unknown := [app for app, each in live_by_app.items() if each.unknown is not None]:
        _add_archived(context, namespace, readings, unknown)
    return live_by_app | {app: readings[app].found() for app in unknown}


def _add_archived(
    context: CommandContext, namespace: str, readings: dict[tuple[str, str], LiveAtSearch], unknown: list[tuple[str, str]]
) -> None:
    """Adds archived rows to the readings of Apps whose rows in the cluster do not decide the answer. Counts a row that both have once."""
    from dynamiq_operator.cli.archive import archives

    for archive in archives(context, namespace, context.options.app):
        if (key := (archive.namespace, archive.app)) in unknown:
            for row in archive.around(context.options.time):
                readings[key].add(row)


def _print_app(context: CommandContext, live_at: LiveAt) -> int:
    if not context.print_data(as_data(live_at)):
        head = f"{safe(context.options.app)} in {safe(context.namespace)} at {live_at.time}"
        context.out.lines([context.out.paint("bold", head), *map(safe, _lines(live_at))])
    return 0 if live_at.row is not None else NOTHING_LIVE


def _lines(live_at: LiveAt) -> Iterator[str]:
    yield f"  {live_at.says}"
    if live_at.row is not None:
        yield from _facts(live_at.row)
    if (other := live_at.rolling_out) is not None:
        yield f"  {'deploying':<11} {title(other.row)}, started at {other.row.date}"


def _facts(audited: AuditedRow) -> Iterator[str]:
    row = audited.row
    facts = {
        "description": row.description,
        "runtime": f"{row.runtime} ({audited.image})",
        "config": config_in_words(row.config),
        "compute": compute_in_words(row.config),
        "created by": row.created_by,
        "approved by": row.approved_by,
        "from": row.provenance,
        "message": row.message,
        "flow": audited.flow_hash,
        "digest": row.digest,
    }
    yield from (f"  {name:<11} {value}" for name, value in facts.items() if value)


def _print_table(context: CommandContext, live_by_app: LiveByApp) -> None:
    everywhere = context.options.all_namespaces
    if context.print_data([{"namespace": namespace, "app": app, **as_data(each)} for (namespace, app), each in live_by_app.items()]):
        return
    if not live_by_app:
        context.err.lines([f"nothing was live in {'any namespace' if everywhere else f'namespace {safe(context.namespace)}'}"])
    else:
        rows = [_cells(app, each, everywhere) for app, each in live_by_app.items()]
        context.out.lines(Table([*(["NAMESPACE"] if everywhere else []), *COLUMNS], rows, context.out).lines())
        context.err.lines(f"{safe('/'.join(app))}: {safe(each.unknown)}" for app, each in live_by_app.items() if each.unknown is not None)


def _cells(app: tuple[str, str], live_at: LiveAt, everywhere: bool) -> list[str]:
    values: list[str | None] = [None] * (len(COLUMNS) - 1)
    if (audited := live_at.row) is not None:
        row = audited.row
        values = [row.version, f"#{row.sequence}", row.runtime, audited.live_from, audited.live_until, row.created_by, row.approved_by]
    return [safe(value) for value in ([app[0]] if everywhere else [])] + [safe(app[1]), *(safe(value or "-") for value in values)]
