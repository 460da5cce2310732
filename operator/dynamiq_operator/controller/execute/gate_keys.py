"""Writes the digests of Access Keys that the gate has of private serverless Apps. It writes no key."""

from __future__ import annotations

from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.desired.gate_keys import gate_keys
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import SECRETS
from dynamiq_operator.model import names
from dynamiq_operator.plan import operations


async def write_gate_keys(execution: Execution, operation: operations.WriteGateKeys) -> None:
    """Reads the Access Keys and writes their digests.

    Raises errors.Conflict if the keys, or the digests, were changed since.
    """
    client, app = execution.client, operation.app
    secret = await client.get(SECRETS, app.meta.namespace, names.access_keys(app.meta.name))
    if secret["metadata"]["resourceVersion"] != operation.version:
        execution.state.access_keys = None
        raise errors.Conflict(f"the Access Keys of App {app.meta.name} were changed at the same time")
    manifest = gate_keys(app, operation.namespace, operation.version, secret.get("data") or {})
    meta = manifest["metadata"]
    try:
        await client.create(SECRETS, manifest)
    except errors.AlreadyExists:
        existing = (await client.get(SECRETS, meta["namespace"], meta["name"]))["metadata"]
        guarded = {"metadata": {**{key: meta[key] for key in ("labels", "annotations")}, "resourceVersion": existing["resourceVersion"]}}
        await client.patch(SECRETS, meta["namespace"], meta["name"], {**guarded, "data": manifest["data"]})
    execution.state.gate_keys = operation.version
