"""Deletes runs from tables, each by an index. It changes no rollups."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dynamiq_recorder.store import shares
from dynamiq_recorder.store.columns import LABEL_COLUMNS, MODEL, TAG
from dynamiq_recorder.store.database import Connection, pieces

EVERYWHERE = ("scores", "spans", "contents", "extras", "labels", "errors", "accepted", "runs")
"""Tables with lines of runs. The runs come last: they show where their labels and errors are."""


def forget(connection: Connection, keys: Sequence[int], tables: Sequence[str] = EVERYWHERE) -> int:
    """Deletes the lines of runs from these tables. Returns how many, without those of labels and errors."""
    gone = 0
    for part in pieces(keys):
        if connection.weighed:
            shares.add(connection, shares.of_keys(connection, part, tables), -1)
        if "runs" in tables:  # first, so that nobody adds a score to one meanwhile
            condition, values = connection.within("key", part)
            connection.all(f"SELECT key FROM runs WHERE {condition} ORDER BY key{connection.locking}", values)  # noqa: S608 - our own names
        if "labels" in tables or "errors" in tables:
            _forget_labels_and_errors(connection, part, tables)
        for table in tables:
            if table not in ("labels", "errors"):
                condition, values = connection.within("key" if table == "runs" else "run_key", part)
                gone += connection.do(f"DELETE FROM {table} WHERE {condition}", values)  # noqa: S608 - our own names
    return gone


def _forget_labels_and_errors(connection: Connection, keys: Sequence[int], tables: Sequence[str]) -> None:
    """Deletes labels and errors of runs. They are in order of App and time, which only the runs show."""
    condition, values = connection.within("key", keys)
    lines = connection.all(f"SELECT key, app_key, started_at, tags, models FROM runs WHERE {condition}", values)  # noqa: S608 - our own names
    if "labels" in tables:
        labels = [
            (app, kind, value, started, key)
            for key, app, started, tags, models in lines
            for kind, listed in ((TAG, tags), (MODEL, models))
            for value in (msgspec.json.decode(listed) if listed else ())
        ]
        connection.take("labels", LABEL_COLUMNS, labels)
    if "errors" in tables:
        connection.take("errors", ("app_key", "started_at", "run_key"), [(app, started, key) for key, app, started, _, _ in lines])
