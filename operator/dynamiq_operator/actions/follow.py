"""Follows a deploy until it has ended. It changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from dynamiq_operator.actions.reads import typed
from dynamiq_operator.actions.refusals import Unknown
from dynamiq_operator.actions.running import workloads_of
from dynamiq_operator.actions.workloads import Pods
from dynamiq_operator.kube import api as requests
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import Api
from dynamiq_operator.kube.resource import APPS, ROWS
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.ownership import app_uid
from dynamiq_operator.model.row import Phase, Result
from dynamiq_operator.views.waiting import is_waiting, waits_of

EVERY = 0.5  # seconds
PATIENCE = 30.0
"""Seconds without an answer of the API server after which following ends with an error."""


@dataclass(frozen=True)
class Progress:
    """The state of a deploy. `pods`: None if it has ended, or its workload is missing or unreadable. `waits`: None without such a guard."""

    row: Manifest
    phase: str
    message: str
    is_done: bool
    succeeded: bool
    pods: Pods | None = None
    waits: str | None = None


def follow(api: Api, namespace: str, row: str, *, app: str) -> Iterator[Progress]:
    """Yields the state of the deploy about twice a second, the last time when it has ended.

    Raises Unknown if the row is deleted, and ApiError.
    """
    seen, uid = time.monotonic(), None
    while True:
        try:
            raw = _read(api, namespace, row, uid)
            uid = raw["metadata"]["uid"]
            pods = None if _ended(raw) else pods_of(api, namespace, app, raw)
        except errors.NotFound:
            raise Unknown(f"row {row} was deleted, with App {app} or its namespace") from None
        except errors.Unavailable:
            if time.monotonic() - seen > PATIENCE:
                raise
            time.sleep(EVERY)
            continue
        seen = time.monotonic()
        progress = _progress(raw, pods)
        yield progress
        if progress.is_done:
            return
        time.sleep(EVERY)


def served_app(api: Api, namespace: str, name: str, row: str, seconds: float) -> App | None:
    """Waits until the App's status has the row as live, and returns the App; None after `seconds`.

    Raises kube.errors.ApiError.
    """
    # The operator writes the App's status after the row's, so a row that has ended is not enough.
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        app = typed(App, requests.read_object(api, APPS, namespace, name))
        if app.status.live is not None and app.status.live.row == row:
            return app
        time.sleep(EVERY)
    return None


def _read(api: Api, namespace: str, row: str, uid: str | None) -> Manifest:
    """Returns the row.

    Raises errors.NotFound, also if another row has its name now: its App was deleted and created again.
    """
    raw = requests.read_object(api, ROWS, namespace, row)
    if uid is not None and raw["metadata"]["uid"] != uid:
        raise errors.NotFound(f"another row has the name {row}")
    return raw


def pods_of(api: Api, namespace: str, app: str, row: Manifest | None) -> Pods | None:
    """Counts the pods of a row, and those that serve meanwhile; returns None if the workload is missing or may not be read.

    Raises ApiError.
    """
    workloads = workloads_of(api, namespace, app, app_uid(row) if row is not None else None)
    return workloads.pods_of(row) if workloads is not None else None


def _ended(raw: Manifest) -> bool:
    """Returns True if the row has its outcome, and its status follows it."""
    phase = (raw.get("status") or {}).get("phase")
    return "outcome" in raw["spec"] and phase in (Phase.LIVE, Phase.SUPERSEDED, Phase.FAILED)


def _progress(raw: Manifest, pods: Pods | None) -> Progress:
    status, outcome = raw.get("status") or {}, raw["spec"].get("outcome") or {}
    message = next((condition.get("message") for condition in status.get("conditions") or () if condition.get("type") == "Succeeded"), "")
    return Progress(
        raw,
        phase=status.get("phase") or Phase.PENDING.value,
        message=outcome.get("reason") or message or "",
        is_done=_ended(raw),
        succeeded=outcome.get("result") == Result.SUCCEEDED,
        pods=pods,
        waits=(waits_of(raw) or {}).get("message") if is_waiting(raw) else None,
    )
