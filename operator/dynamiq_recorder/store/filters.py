"""A filter as conditions on `runs r`."""

from __future__ import annotations

from dynamiq_operator.model.runs import RunStatus
from dynamiq_recorder.model import Filter
from dynamiq_recorder.store.columns import MODEL, TAG
from dynamiq_recorder.store.database import Connection
from dynamiq_recorder.store.texts import clean, folded

_LABELLED = "EXISTS (SELECT 1 FROM labels l WHERE l.app_key = r.app_key AND l.kind = ? AND l.value = ? AND l.started_at = r.started_at AND l.run_key = r.key)"
_FAILING = "EXISTS (SELECT 1 FROM errors e WHERE e.app_key = r.app_key AND e.started_at = r.started_at AND e.run_key = r.key AND {found})"


class Conditions:
    """What follows FROM and WHERE, and its parameters. `at` and `key`: when a run began, and its key, as the source's own index has them.

    `by_label`: the same runs, found by the index of labels, which knows them in order of time; None where there is no label, or where
    something else is more likely to single them out. `ranged`: of values of which few runs, or most, may be.
    """

    def __init__(self, source: str = "runs r", at: str = "r.started_at", key: str = "r.key") -> None:
        self.source, self.at, self.key = source, at, key
        self.parts: list[str] = []
        self.values: list[object] = []
        self.by_label: Conditions | None = None
        self.ranged = False

    def add(self, sql: str, *values: object) -> None:
        self.parts.append(sql)
        self.values.extend(values)

    @property
    def sql(self) -> str:
        return " AND ".join(self.parts)


def app_key(connection: Connection, uid: str) -> int | None:
    lines = connection.all("SELECT coalesce(became, key) FROM apps WHERE uid = ?", (clean(uid),))
    return int(lines[0][0]) if lines else None


def row_and_pins(connection: Connection, uid: str) -> tuple[int, str] | None:
    lines = connection.all("SELECT key, pins FROM app_rows WHERE uid = ?", (clean(uid),))
    return (int(lines[0][0]), str(lines[0][1])) if lines else None


def conditions(connection: Connection, wanted: Filter) -> Conditions | None:
    """What the runs of a filter are; None where there are none, since the App or the row is not known."""
    app = app_key(connection, wanted.app_uid)
    if app is None:
        return None
    row = row_and_pins(connection, wanted.row_uid) if wanted.row_uid is not None else None
    if wanted.row_uid is not None and row is None:
        return None
    labels = [*((TAG, tag) for tag in wanted.tags), *(((MODEL, wanted.model),) if wanted.model is not None else ())]
    made = Conditions()
    made.add("r.app_key = ?", app)
    _add(made, connection, wanted, row, labels)
    if labels and not _singles_out(wanted):
        (kind, value), *others = labels
        made.by_label = Conditions("labels d CROSS JOIN runs r", "d.started_at", "d.run_key")
        made.by_label.add("d.app_key = ? AND d.kind = ? AND d.value = ? AND r.key = d.run_key", app, kind, clean(value))
        _add(made.by_label, connection, wanted, row, others)
    return made


def _singles_out(wanted: Filter) -> bool:
    """Whether it takes a small part of an App's runs by what an index of theirs holds."""
    named = (wanted.row_uid, wanted.workflow_version, wanted.trigger, wanted.session_id, wanted.user_id)
    return any(each is not None for each in named) or bool(wanted.status and RunStatus.SUCCEEDED not in wanted.status)


def _add(made: Conditions, connection: Connection, wanted: Filter, row: tuple[int, str] | None, labels: list[tuple[str, str]]) -> None:
    if row is not None:
        made.add("r.row_key = ? AND r.pins = ?", *row)  # all of a row's runs have its pins, which an index has
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
    for kind, label in labels:
        made.add(_LABELLED, kind, clean(label))
    if wanted.error is not None:
        made.add(_FAILING.format(found=connection.contains("e.folded")), folded(wanted.error))
    for sql, bound in (
        (f"{made.at} >= ?", wanted.since),
        (f"{made.at} < ?", wanted.until),
        ("r.duration >= ?", wanted.min_duration),
        ("r.cost >= ?", wanted.min_cost),
    ):
        if bound is not None:
            made.add(sql, bound)
    made.ranged = wanted.min_duration is not None or wanted.min_cost is not None


def _add_status(made: Conditions, wanted: tuple[RunStatus, ...]) -> None:
    values = [status.value for status in wanted]
    made.add(f"r.status IN ({', '.join('?' * len(values))})", *values)
    if RunStatus.SUCCEEDED not in wanted:
        made.add("r.status <> 'succeeded'")  # as the index says it
