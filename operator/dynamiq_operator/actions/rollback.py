"""Plans a rollback: a deploy of an older row. `perform_deploy` performs it.

`resolve` chooses the row, by default the last good one (`model.last_good`). `model.completion` takes its version and runtime, and keeps the
live scaling. The operator's own reverts are in `plan.revert.revert_row`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.actions import reads, running
from dynamiq_operator.actions.deploy import DeployRequest, PreviewedDeploy, plan_unseen, previewed
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.kube.api import Api
from dynamiq_operator.model import last_good as rule
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.row import Result
from dynamiq_operator.views.waiting import is_waiting


@dataclass(frozen=True)
class RollbackRequest:
    """A rollback to `row` (its name or sequence), to the newest row that ran `version`, or else to the last good row.

    The new row has the older row's runtime, unless `runtime` names another. It has the live scaling; `with_config`: that of the older row.
    A version that never ran is deployed as any other. `hold`, `bypass_reason`, `take_sessions`: as in a deploy.
    """

    namespace: str
    app: str
    version: str | None = None
    row: str | int | None = None
    with_config: bool = False
    runtime: str | None = None
    message: str | None = None
    hold: bool | None = None
    bypass_reason: str | None = None
    take_sessions: bool | None = None


def plan_rollback(api: Api, request: RollbackRequest) -> PreviewedDeploy:
    """Plans the deploy that rolls back.

    Raises Refusal if there is no row to roll back to, and kube.errors.ApiError.
    """
    app, rows = reads.find_app_and_rows(api, request.namespace, request.app)
    deploy = resolve(api, app, request)
    plan = plan_unseen(deploy)
    return previewed(api, plan, app, rows)


def resolve(api: Api, app: App, request: RollbackRequest) -> DeployRequest:
    """Returns the deploy that performs a rollback.

    Raises Refusal if there is no row to roll back to, and kube.errors.ApiError.
    """
    namespace, name, uid, version = app.meta.namespace, app.meta.name, app.meta.uid, request.version
    if request.row is not None:
        target: Manifest | None = reads.find_row(api, namespace, name, uid, request.row)
    else:
        rows = running.rows(api, namespace, name, uid)
        rejected = reads.rejected_hashes(api, namespace) if version is None else frozenset()
        target = _newest_of(rows, version) if version is not None else last_good(rows, name, rejected)
    if target is None:
        if request.with_config:
            raise Refusal(f"version {version} of {name} never ran, so it has no config: leave out --with-config")
        return DeployRequest(
            namespace,
            name,
            version=version,
            runtime=request.runtime,
            message=request.message,
            bypass_reason=request.bypass_reason,
            take_sessions=request.take_sessions,
        )
    return DeployRequest(
        namespace,
        name,
        restores=target["metadata"]["name"],
        runtime=request.runtime,
        config=config_of(target) if request.with_config else None,
        message=request.message,
        hold=request.hold,
        bypass_reason=request.bypass_reason,
        take_sessions=request.take_sessions,
    )


def config_of(row: Manifest) -> Mapping[str, Any] | None:
    """Returns the config of a row, which `with_config` deploys; None if it is not pinned. Limits that it lacks are kept from the live row."""
    return _pins(row).get("config")


def last_good(rows: Iterable[Manifest], app: str, rejected: Container[str] = ()) -> Manifest:
    """Returns the default row of a rollback, by the arguments of `find_last_good`.

    Raises Refusal if there is none.
    """
    row, why_none = find_last_good(rows, app, rejected)
    if row is None:
        raise Refusal(f"There is no version to roll back to: {why_none}. Name one: `kubectl dynamiq rollback {app} --to VERSION`")
    return row


def find_last_good(rows: Iterable[Manifest], app: str, rejected: Container[str] = ()) -> tuple[Manifest | None, str]:
    """Returns the last good row of an App (`model.last_good`), or None and the reason, as a clause.

    `rows`: newest first. `rejected`: the hashes of rejected flows.
    """
    pinned = {row["metadata"]["name"]: row for row in rows if _pins(row) and not is_waiting(row)}
    every = [_ran(row) for row in pinned.values()]
    bad = frozenset(name for name, row in pinned.items() if _pins(row)["workflowHash"] in rejected)
    now, good = rule.current(every), rule.last_good(every, bad)
    if now is None:
        return None, f"nothing of {app} has gone live yet"
    if good is not None:
        return pinned[good.name], ""
    if all(row.pair == now.pair for row in every if row.result == Result.SUCCEEDED):
        return None, f"{app} has run nothing but {_pins(pinned[now.name])['workflowVersion']}"
    return None, "each version that ran before was rolled back, reverted or rejected, and nobody has deployed it since"


def _ran(row: Manifest) -> rule.Ran:
    pins = _pins(row)
    restored = (pins.get("restores") or {}).get("sequence")
    return rule.Ran(row["metadata"]["name"], row["spec"]["sequence"], rule.pair_of(pins), restored, _result(row))


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
