"""`history`: prints the rows of an App, with `--all` also the changes of its settings. It reads them without pydantic's models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import output, parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import Table, safe
from dynamiq_operator.cli.transport import NotInstalled
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import pages_at
from dynamiq_operator.kube.app_objects import only_of_app
from dynamiq_operator.model.history_columns import COLUMNS, HistoryColumn, of_plugin
from dynamiq_operator.model.manifests import API_VERSION, Manifest
from dynamiq_operator.views import app_changes
from dynamiq_operator.views.app_changes import ChangeRow, Entry
from dynamiq_operator.views.columns import as_data, cell
from dynamiq_operator.views.history import HistoryRow, history, newest_first

# Imports that load pydantic's models stay inside functions: they would double the time to the first line.
if TYPE_CHECKING:
    from dynamiq_operator.cli.deployable_rows import DeployableRows
    from dynamiq_operator.cli.finishing_rows import FinishingRows
    from dynamiq_operator.cli.row_figures import RowFigures


PAUSE = 1.0
"""Seconds between two watches."""


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        _outputs_of_history(),
        ("support", "support -o wide", "support -o json | jq '.[0].version'", "support --watch", "support --all"),
    )
    parsing.app(command)
    parsing.output(command, "wide", "name")
    how = command.add_mutually_exclusive_group()
    how.add_argument("-w", "--watch", action="store_true", help="keep running, and print each row again when it changes")
    how.add_argument(
        "--all",
        action="store_true",
        help="show changes of settings, too: of variables, access, hostname, triggers and others, with their authors",
    )
    parsing.limit(command, "most rows to show, the newest first (default: all)")
    command.add_argument("--archived", action="store_true", help="show archived rows, too, of an App with history.archive")


def _outputs_of_history() -> str:
    """Describes what `-o wide` and `-o json` print of a row."""
    *added, last = (column.spoken for column in of_plugin(wide=True) if column.wide)
    fields = ", ".join(f"{column.json_name} ({column.note})" if column.note else column.json_name for column in COLUMNS)
    return (
        f"-o wide adds {', '.join(added)} and {last}. With a recorder it adds the runs of a row, their"
        " failures, 95th percentile and cost, and the comparison with the row before. DEPLOYABLE says whether you can roll back to a row now, and why not."
        " FINISHING, if there are some, says how many background runs and conversations are still open on the row of an earlier version."
        f" -o json prints a list, the newest row first. Fields, null where a row has none: {fields}; and"
        " deployable (whether you can roll back to it now: ok, reasons, waits, notes and warm). With --all each has a kind, Deployment or"
        " AppChange; the fields of the latter: name, uid, app, sequence, reason, date, after (the sequence of the newest row then), by,"
        " byVerified, generation, changes (field, name, change, from, to), summary and digest."
    )


def run(context: CommandContext) -> int:
    how = context.options.output
    in_cluster, version = _rows(context)
    archived = _archived(context, in_cluster) if context.options.archived else []
    manifests = [*in_cluster, *archived]
    changes = _settings(context) if context.options.all else []
    if not manifests and not changes and not context.options.watch:
        return _report_empty(context)
    shown = app_changes.among(history(manifests), changes)[: context.options.limit]
    columns = of_plugin(wide=how == "wide")
    more = _wide_columns(context, in_cluster, archived) if how == "wide" else None
    rows = [_cells(row, columns, more) for row in shown]
    table = Table(_header(columns, more), rows, context.out, cut=_cut(how), status="STATUS")
    if how == "name":
        context.out.lines(output.named(_kind(row), row.name) for row in shown)
    elif output.is_data(how):
        data = _data(context, shown, in_cluster, archived)
        context.out.lines(map(_document(how), reversed(data)) if context.options.watch else [output.formatted(data, how)])
    else:
        context.out.lines(table.lines())
    if context.options.watch:
        _follow(context, table, {row.name: row for row in shown if isinstance(row, HistoryRow)}, version, more)
    return 0


def _kind(entry: Entry) -> str:
    return "Deployment" if isinstance(entry, HistoryRow) else "AppChange"


class WideColumns(NamedTuple):
    """The columns that only a wide table has.

    They are run figures from the recorder, whether each row can be rolled back to now, and its open runs and conversations.
    """

    runs: RowFigures
    deployable: DeployableRows
    finishing: FinishingRows


def _wide_columns(context: CommandContext, in_cluster: Sequence[Manifest], archived: Sequence[Manifest]) -> WideColumns:
    from dynamiq_operator.cli.deployable_rows import DeployableRows
    from dynamiq_operator.cli.finishing_rows import FinishingRows
    from dynamiq_operator.cli.row_figures import RowFigures

    deployable = DeployableRows.of(context, in_cluster, archived)
    return WideColumns(RowFigures.of(context, [*in_cluster, *archived]), deployable, FinishingRows.of(context))


def _header(columns: Sequence[HistoryColumn], more: WideColumns | None) -> list[str]:
    *titles, last = (column.title for column in columns)
    return [*titles, *more.runs.COLUMNS, last, more.deployable.COLUMN, *more.finishing.columns] if more is not None else [*titles, last]


def _cut(how: str | None) -> str:
    """Returns the column that is shortened if a line is too long for the terminal; "" if none is."""
    return "" if how == "wide" else "DESCRIPTION"


def _cells(row: Entry, columns: Sequence[HistoryColumn], more: WideColumns | None) -> list[str]:
    *cells, last = (safe(cell(row, column) if isinstance(row, HistoryRow) else app_changes.cell(row, column)) for column in columns)
    if more is None:
        return [*cells, last]
    if not isinstance(row, HistoryRow):
        return [*cells, *[""] * len(more.runs.COLUMNS), last, "", *[""] * len(more.finishing.columns)]
    ends = [more.deployable.cell(row.name), *more.finishing.cells(row.name)]
    return [*cells, *map(safe, more.runs.cells(row.uid)), last, *map(safe, ends)]


def _data(
    context: CommandContext, shown: Sequence[Entry], in_cluster: Sequence[Manifest], archived: Sequence[Manifest] = ()
) -> list[dict[str, Any]]:
    """Returns rows as data, each with whether it can be rolled back to now. With `--all` each entry names its kind.

    `in_cluster`, `archived`: the same rows as manifests, in any order.
    """
    from dynamiq_operator.cli.deployable_rows import DeployableRows

    deployable = DeployableRows.of(context, in_cluster, archived)

    def data(row: Entry) -> dict[str, Any]:
        return {**as_data(row), "deployable": deployable.data(row.name)} if isinstance(row, HistoryRow) else app_changes.as_data(row)

    return [{**({"kind": _kind(row)} if context.options.all else {}), **data(row)} for row in shown]


def _document(how: str) -> Callable[[dict[str, Any]], str]:
    """Returns a function that formats one row of a stream, such as a line of JSON or a document of YAML."""
    if how == "yaml":
        return lambda data: f"---\n{output.as_yaml(data)}"
    return lambda data: output.as_json(data, compact=True) if how == "json" else output.formatted(data, how)


def _report_empty(context: CommandContext) -> int:
    """Reports that the App has no rows yet. Raises Unknown if there is no such App."""
    app = context.options.app
    context.find_app()
    context.print_data([])
    context.err.lines([f"nothing of {app} was deployed yet: {context.hint(f'deploy {app}')}"])
    return 0


def _rows(context: CommandContext) -> tuple[list[Manifest], str]:
    """Returns the App's rows, and the resourceVersion from which a watch continues."""
    rows: list[Manifest] = []
    version = ""
    for page in pages_at(context.api, _path(context), field=f"spec.app={context.options.app}"):
        rows += page["items"]
        version = page["metadata"]["resourceVersion"]
    return only_of_app(context.api, context.namespace, context.options.app, rows), version


