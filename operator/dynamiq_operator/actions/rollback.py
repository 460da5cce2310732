"""Plans a rollback: a deploy of an older row. `perform_deploy` performs it.

`resolve` chooses the row, by default the last good one (`model.last_good`). `model.completion` takes its version and runtime, and keeps the
live scaling. The operator's own reverts are in `plan.revert.revert_row`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.actions import reads
from dynamiq_operator.actions.deploy import DeployRequest, PreviewedDeploy, plan_deploy
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.kube.api import Api
from dynamiq_operator.model import last_good as rule
from dynamiq_operator.model.completion import why_not_restorable
from dynamiq_operator.model.objects import Manifest, Row
from dynamiq_operator.model.row import Result
from dynamiq_operator.views.waiting import is_waiting


@dataclass(frozen=True)
class RollbackRequest:
    """A rollback to `row` (its name or sequence), to the newest row that ran `version`, or else to the last good row.

    The new row has the older row's runtime, unless `runtime` names another. It has the live scaling; `with_config`: that of the older row.
    A version that never ran is deployed as any other. `hold`, `bypass_reason`: as in a deploy.
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


def plan_rollback(api: Api, request: RollbackRequest) -> PreviewedDeploy:
    """Plans the deploy that rolls back.

    Raises Refusal if there is no row to roll back to, and kube.errors.ApiError.
    """
    return plan_deploy(api, resolve(api, request))


def resolve(api: Api, request: RollbackRequest) -> DeployRequest:
    """Returns the deploy that performs a rollback.

    Raises Refusal if there is no row to roll back to, and kube.errors.ApiError.
    """
    namespace, app, version = request.namespace, request.app, request.version
    if request.row is not None:
        target: Manifest | None = reads.find_row(api, namespace, app, request.row)
    else:
        rows = reads.rows(api, namespace, app)
        target = _newest_of(rows, version) if version is not None else last_good(rows, app, reads.rejected_hashes(api, namespace))
    if target is None:
        if request.with_config:
            raise Refusal(f"version {version} of {app} never ran, so it has no config: leave out --with-config")
        return DeployRequest(
            namespace, app, version=version, runtime=request.runtime, message=request.message, bypass_reason=request.bypass_reason
        )
    row = reads.typed(Row, target)
    if (why_not := why_not_restorable(row)) is not None:
        raise Refusal(why_not)
    config = config_of(target) if request.with_config else None
    name = target["metadata"]["name"]
    return DeployRequest(
        namespace,
        app,
        restores=name,
        runtime=request.runtime,
        config=config,
        message=request.message,
        hold=request.hold,
        bypass_reason=request.bypass_reason,
    )


def config_of(row: Manifest) -> Mapping[str, Any]:
    """Returns the config of a pinned row, which `with_config` deploys. Limits that it lacks are kept from the live row."""
    config: Mapping[str, Any] = _pins(row)["config"]
    return config


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
