"""Writes the status subresource, guarded by resourceVersion. It writes nothing else."""

from __future__ import annotations

from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.kube.resources import APPS, ROWS, ApiResource
from dynamiq_operator.model.base import Part
from dynamiq_operator.model.objects import Manifest, Meta
from dynamiq_operator.plan import operations


async def set_app_status(execution: Execution, operation: operations.SetAppStatus) -> None:
    """Sets the App's status.

    Raises errors.Conflict if the App was written since the snapshot.
    """
    await _set_status(execution, APPS, operation.app.meta, operation.status)


async def set_app_conditions(execution: Execution, operation: operations.SetAppConditions) -> None:
    """Sets the App's conditions alone.

    Raises errors.Conflict if the App was written since the snapshot.
    """
    await _patch_status(execution, APPS, operation.meta, {"conditions": list(operation.conditions)})


async def set_row_status(execution: Execution, operation: operations.SetRowStatus) -> None:
    """Sets the row's status.

    Raises errors.Conflict if the row was written since the snapshot.
    """
    await _set_status(execution, ROWS, operation.row.meta, operation.status)


async def _set_status(execution: Execution, resource: ApiResource, meta: Meta, status: Part) -> None:
    whole = status.as_json()
    cleared = {field.alias or name: None for name, field in type(status).model_fields.items() if (field.alias or name) not in whole}
    await _patch_status(execution, resource, meta, whole | cleared)


async def _patch_status(execution: Execution, resource: ApiResource, meta: Meta, status: Manifest) -> None:
    patch = {"metadata": {"resourceVersion": execution.version_of(meta)}, "status": status}
    written = await execution.client.patch(resource, meta.namespace, meta.name, patch, subresource="status")
    execution.versions[meta.uid] = written["metadata"]["resourceVersion"]
    execution.cache.update(resource, written)
