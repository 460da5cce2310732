"""The digests of Access Keys that the gate has of private serverless Apps."""

from __future__ import annotations

from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.desired.gate_keys import gate_keys
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import SECRETS
from dynamiq_operator.model import names
from dynamiq_operator.plan import operations


async def write_gate_keys(execution: Execution, operation: operations.WriteGateKeys) -> None:
    """Reads the Access Keys and writes their digests. Raises errors.Conflict where the keys, or the digests, are others by now."""
    client, app = execution.client, operation.app
    found = await client.get(SECRETS, app.meta.namespace, names.access_keys(app.meta.name))
    if found["metadata"]["resourceVersion"] != operation.version:
        execution.state.access_keys = None
        raise errors.Conflict(f"the Access Keys of App {app.meta.name} were changed meanwhile")
    manifest = gate_keys(app, operation.namespace, operation.version, found.get("data") or {})
    meta = manifest["metadata"]
    try:
        await client.create(SECRETS, manifest)
    except errors.AlreadyExists:
        there = (await client.get(SECRETS, meta["namespace"], meta["name"]))["metadata"]
        guarded = {"metadata": {**{key: meta[key] for key in ("labels", "annotations")}, "resourceVersion": there["resourceVersion"]}}
        await client.patch(SECRETS, meta["namespace"], meta["name"], {**guarded, "data": manifest["data"]})
    execution.state.gate_keys = operation.version
