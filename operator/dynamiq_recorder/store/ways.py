"""Finds ways to the runs of a filter: for each part of it, an index that has those runs in order. It decides on none."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dynamiq_operator.model.runs import RunStatus
from dynamiq_recorder.model import Filter
from dynamiq_recorder.store.columns import MODEL, TAG
from dynamiq_recorder.store.database import Connection
from dynamiq_recorder.store.filters import Conditions
from dynamiq_recorder.store.texts import clean, folded

STARTED, DURATION, COST = "started_at", "duration", "cost"

Entry = tuple[int, int]
"""A run's value in the order of a way, and the run's key."""


class Way(msgspec.Struct, frozen=True):
    """A way to runs. `source`: SQL from FROM on. `by`: the column of its order. `covers`: parts of the filter that all its runs match."""

    source: str
    values: tuple[object, ...]
    key: str
    by: str
    covers: frozenset[str]

    def walked(self, *, descending: bool, after: Entry | None) -> tuple[str, list[object]]:
        """Returns SQL of its entries in order, with a name for each column, and its parameters."""
        direction, beyond = ("DESC", "<") if descending else ("ASC", ">")
        further = f" AND ({self.by}, {self.key}) {beyond} (?, ?)" if after is not None else ""
        text = f"SELECT {self.by} AS place, {self.key} AS key {self.source}{further} ORDER BY {self.by} {direction}, {self.key} {direction}"
        return text, [*self.values, *(after or ())]

    def entries(self, connection: Connection, *, descending: bool, after: Entry | None, limit: int, offset: int = 0) -> list[Entry]:
        text, values = self.walked(descending=descending, after=after)
        return [(place, key) for place, key in connection.all(f"{text} LIMIT ? OFFSET ?", [*values, limit, offset])]

    def matching(
        self,
        connection: Connection,
        where: Conditions,
        columns: Sequence[str],
        *,
        descending: bool,
        after: Entry | None,
        walk: int | None,
        limit: int,
    ) -> list[tuple[int, ...]]:
        """Returns columns of those of its next `walk` entries that match the filter."""
        text, values = self.walked(descending=descending, after=after)
        bounded = f"{text} LIMIT {walk}" if walk is not None else text
        order = "DESC" if descending else "ASC"
        return connection.all(
            f"SELECT {', '.join(f'r.{name}' for name in columns)} FROM ({bounded}) i {connection.looked_up} "  # noqa: S608
            f"WHERE {where.sql} ORDER BY i.place {order}, i.key {order} LIMIT ?",
            [*values, *where.values, limit],
        )


def asked(selection: Filter) -> frozenset[str]:
    """Returns the parts of a filter that are set, beside the App."""
    values = {name: getattr(selection, name) for name in Filter.__struct_fields__ if name != "app_uid"}
    parts = {name for name, value in values.items() if value is not None and value != ()} - {"tags", "status"}
    return frozenset(parts | {f"tag {tag}" for tag in selection.tags} | ({"status"} if selection.status else set()))


def ways(connection: Connection, selection: Filter, app: int, row: int | None) -> list[Way]:
    """Returns all ways: first those that are likely to be short, last that of time."""
    times = "".join(
        f" AND started_at {compared} ?" for compared, bound in ((">=", selection.since), ("<", selection.until)) if bound is not None
    )
    bounds = tuple(bound for bound in (selection.since, selection.until) if bound is not None)
    of_time = frozenset({"since", "until"})

    def of_runs(index: str, sql: str, values: Sequence[object], covers: str) -> Way:
        source = f"FROM runs{connection.by(index)} WHERE app_key = ?{sql}{times}"
        return Way(source, (app, *values, *bounds), "key", STARTED, of_time | {covers})

    def of_label(kind: str, value: str, covers: str) -> Way:
        source = f"FROM labels WHERE app_key = ? AND kind = ? AND value = ?{times}"
        return Way(source, (app, kind, clean(value), *bounds), "run_key", STARTED, of_time | {covers})

    listed: list[Way] = []
    for index, column, value, covers in (
        ("runs_session", "session_id", selection.session_id, "session_id"),
        ("runs_user", "user_id", selection.user_id, "user_id"),
        ("runs_trigger", "trigger_name", selection.trigger, "trigger"),
        ("runs_row", "row_key", row, "row_uid"),
        ("runs_version", "workflow_version", selection.workflow_version, "workflow_version"),
    ):
        if value is not None:
            parameter = clean(value) if isinstance(value, str) else value
            listed.append(of_runs(index, f" AND {column} = ? AND {column} IS NOT NULL", (parameter,), covers))
    if len(selection.status) == 1 and selection.status[0] is not RunStatus.SUCCEEDED:
        listed.append(of_runs("runs_status", " AND status = ? AND status <> 'succeeded'", (selection.status[0].value,), "status"))
    listed.extend(of_label(TAG, tag, f"tag {tag}") for tag in selection.tags)
    if selection.model is not None:
        listed.append(of_label(MODEL, selection.model, "model"))
    listed.extend(_of_values(connection, selection, app))
    if selection.error is not None:
        source = f"FROM errors WHERE app_key = ? AND {connection.contains('folded')}{times}"
        listed.append(Way(source, (app, folded(selection.error), *bounds), "run_key", STARTED, of_time | {"error"}))
    return [*listed, of_runs("runs_time", "", (), "since")]


def _of_values(connection: Connection, selection: Filter, app: int) -> list[Way]:
    return [
        Way(
            f"FROM runs{connection.by(f'runs_{column}')} WHERE app_key = ? AND {column} >= ?",
            (app, least),
            "key",
            column,
            frozenset({covers}),
        )
        for column, least, covers in ((DURATION, selection.min_duration, "min_duration"), (COST, selection.min_cost, "min_cost"))
        if least is not None
    ]


def of_value(connection: Connection, column: str, app: int) -> Way:
    """Returns the way by duration or cost, to all runs that have one."""
    return Way(f"FROM runs{connection.by(f'runs_{column}')} WHERE app_key = ? AND {column} IS NOT NULL", (app,), "key", column, frozenset())
