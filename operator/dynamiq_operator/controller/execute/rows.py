"""Writes rows: each is created once, completed once and ended once. It deletes one only for retention."""

from __future__ import annotations

from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.controller.execute.refused_writes import refusal
from dynamiq_operator.desired.base import owner
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPROVALS, ROWS
from dynamiq_operator.model import kinds, names, ownership
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import App, Manifest, Meta, Row
from dynamiq_operator.plan import operations


async def create_row(execution: Execution, operation: operations.CreateRow) -> None:
    """Creates a row, which the App owns from the beginning. If the App is deleted now, so is the row, and no other App of the name gets it.

    An existing row of that name is from an earlier attempt: the name is a hash of what the row requests.
    """
    meta = operation.app.meta
    author = {"createdBy": operation.created_by} if operation.created_by else {}
    manifest: Manifest = {
        "apiVersion": API_VERSION,
        "kind": kinds.ROW.kind,
        "metadata": {"name": operation.name, "namespace": meta.namespace, "ownerReferences": [owner(operation.app)]},
        "spec": {"app": meta.name, **operation.content, **author},
    }
    try:
        created = await execution.client.create(ROWS, manifest)
    except errors.AlreadyExists:
        created = await execution.client.get(ROWS, meta.namespace, operation.name)
        if ownership.is_anothers(created, meta.uid):
            raise errors.Conflict(f"row {operation.name} of the App that had this name before is being deleted") from None
    else:
        if names.may_revert(meta.name, operation.name):
            execution.metrics.reverts.inc()
    execution.state.update_ledger(Row.of(created))
    execution.cache.update(ROWS, created)


async def complete_row(execution: Execution, operation: operations.CompleteRow) -> None:
    """Sets sequence, pins, or both, and the App as owner, in one request."""
    spec: Manifest = {}
    if operation.sequence is not None:
        spec["sequence"] = operation.sequence
    if operation.pinned is not None:
        spec["pinned"] = operation.pinned.as_json()
    await _require_owner(execution, operation.app, operation.row)
    patch = {"metadata": {"ownerReferences": [owner(operation.app)]}, "spec": spec}
    execution.state.update_ledger(Row.of(await _patch(execution, operation.row.meta, patch)))
    if operation.pinned is not None and not operation.pinned.guards and operation.row.spec.bypass is not None:
        execution.metrics.bypasses.inc()


async def admit_row(execution: Execution, operation: operations.AdmitRow) -> None:
    """Sets that the row is admitted."""
    released = {"spec": {"released": operation.released.as_json()}}
    execution.state.update_ledger(Row.of(await _patch(execution, operation.row.meta, released)))
    if operation.row.spec.bypass is not None:  # the App was suspended
        execution.metrics.bypasses.inc()


async def end_row(execution: Execution, operation: operations.EndRow) -> None:
    """Sets the outcome."""
    outcome = {"spec": {"outcome": operation.outcome.as_json()}}
    execution.state.update_ledger(Row.of(await _patch(execution, operation.row.meta, outcome)))
    execution.metrics.ended(operation.row, operation.outcome)
    if operation.verification is not None:
        execution.metrics.verified(operation.verification, passed=False)


async def verify_row(execution: Execution, operation: operations.VerifyRow) -> None:
    """Sets that its pods passed the smoke test."""
    verified = {"spec": {"verified": operation.verified.as_json()}}
    execution.state.update_ledger(Row.of(await _patch(execution, operation.row.meta, verified)))
    execution.metrics.verified(operation.verified.seconds, passed=True)


async def own_row(execution: Execution, operation: operations.OwnRow) -> None:
    """Sets the App as owner."""
    await _require_owner(execution, operation.app, operation.row)
    await _patch(execution, operation.row.meta, {"metadata": {"ownerReferences": [owner(operation.app)]}})


async def leave_row(execution: Execution, operation: operations.LeaveRow) -> None:
    """Sets a deleted App as owner. The garbage collector checks by itself that the App is missing."""
    reference = ownership.reference(operation.app, operation.app_uid)
    await _patch(execution, operation.meta, {"metadata": {"ownerReferences": [reference]}})


async def delete_row(execution: Execution, operation: operations.DeleteRow) -> None:
    """Deletes the row of this uid, and its Approvals before it: none is left behind if the operator ends in between."""
    for approval in list(execution.cache.guards.approvals_of(operation.app.meta.namespace, operation.name)):
        meta = Meta.of(approval)
        await execution.client.delete(APPROVALS, meta.namespace, meta.name, meta.uid)
    await execution.client.delete(ROWS, operation.app.meta.namespace, operation.name, operation.uid)
    execution.state.remove_from_ledger(operation.name)


async def _require_owner(execution: Execution, app: App, row: Row) -> None:
    """Requires that the App exists before it becomes the owner of a row: the row would be deleted with a missing App.

    Raises errors.Conflict.
    """
    if app.meta.uid not in row.meta.owners:
        await execution.require_app(app)


async def _patch(execution: Execution, meta: Meta, patch: Manifest) -> Manifest:
    """Patches a row, guarded by resourceVersion as every write of a row: two operators never complete one row differently."""
    guarded = {**patch, "metadata": {**patch.get("metadata", {}), "resourceVersion": execution.version_of(meta)}}
    try:
        written = await execution.client.patch(ROWS, meta.namespace, meta.name, guarded)
    except (errors.Invalid, errors.Denied) as error:
        execution.state.keep_row_problem(meta.name, refusal(f"row {meta.name}", error, ""), execution.states.clock())
        raise
    execution.state.row_problems.pop(meta.name, None)
    execution.versions[meta.uid] = written["metadata"]["resourceVersion"]
    execution.cache.update(ROWS, written)
    return written
