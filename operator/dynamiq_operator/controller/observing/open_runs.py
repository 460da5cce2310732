"""Observes an App's open background runs and conversations: the journal's counts, and the rows of their pins. It writes nothing."""

from __future__ import annotations

from dataclasses import replace

from dynamiq_operator.controller.app_state import AppState
from dynamiq_operator.controller.background.open_runs import OpenRunsReader
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.desired.pin_labels import SHORT, stored_digest
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model import ownership
from dynamiq_operator.model.objects import App, Manifest, Row, read
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.workloads.finishing import labels_to_read, limits

SEARCHED_FOR = 600.0
"""Seconds after which pins of which no row is known are searched for again."""


async def with_open_runs(client: Client, reader: OpenRunsReader, key: AppKey, app: App, state: AppState, snapshot: Snapshot) -> Snapshot:
    """Returns the snapshot with the open runs. Raises errors.ApiError."""
    if state.finishing_shown is None or state.finishing_shown[0] != app.status.finishing:
        state.finishing_shown = (app.status.finishing, snapshot.now)
    open_runs = replace(reader.of(app.meta.uid), shown_since=state.finishing_shown[1])
    snapshot = replace(snapshot, open_runs=open_runs)
    if not open_runs.counts and not open_runs.talks:
        return snapshot  # most Apps: no context is made
    rows = state.finishing_rows
    if lacking := labels_to_read(Context.of(snapshot, app)):
        await _search(client, key, app, state, snapshot, lacking)
    found = {label: row for label in lacking if (row := rows[label][0]) is not None}
    snapshot = replace(snapshot, open_runs=replace(open_runs, rows=found))
    reader.limit(app.meta.uid, limits(Context.of(snapshot, app)))
    return snapshot


async def _search(client: Client, key: AppKey, app: App, state: AppState, snapshot: Snapshot, lacking: tuple[str, ...]) -> None:
    """Reads the App's history for the newest row of each of these pins, if it was not read for all of them lately."""
    # Only after a restart in the middle of a deploy, or while the journal was away: else a workload or the status tells.
    searched = state.finishing_rows
    age = {label: (snapshot.now - searched[label][1]).total_seconds() for label in lacking if label in searched}
    if all(label in age and (searched[label][0] is not None or age[label] < SEARCHED_FOR) for label in lacking):
        return
    newest: dict[str, Manifest] = {}
    async for page in client.pages(ROWS, key[0], field=f"spec.app={key[1]}"):
        for raw in ownership.only_of(app.meta.uid, page["items"]):
            label = _label_of(raw)
            if label in lacking and (label not in newest or raw["spec"].get("sequence", 0) > newest[label]["spec"].get("sequence", 0)):
                newest[label] = raw
    for label in lacking:
        row = read(Row, newest[label]) if label in newest else None
        searched[label] = (row if isinstance(row, Row) else None, snapshot.now)


def _label_of(raw: Manifest) -> str:
    try:
        return stored_digest(raw["spec"]["pinned"])[:SHORT]
    except (KeyError, TypeError, AttributeError):
        return ""
