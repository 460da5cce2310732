"""Rolling back: a deploy of what ran before. It only finds out what to deploy; `deploy` previews and does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dynamiq_operator.actions import history
from dynamiq_operator.actions.deploy import Deploy
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.kube.api import Api
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.record import Result


def rollback(
    api: Api,
    namespace: str,
    app: str,
    *,
    version: str | None = None,
    row: str | int | None = None,
    with_config: bool = False,
    runtime: str | None = None,
    message: str | None = None,
) -> Deploy:
    """The deploy that brings back a row (its name or sequence), the newest row that ran a version, or the last good row.

    Scaling stays what is live, but for `with_config`: then it is the row's. A version that never ran is deployed as any other.
    Raises Refusal where there is nothing to go back to, and kube.errors.ApiError.
    """
    if row is not None:
        target: Manifest | None = history.find_row(api, namespace, app, row)
    else:
        rows = history.rows(api, namespace, app)
        target = _newest_of(rows, version) if version is not None else last_good(rows, app)
    if target is None:
        if with_config:
            raise Refusal(f"version {version} of {app} never ran, so it has no config to bring back: leave out --with-config")
        return Deploy(namespace, app, version=version, runtime=runtime, message=message)
    pinned = _pins(target)
    if not pinned:
        raise Refusal(f"row {target['metadata']['name']} of {app} was never rolled out, so there is nothing to bring back")
    config = pinned["config"] if with_config else None
    return Deploy(namespace, app, restores=target["metadata"]["name"], runtime=runtime, config=config, message=message)


def last_good(rows: Iterable[Manifest], app: str) -> Manifest:
    """The newest row that went Live and ran another flow than what is live or being rolled out. `rows`: newest first."""
    every = list(rows)
    current = next((row for row in every if _pins(row) and _result(row) in (None, Result.SUCCEEDED)), None)
    if current is None:
        raise Refusal(f"nothing of {app} has gone Live yet: there is nothing to go back to")
    older = every[every.index(current) + 1 :]
    found = next((row for row in older if _went_live(row) and _pins(row)["workflowHash"] != _pins(current)["workflowHash"]), None)
    if found is None:
        running = _pins(current)["workflowVersion"]
        raise Refusal(f"{app} has never run anything but {running}: name what to deploy, `kubectl dynamiq deploy {app} --version …`")
    return found


def _newest_of(rows: Iterable[Manifest], version: str) -> Manifest | None:
    return next((row for row in rows if _went_live(row) and _pins(row)["workflowVersion"] == version), None)


def _went_live(row: Manifest) -> bool:
    return bool(_pins(row)) and _result(row) == Result.SUCCEEDED


def _pins(row: Manifest) -> Mapping[str, Any]:
    pins: Mapping[str, Any] = row["spec"].get("pinned") or {}
    return pins


def _result(row: Manifest) -> str | None:
    result: str | None = (row["spec"].get("outcome") or {}).get("result")
    return result
