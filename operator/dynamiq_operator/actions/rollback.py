"""Rolling back: a deploy of what ran before. Its plan is the plan of a deploy, and `perform_deploy` does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.actions import history
from dynamiq_operator.actions.deploy import DeployRequest, PreviewedDeploy, plan_deploy
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.kube.api import Api
from dynamiq_operator.model.completion import why_not_restorable
from dynamiq_operator.model.objects import Manifest, Record
from dynamiq_operator.model.record import Result


@dataclass(frozen=True)
class RollbackRequest:
    """What is asked to be brought back: a row (its name or sequence), the newest row that ran a version, or else the last good row.

    Its runtime comes back with it, unless `runtime` names another. Scaling stays what is live, but for `with_config`: then it is the
    row's. A version that never ran is deployed as any other.
    """

    namespace: str
    app: str
    version: str | None = None
    row: str | int | None = None
    with_config: bool = False
    runtime: str | None = None
    message: str | None = None


def plan_rollback(api: Api, request: RollbackRequest) -> PreviewedDeploy:
    """The plan of the deploy that brings it back. Raises Refusal where there is nothing to go back to, and kube.errors.ApiError."""
    return plan_deploy(api, resolve(api, request))


def resolve(api: Api, request: RollbackRequest) -> DeployRequest:
    """The deploy that a rollback is. Raises Refusal where there is nothing to go back to, and kube.errors.ApiError."""
    namespace, app, version = request.namespace, request.app, request.version
    if request.row is not None:
        target: Manifest | None = history.find_row(api, namespace, app, request.row)
    else:
        rows = history.rows(api, namespace, app)
        target = _newest_of(rows, version) if version is not None else last_good(rows, app)
    if target is None:
        if request.with_config:
            raise Refusal(f"version {version} of {app} never ran, so it has no config to bring back: leave out --with-config")
        return DeployRequest(namespace, app, version=version, runtime=request.runtime, message=request.message)
    record = history.typed(Record, target)
    if (why_not := why_not_restorable(record)) is not None:
        raise Refusal(why_not)
    pinned = _pins(target)
    config = pinned["config"] if request.with_config else None
    name = target["metadata"]["name"]
    return DeployRequest(namespace, app, restores=name, runtime=request.runtime, config=config, message=request.message)


def last_good(rows: Iterable[Manifest], app: str) -> Manifest:
    """The newest row that went Live with another pair of flow and runtime than what is live or being rolled out now.

    Where that one brought an older row back, only what is older still counts: a second rollback goes further back, and never forth again.
    `rows`: newest first.
    """
    every = list(rows)
    current = next((row for row in every if _pins(row) and _result(row) in (None, Result.SUCCEEDED)), None)
    if current is None:
        raise Refusal(f"nothing of {app} has gone Live yet: there is nothing to go back to")
    origin = _origin(current, every)
    older = [row for row in every if _went_live(row) and row["spec"]["sequence"] < origin]
    found = next((row for row in older if _pair(row) != _pair(current)), None)
    if found is None:
        running = _pins(current)["workflowVersion"]
        before = f" before row #{origin}, which it brought back" if origin != current["spec"]["sequence"] else ""
        raise Refusal(
            f"{app} has never run anything but {running}{before}: name what to deploy, `kubectl dynamiq deploy {app} --version …`"
        )
    return found


def _origin(row: Manifest, rows: Iterable[Manifest]) -> int:
    """The sequence of the row that a row brought back, or, where that one brought one back as well, of that one, and so on; else its own."""
    by_sequence = {each["spec"].get("sequence"): each for each in rows}
    sequence: int = row["spec"]["sequence"]
    while (restored := _pins(row).get("restores")) is not None and restored["sequence"] < sequence:
        sequence = restored["sequence"]
        if (found := by_sequence.get(sequence)) is None:
            break
        row = found
    return sequence


def _pair(row: Manifest) -> tuple[str, Mapping[str, Any]]:
    return _pins(row)["workflowHash"], _pins(row)["runtime"]


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
