"""The control of runs that wait: pods of what is live resume the runs of all versions.

They have a copy of the journal in which all runs have the same pins. Journal and pods are processes of this machine. Their code is the same,
and so is what each run had saved.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dynamiq_recorder.journal.model import Place
from tests.support.background import Caller, pod
from tests.support.journal import JournalStage
from tests.support.waiting import eventually

PINS = "0" * 16
"""The pins of every run, and of the pods."""
WITHIN = 300.0  # seconds


def versions_in(output: Any) -> set[str]:
    """Returns the versions of the nodes that an output names."""
    return {str(each).partition("@")[2] for each in output or []}


def resumed_on_live(copy: Path, folder: Path, live: Callable[[str], str], question: str, flow: Callable[[str], str]) -> dict[str, Any]:
    """Approves the question of every run of a copy; returns their outputs by their idempotency keys.

    `live`: returns the live version of an App. `flow`: returns the flow of a version.
    """
    own = folder / "control"
    own.mkdir()
    store = Path(shutil.copyfile(copy, own / "journal.db"))
    _change(
        store,
        f"UPDATE run SET pins = '{PINS}', workflow_hash = NULL",  # noqa: S608 - our own value
        "DELETE FROM tally",
        "INSERT INTO tally (app_uid, pins, state, runs) SELECT app_uid, pins, state, count(*) FROM run GROUP BY 1, 2, 3",
    )
    runs = _ask(store, "SELECT app_uid, app, lower(hex(id)) FROM run")
    journal = JournalStage(own)
    places = [
        Place(uid, space, app, PINS, None, f"{app}-control")
        for uid, space, app in _ask(store, "SELECT DISTINCT app_uid, namespace, app FROM run")
    ]
    for place in places:
        journal.table.add_pod(place.pod, place)
    with journal, ExitStack() as held:
        for place in places:
            variables = {"DYNAMIQ_APP_ID": place.app_uid, "DYNAMIQ_PINS": PINS}
            served = held.enter_context(pod(own / place.app, flow(live(place.app)), journal, token=place.pod, **variables))
            caller = Caller(served)
            for uid, _, run_id in runs:
                if uid == place.app_uid:
                    assert caller.approve(run_id, question).status == 200
        eventually("all end", lambda: not _ask(store, "SELECT 1 FROM run WHERE ended_at IS NULL LIMIT 1"), WITHIN)
        return {order: json.loads(output) for order, output in _ask(store, OUTPUTS)}


OUTPUTS = "SELECT idempotency_key, data FROM run JOIN content ON content.run = run.key AND name = 'output'"


def _ask(store: Path, sql: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=60)) as database:
        return list(database.execute(sql))


def _change(store: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(store)) as database:
        for each in statements:
            database.execute(each)
        database.commit()
