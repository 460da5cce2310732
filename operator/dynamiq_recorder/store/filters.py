"""Converts a filter to conditions on `runs r`. It selects no run."""

from __future__ import annotations

from dynamiq_operator.model.runs import RunStatus
from dynamiq_recorder.model import Filter
from dynamiq_recorder.store.columns import MODEL, TAG
from dynamiq_recorder.store.database import Connection
from dynamiq_recorder.store.texts import clean, folded

_LABELLED = "EXISTS (SELECT 1 FROM labels l WHERE l.app_key = r.app_key AND l.kind = ? AND l.value = ? AND l.started_at = r.started_at AND l.run_key = r.key{fence})"
_FAILING = "EXISTS (SELECT 1 FROM errors e WHERE e.app_key = r.app_key AND e.started_at = r.started_at AND e.run_key = r.key AND {matching}{fence})"


APP_OF = "(SELECT coalesce(became, key) FROM apps WHERE uid = ?)"
"""SQL of the key of the App of a uid."""


class Conditions:
    """SQL after WHERE, and its parameters."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.values: list[object] = []

    def add(self, sql: str, *values: object) -> None:
        self.parts.append(sql)
        self.values.extend(values)

    @property
    def sql(self) -> str:
        return " AND ".join(self.parts)


def app_key(connection: Connection, uid: str) -> int | None:
    lines = connection.all(APP_OF[1:-1], (clean(uid),))
    return int(lines[0][0]) if lines else None


def row_key(connection: Connection, uid: str) -> int | None:
    lines = connection.all("SELECT key FROM app_rows WHERE uid = ?", (clean(uid),))
    return int(lines[0][0]) if lines else None


def conditions(connection: Connection, selection: Filter) -> Conditions | None:
    """Returns the conditions of a filter; None if its App or its row is unknown, so that no run matches."""
    app = app_key(connection, selection.app_uid)
    if app is None:
        return None
    made = Conditions()
    made.add("r.app_key = ?", app)
    if selection.row_uid is not None:
        row = row_key(connection, selection.row_uid)
        if row is None:
            return None
        made.add("r.row_key = ?", row)
    for column, value in (
        ("workflow_version", selection.workflow_version),
        ("trigger_name", selection.trigger),
        ("session_id", selection.session_id),
        ("user_id", selection.user_id),
    ):
        if value is not None:
            made.add(f"r.{column} = ?", clean(value))
    if selection.status:
        _add_status(made, selection.status)
    for kind, value in [*((TAG, tag) for tag in selection.tags), *(((MODEL, selection.model),) if selection.model is not None else ())]:
        made.add(_LABELLED.format(fence=connection.fence), kind, clean(value))
    if selection.error is not None:
        made.add(_FAILING.format(matching=connection.contains("e.folded"), fence=connection.fence), folded(selection.error))
    for sql, bound in (
        ("r.started_at >= ?", selection.since),
        ("r.started_at < ?", selection.until),
        ("r.duration >= ?", selection.min_duration),
        ("r.cost >= ?", selection.min_cost),
    ):
        if bound is not None:
            made.add(sql, bound)
    return made


def _add_status(made: Conditions, statuses: tuple[RunStatus, ...]) -> None:
    values = [status.value for status in statuses]
    made.add(f"r.status IN ({', '.join('?' * len(values))})", *values)
    if RunStatus.SUCCEEDED not in statuses:
        made.add("r.status <> 'succeeded'")  # as the index says it
