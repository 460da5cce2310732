"""Writes of an App's children: never of an object that is not the App's."""

from __future__ import annotations

from dynamiq_operator.controller.execute.apply import adopt, apply
from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.controller.execute.refused_writes import report_taken, reporting
from dynamiq_operator.desired.access_keys import access_keys
from dynamiq_operator.desired.base import WORKLOAD, is_ending, is_ours, owner
from dynamiq_operator.desired.child_kinds import child_kind
from dynamiq_operator.desired.flow import flow
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import BY_KIND, SECRETS, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.plan import operations


async def create_child(execution: Execution, operation: operations.CreateChild) -> None:
    """POSTs the child; an object of that name that is the App's is taken back, another one is a problem."""
    resource = BY_KIND[operation.manifest["kind"]]
    with reporting(execution, operation.manifest, operation.digest) as problem:
        try:
            created = await execution.client.create(resource, operation.manifest)
        except errors.AlreadyExists:
            await _take_back(execution, operation.app, operation.manifest)
        else:
            execution.cache.update(resource, await adopt(execution.client, resource, created))
        problem.resolve()


async def apply_child(execution: Execution, operation: operations.ApplyChild) -> None:
    """Applies the manifest; refused where another object has taken the name since, by its uid."""
    resource = BY_KIND[operation.manifest["kind"]]
    with reporting(execution, operation.manifest, operation.digest) as problem:
        observed = await adopt(execution.client, resource, operation.observed)
        manifest = {**operation.manifest, "metadata": {**operation.manifest["metadata"], "uid": observed["metadata"]["uid"]}}
        execution.cache.update(resource, await apply(execution.client, resource, manifest))
        problem.resolve()


async def own_child(execution: Execution, operation: operations.OwnChild) -> None:
    """Sets the App as owner."""
    resource, meta = BY_KIND[operation.observed["kind"]], operation.observed["metadata"]
    patch = {"metadata": {"uid": meta["uid"], "ownerReferences": [owner(operation.app)]}}
    execution.cache.update(resource, await execution.client.patch(resource, meta["namespace"], meta["name"], patch))


async def delete_child(execution: Execution, operation: operations.DeleteChild) -> None:
    """Deletes the object of this uid."""
    resource, meta = BY_KIND[operation.observed["kind"]], operation.observed["metadata"]
    keep = operation.keep_dependents
    await execution.client.delete(resource, meta["namespace"], meta["name"], meta["uid"], keep_dependents=keep)


async def scale_workload(execution: Execution, operation: operations.ScaleWorkload) -> None:
    """Sets replicas through the scale subresource, by the field manager that owns nothing but replicas."""
    resource, meta = BY_KIND[WORKLOAD.kind], operation.observed["metadata"]
    patch = {"spec": {"replicas": operation.replicas}}
    await execution.client.patch(resource, meta["namespace"], meta["name"], patch, subresource="scale", manager=names.REPLICAS_MANAGER)


async def create_flow(execution: Execution, operation: operations.CreateFlow) -> None:
    """Reads the flow of the WorkflowVersion and creates its ConfigMap. Raises errors.Conflict where the flow has another hash."""
    version = await execution.client.get(VERSIONS, execution.app[0], operation.version)
    text = version["spec"]["flow"]
    if flow_hash(text) != operation.flow_hash:
        raise errors.Conflict(f"WorkflowVersion {operation.version} was made again with another flow")
    manifest = flow(operation.app, operation.flow_hash, text)
    await create_child(execution, operations.CreateChild(operation.app, manifest, operation.flow_hash))


async def create_access_keys(execution: Execution, operation: operations.CreateAccessKeys) -> None:
    """Creates the Secret with a new key. One that exists is left as it is: the next reconcile observes whose it is."""
    execution.state.access_keys = None
    with reporting(execution, (manifest := access_keys(operation.app, execution.make_key())), "") as problem:
        try:
            await execution.client.create(SECRETS, manifest)
        except errors.AlreadyExists:
            return
        problem.resolve()


async def _take_back(execution: Execution, app: App, manifest: Manifest) -> None:
    """Applies to an object of that name if it is the App's: a restore brought it back, or another manager took our label off."""
    resource, meta = BY_KIND[manifest["kind"]], manifest["metadata"]
    found = await execution.client.get(resource, meta["namespace"], meta["name"])
    if is_ending(found):
        raise errors.Conflict(f"{manifest['kind']} {meta['name']} is being deleted")
    if not is_ours(found, app) or not _may_be_applied(manifest, found):
        report_taken(execution, manifest, found)
        return
    at_creation = child_kind(manifest["kind"]).at_creation
    spec = {key: value for key, value in manifest.get("spec", {}).items() if key not in at_creation}
    kept = {**manifest, "spec": spec} if "spec" in manifest else manifest
    execution.cache.update(resource, await apply(execution.client, resource, kept))


def _may_be_applied(manifest: Manifest, found: Manifest) -> bool:
    """Whether an object of this name can become what the manifest says: an immutable one only where it has that content."""
    return not child_kind(manifest["kind"]).immutable or bool(found.get("data") == manifest["data"])
