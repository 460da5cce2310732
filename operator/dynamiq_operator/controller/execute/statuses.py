"""Writes the status subresource, guarded by resourceVersion. It writes nothing else."""

from __future__ import annotations

from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.base import Part
from dynamiq_operator.model.objects import Manifest, Meta


async def set_status(execution: Execution, resource: ApiResource, meta: Meta, status: Part) -> None:
    """Sets the whole status of an object.

    Raises errors.Conflict if the object was written since the snapshot.
    """
    whole = status.as_json()
    cleared = {field.alias or name: None for name, field in type(status).model_fields.items() if (field.alias or name) not in whole}
    await set_fields(execution, resource, meta, whole | cleared)


async def set_fields(execution: Execution, resource: ApiResource, meta: Meta, status: Manifest) -> None:
    """Sets only these fields of the status, in the same way."""
    patch = {"metadata": {"resourceVersion": execution.version_of(meta)}, "status": status}
    written = await execution.client.patch(resource, meta.namespace, meta.name, patch, subresource="status")
    execution.versions[meta.uid] = written["metadata"]["resourceVersion"]
    execution.cache.update(resource, written)
