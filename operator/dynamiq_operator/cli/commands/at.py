"""`at`: what was live at a time, of one App in full, or of many in a table."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from dynamiq_operator.actions.audits import audited_rows
from dynamiq_operator.actions.history import find_app
from dynamiq_operator.cli import output
from dynamiq_operator.cli.archive import archives
from dynamiq_operator.cli.output import Table, safe
from dynamiq_operator.views.audited import AuditedRow
from dynamiq_operator.views.history import compute_in_words, config_in_words, title
from dynamiq_operator.views.live_at import LiveAt, Reading, as_data

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext

NOTHING_LIVE = 3
COLUMNS = ("APP", "VERSION", "ROW", "RUNTIME", "LIVE FROM", "LIVE UNTIL", "CREATED BY", "APPROVED BY")
Found = dict[tuple[str, str], LiveAt]
"""By namespace and name of an App."""


def run(context: CommandContext) -> int:
    options = context.options
    namespace = "" if options.all_namespaces else context.namespace
    found = _read(context, namespace)
    if options.app is not None:
        if not found:
            find_app(context.api, namespace, options.app)
        return _one(context, found.get((namespace, options.app)) or Reading(options.time).found())
    shown = {app: each for app, each in found.items() if each.row or each.rolling_out or each.unknown}
    _every(context, dict(islice(shown.items(), options.limit)))
    return 0


def _read(context: CommandContext, namespace: str) -> Found:
    readings: dict[tuple[str, str], Reading] = {}
    for row in audited_rows(context.api, namespace, context.options.app):
        key = row["metadata"]["namespace"], row["spec"]["app"]
        readings.setdefault(key, Reading(context.options.time)).add(row)
    found = {app: reading.found() for app, reading in sorted(readings.items())}
    if unknown := [app for app, each in found.items() if each.unknown is not None]:
        _add_archived(context, namespace, readings, unknown)
    return found | {app: readings[app].found() for app in unknown}


def _add_archived(
    context: CommandContext, namespace: str, readings: dict[tuple[str, str], Reading], unknown: list[tuple[str, str]]
) -> None:
    """Adds rows of Apps of which the cluster's rows do not tell what was live. One that both have counts once."""
    for each in archives(context, namespace, context.options.app):
        if (key := (each.namespace, each.app)) in unknown:
            for row in each.around(context.options.time):
                readings[key].add(row)


def _one(context: CommandContext, found: LiveAt) -> int:
    if output.is_data(context.options.output):
        context.out.lines([output.formatted(as_data(found), context.options.output)])
    else:
        head = f"{safe(context.options.app)} in {safe(context.namespace)} at {found.time}"
        context.out.lines([context.out.paint("bold", head), *map(safe, _lines(found))])
    return 0 if found.row is not None else NOTHING_LIVE


def _lines(found: LiveAt) -> Iterator[str]:
    yield f"  {found.says}"
    if found.row is not None:
        yield from _facts(found.row)
    if (other := found.rolling_out) is not None:
        yield f"  {'deploying':<11} {title(other.row)}, begun at {other.row.date}"


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


def _every(context: CommandContext, found: Found) -> None:
    how, everywhere = context.options.output, context.options.all_namespaces
    if output.is_data(how):
        data = [{"namespace": namespace, "app": app, **as_data(each)} for (namespace, app), each in found.items()]
        context.out.lines([output.formatted(data, how)])
    elif not found:
        context.err.lines([f"nothing was live in {'any namespace' if everywhere else f'namespace {safe(context.namespace)}'}"])
    else:
        rows = [_cells(app, each, everywhere) for app, each in found.items()]
        table = Table([*(["NAMESPACE"] if everywhere else []), *COLUMNS], rows, context.out)
        context.out.lines([table.header(), *map(table.row, rows)])
        context.err.lines(f"{safe('/'.join(app))}: {safe(each.unknown)}" for app, each in found.items() if each.unknown is not None)


def _cells(app: tuple[str, str], found: LiveAt, everywhere: bool) -> list[str]:
    values: list[str | None] = [None] * (len(COLUMNS) - 1)
    if (audited := found.row) is not None:
        row = audited.row
        values = [row.version, f"#{row.sequence}", row.runtime, audited.live_from, audited.live_until, row.created_by, row.approved_by]
    return [safe(value) for value in ([app[0]] if everywhere else [])] + [safe(app[1]), *(safe(value or "-") for value in values)]
