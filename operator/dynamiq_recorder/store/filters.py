"""Converts a filter to conditions on `runs r`. It selects no run."""

from __future__ import annotations

from dynamiq_operator.model.runs import RunStatus
from dynamiq_recorder.model import Filter
from dynamiq_recorder.store.columns import MODEL, TAG
from dynamiq_recorder.store.database import Connection
from dynamiq_recorder.store.texts import clean, folded

_LABELLED = "EXISTS (SELECT 1 FROM labels l WHERE l.app_key = r.app_key AND l.kind = ? AND l.value = ? AND l.started_at = r.started_at AND l.run_key = r.key{fence})"
_FAILING = (
    "EXISTS (SELECT 1 FROM errors e WHERE e.app_key = r.app_key AND e.started_at = r.started_at AND e.run_key = r.key AND {found}{fence})"
)


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


def conditions(connection: Connection, wanted: Filter) -> Conditions | None:
    """Returns the conditions of a filter; None if its App or its row is unknown, so that no run matches."""
    app = app_key(connection, wanted.app_uid)
    if app is None:
        return None
    made = Conditions()
    made.add("r.app_key = ?", app)
    if wanted.row_uid is not None:
        row = row_key(connection, wanted.row_uid)
        if row is None:
            return None
        made.add("r.row_key = ?", row)
    for column, value in (
        ("workflow_version", wanted.workflow_version),
        ("trigger_name", wanted.trigger),
        ("session_id", wanted.session_id),
        ("user_id", wanted.user_id),
    ):
        if value is not None:
            made.add(f"r.{column} = ?", clean(value))
    if wanted.status:
        _add_status(made, wanted.status)
    for kind, value in [*((TAG, tag) for tag in wanted.tags), *(((MODEL, wanted.model),) if wanted.model is not None else ())]:
        made.add(_LABELLED.format(fence=connection.fence), kind, clean(value))
    if wanted.error is not None:
        made.add(_FAILING.format(found=connection.contains("e.folded"), fence=connection.fence), folded(wanted.error))
    for sql, bound in (
        ("r.started_at >= ?", wanted.since),
        ("r.started_at < ?", wanted.until),
        ("r.duration >= ?", wanted.min_duration),
        ("r.cost >= ?", wanted.min_cost),
    ):
        if bound is not None:
            made.add(sql, bound)
    return made


def _add_status(made: Conditions, wanted: tuple[RunStatus, ...]) -> None:
    values = [status.value for status in wanted]
    made.add(f"r.status IN ({', '.join('?' * len(values))})", *values)
    if RunStatus.SUCCEEDED not in wanted:
        made.add("r.status <> 'succeeded'")  # as the index says it
