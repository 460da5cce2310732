"""Which function executes which operation, and the execution of a plan: its operations in order, up to the first that fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from dynamiq_operator.controller.app_state import AppStates
from dynamiq_operator.controller.cache import AppKey, Cache
from dynamiq_operator.controller.claims import Claims
from dynamiq_operator.controller.client import Client
from dynamiq_operator.controller.execute import children, events, hostnames, records, runs, statuses
from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.controller.leader import LeaderElection
from dynamiq_operator.plan import operations

EXECUTE: Mapping[type[Any], Callable[[Execution, Any], Awaitable[None]]] = {
    operations.Emit: events.emit,
    operations.SetAppStatus: statuses.set_app_status,
    operations.SetRecordStatus: statuses.set_record_status,
    operations.CreateRecord: records.create_record,
    operations.CompleteRecord: records.complete_record,
    operations.EndRecord: records.end_record,
    operations.OwnRecord: records.own_record,
    operations.DeleteRecord: records.delete_record,
    operations.CreateChild: children.create_child,
    operations.ApplyChild: children.apply_child,
    operations.OwnChild: children.own_child,
    operations.DeleteChild: children.delete_child,
    operations.ScaleWorkload: children.scale_workload,
    operations.CreateFlow: children.create_flow,
    operations.CreateAccessKeys: children.create_access_keys,
    operations.AnnotatePod: runs.annotate_access_keys,
    operations.RunOnce: runs.run_once,
    operations.ClaimHostname: hostnames.claim_hostname,
    operations.KeepClaim: hostnames.annotate_claim,
    operations.ReleaseClaim: hostnames.release_claim,
}
"""The function of each operation. It raises errors.ApiError where nothing that follows in the plan may be done."""


class Executor:
    """Executes plans while this replica leads. `make_key` makes a new Access Key."""

    def __init__(
        self, client: Client, cache: Cache, states: AppStates, claims: Claims, election: LeaderElection, make_key: Callable[[], str]
    ) -> None:
        self._client, self._cache, self._states, self._claims = client, cache, states, claims
        self._election, self._make_key = election, make_key

    async def execute(self, app: AppKey, plan: operations.Plan) -> None:
        """Executes a plan of an App. Raises errors.ApiError of the first operation that fails, and LeadershipLost before one."""
        execution = Execution(app, self._client, self._cache, self._states, self._claims, self._election.identity, self._make_key)
        for operation in plan.operations:
            self._election.require_leadership()
            await EXECUTE[type(operation)](execution, operation)
