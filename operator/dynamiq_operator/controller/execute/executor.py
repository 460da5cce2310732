"""Executes a plan: its groups in order, each up to the first operation that fails, and each operation by its function. It retries nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, cast

from dynamiq_operator.controller.app_state import AppStates
from dynamiq_operator.controller.cached.cache import AppKey, Cache
from dynamiq_operator.controller.execute import children, evaluations, events, gate_keys, rows, runs, statuses
from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.controller.execute.turns import Turns
from dynamiq_operator.controller.hostnames.claims import Claims
from dynamiq_operator.controller.leading.leader import LeaderElection, LeadershipLost
from dynamiq_operator.controller.telemetry.metrics import OperatorMetrics
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.output.groups import NUMBERS

EXECUTE: Mapping[type[Any], Callable[[Execution, Any], Awaitable[None]]] = {
    operations.Emit: events.emit,
    operations.SetAppStatus: statuses.set_app_status,
    operations.SetAppConditions: statuses.set_app_conditions,
    operations.SetRowStatus: statuses.set_row_status,
    operations.CreateRow: rows.create_row,
    operations.CompleteRow: rows.complete_row,
    operations.AdmitRow: rows.admit_row,
    operations.EndRow: rows.end_row,
    operations.VerifyRow: rows.verify_row,
    operations.OwnRow: rows.own_row,
    operations.LeaveRow: rows.leave_row,
    operations.DeleteRow: rows.delete_row,
    operations.CreateChild: children.create_child,
    operations.ApplyChild: children.apply_child,
    operations.OwnChild: children.own_child,
    operations.DeleteChild: children.delete_child,
    operations.ScaleWorkload: children.scale_workload,
    operations.CreateFlow: children.create_flow,
    operations.CreateAccessKeys: children.create_access_keys,
    operations.CreateCallbackKey: children.create_callback_key,
    operations.WriteGateKeys: gate_keys.write_gate_keys,
    operations.AnnotatePod: runs.annotate_pod,
    operations.CreateEvaluationKey: evaluations.create_evaluation_key,
    operations.StartEvaluation: evaluations.start_evaluation,
    operations.RunOnce: runs.run_once,
    operations.ClaimHostname: lambda execution, operation: execution.claims.create(operation),
    operations.KeepClaim: lambda execution, operation: execution.claims.annotate(operation),
    operations.ReleaseClaim: lambda execution, operation: execution.claims.release(operation),
}
"""The function of each operation. It raises errors.ApiError if nothing that relies on the operation may be done."""

OnDone = Callable[[Sequence[operations.Operation]], None]
"""Called with operations that were done."""

UNANSWERED_MOST = 2
"""Requests without any answer after which a pass ends: each lasts as long as a request may, and other Apps wait meanwhile."""


@dataclass(frozen=True)
class Failure:
    """An operation that failed, in the group of this name."""

    group: str
    operation: operations.Operation
    error: Exception


class Executor:
    """The executor of plans, while this replica leads. `make_key`: makes an Access Key."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        states: AppStates,
        claims: Claims,
        election: LeaderElection,
        make_key: Callable[[], str],
        metrics: OperatorMetrics,
    ) -> None:
        self._client, self._cache, self._states, self._claims = client, cache, states, claims
        self._election, self._make_key, self._metrics = election, make_key, metrics
        self._turns = Turns()

    async def execute(self, app: AppKey, plan: operations.Plan, on_done: OnDone | None = None) -> tuple[Failure, ...]:
        """Executes a plan of an App: every group that relies on no failed one. Returns what failed. Raises LeadershipLost before an
        operation.

        `on_done`: called for each group with its operations that were done, in their order.
        """
        execution = Execution(
            app, self._client, self._cache, self._states, self._claims, self._election.identity, self._make_key, self._metrics
        )
        failures: list[Failure] = []
        undone: set[str] = set()
        event_tasks: dict[int, asyncio.Task[None]] = {}
        try:
            for place, group in enumerate(plan.groups):
                if group.after & undone:
                    undone.add(group.name)
                    continue
                # The Events of the next group are true once the row's number is reserved. If reserving it fails, it is only tried again.
                self._begin_events(execution, plan.groups[place : place + (2 if group.name == NUMBERS else 1)], event_tasks)
                done: list[operations.Operation] = []
                try:
                    failure = await self._execute_group(execution, group, event_tasks, done, backlog=plan.backlog)
                finally:
                    if on_done is not None:
                        on_done(done)
                if failure is not None:
                    undone.add(group.name)
                    failures.append(failure)
                    if sum(_is_unanswered(each.error) for each in failures) >= UNANSWERED_MOST:
                        break
        finally:
            await asyncio.gather(*event_tasks.values(), return_exceptions=True)
        return tuple(failures)

    def _begin_events(self, execution: Execution, groups: Iterable[operations.Group], event_tasks: dict[int, asyncio.Task[None]]) -> None:
        """Begins to create the Events that come first in these groups, all at once: the operations after them wait for them."""
        self._election.require_leadership()
        for group in groups:
            for event in takewhile(lambda operation: isinstance(operation, operations.Emit), group.operations):
                if id(event) not in event_tasks:
                    event_tasks[id(event)] = asyncio.create_task(events.emit(execution, cast(operations.Emit, event)))

    async def _execute_group(
        self,
        execution: Execution,
        group: operations.Group,
        event_tasks: Mapping[int, asyncio.Task[None]],
        done: list[operations.Operation],
        *,
        backlog: bool,
    ) -> Failure | None:
        """Returns the operation that failed, which ends the group; None if all were done. `done`: gets those that were."""
        for operation in group.operations:
            try:
                async with self._turns.turn(execution.app[0], backlog=backlog):
                    self._election.require_leadership()
                    if id(operation) in event_tasks:
                        await event_tasks[id(operation)]
                    else:
                        await EXECUTE[type(operation)](execution, operation)
            except LeadershipLost:
                raise
            except Exception as error:  # also one that is a bug of ours: it costs what relies on this operation, and nothing else
                return Failure(group.name, operation, error)
            done.append(operation)
            await asyncio.sleep(0)  # an operation that needed no request would keep others from the loop
        return None


def _is_unanswered(error: Exception) -> bool:
    return isinstance(error, errors.Unavailable) and error.status == 0