def _archived(context: CommandContext, rows: Sequence[Manifest]) -> list[Manifest]:
    """Returns the App's rows that only the archive has. Raises Refusal if they cannot be read, or if the App has no archive."""
    from dynamiq_operator.cli.archive import archives
    from dynamiq_operator.model.archive import InCluster

    app_archives, in_cluster = archives(context, context.namespace, context.options.app), InCluster()
    if not app_archives:
        raise Refusal(f"{context.options.app} has no archive: its history.archive is not true")
    for row in rows:
        in_cluster.add(row)
    return [row for each in app_archives for row in in_cluster.others(each.walk())]


def _settings(context: CommandContext) -> list[ChangeRow]:
    """Returns the changes of the App's settings, newest first. Raises Refusal if the cluster has no such kind."""
    field = f"spec.app={context.options.app}"
    try:
        manifests = [raw for page in pages_at(context.api, _path(context, "appchanges"), field=field) for raw in page["items"]]
    except (errors.NotFound, NotInstalled):
        raise Refusal(
            "leave out --all: the definitions of this cluster are older than this plugin, and record no changes of settings"
        ) from None
    return app_changes.newest_first(only_of_app(context.api, context.namespace, context.options.app, manifests))


def _path(context: CommandContext, plural: str = "deployments") -> str:
    return f"/apis/{API_VERSION}/namespaces/{quote(context.namespace, safe='')}/{plural}"


def _follow(context: CommandContext, table: Table, known: dict[str, HistoryRow], version: str, more: WideColumns | None) -> None:
    """Watches, and prints a row again when one of its values changes; until interrupted."""
    how = context.options.output
    columns = of_plugin(wide=how == "wide")

    def show(raw: Manifest) -> None:
        row = HistoryRow.of(raw)
        if known.get(row.name) != row:
            known[row.name] = row
            if how == "name":
                context.out.lines([output.named("Deployment", row.name)])
            elif output.is_data(how):
                context.out.lines(map(_document(how), _data(context, [row], [raw])))
            else:
                now = more._replace(deployable=type(more.deployable).of(context, [raw])) if more is not None else None
                context.out.lines([table.row(_cells(row, columns, now))])

    while True:
        for raw in _changes(context, version):
            for own in only_of_app(context.api, context.namespace, context.options.app, [raw]):
                show(own)
        # The API server ends watches, and the resourceVersion may be too old to continue: list again, though never without a pause.
        time.sleep(PAUSE)
        rows, version = _rows(context)
        for raw in reversed(newest_first(rows)):
            show(raw)


def _changes(context: CommandContext, version: str) -> Iterator[Manifest]:
    query = {"fieldSelector": f"spec.app={context.options.app}", "resourceVersion": version}
    for event in context.api.watch(_path(context), query):
        if event["type"] == "ERROR":
            return
        if event["type"] in ("ADDED", "MODIFIED"):
            yield event["object"]
