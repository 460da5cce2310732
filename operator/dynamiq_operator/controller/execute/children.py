"""Writes of an App's children: never of an object that is not the App's."""

from __future__ import annotations

from dynamiq_operator.controller.execute.apply import ATTEMPTS, apply, create
from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.controller.execute.refused_writes import report_taken, reporting
from dynamiq_operator.desired.access_keys import access_keys
from dynamiq_operator.desired.base import CONFIG_MAP, WORKLOAD, is_ending, is_ours, is_owned, owner
from dynamiq_operator.desired.child_kinds import child_kind
from dynamiq_operator.desired.drift import without_creation
from dynamiq_operator.desired.flow import flow, is_flow
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import BY_KIND, SECRETS, VERSIONS
from dynamiq_operator.model import names, ownership
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.plan import operations


async def create_child(execution: Execution, operation: operations.CreateChild) -> None:
    """Creates the child; an object of that name that is the App's is taken back, another one is a problem.

    What only a creation has is left out, but for more than one replica: those are the scale's, which the autoscaler takes over from.
    """
    resource, entry = BY_KIND[operation.manifest["kind"]], child_kind(operation.manifest["kind"])
    replicas = operation.manifest.get("spec", {}).get("replicas", 1)
    with reporting(execution, operation.manifest, operation.digest) as problem:
        try:
            if entry.written:
                created = await create(execution.client, resource, without_creation(operation.manifest))
            else:  # an apply would take the right to write it later, too
                created = await execution.client.create(resource, operation.manifest)
        except errors.AlreadyExists as error:
            await _take_back(execution, operation.app, operation.manifest, error)
        else:
            execution.cache.update(resource, created)
            execution.state.verification.made(created)
            if entry.scaled and replicas > 1:
                await _scale(execution, created, replicas)
        problem.resolve()


async def apply_child(execution: Execution, operation: operations.ApplyChild) -> None:
    """Applies the manifest to the object as it was observed; refused where it has another spec by now, or another object has its name."""
    resource = BY_KIND[operation.manifest["kind"]]
    with reporting(execution, operation.manifest, operation.digest) as problem:
        execution.cache.update(resource, await apply(execution.client, resource, operation.manifest, operation.observed))
        problem.resolve()


async def own_child(execution: Execution, operation: operations.OwnChild) -> None:
    """Sets the App as owner."""
    await execution.require_app(operation.app)
    resource, meta = BY_KIND[operation.observed["kind"]], operation.observed["metadata"]
    patch = {"metadata": {**_version(operation.observed), "ownerReferences": [owner(operation.app)]}}
    execution.cache.update(resource, await execution.client.patch(resource, meta["namespace"], meta["name"], patch))


async def delete_child(execution: Execution, operation: operations.DeleteChild) -> None:
    """Deletes the object as it was observed; one that was written since is looked at again first."""
    resource, meta = BY_KIND[operation.observed["kind"]], operation.observed["metadata"]
    keep, version = operation.keep_dependents, meta["resourceVersion"]
    if await execution.client.delete(resource, meta["namespace"], meta["name"], meta["uid"], version=version, keep_dependents=keep):
        execution.cache.delete(resource, operation.observed)


async def scale_workload(execution: Execution, operation: operations.ScaleWorkload) -> None:
    """Sets replicas through the scale subresource."""
    await _scale(execution, operation.observed, operation.replicas)


async def create_flow(execution: Execution, operation: operations.CreateFlow) -> None:
    """Reads the flow of the WorkflowVersion, where it did not come from an archive, and creates its ConfigMap. Raises errors.Conflict where the flow has another hash.

    A ConfigMap of that name which exists is the App's only with just this content, and immutable.
    """
    text = operation.text
    if text is None:
        version = await execution.client.get(VERSIONS, execution.app[0], operation.version)
        text = version["spec"]["flow"]
    if flow_hash(text) != operation.flow_hash:
        raise errors.Conflict(f"WorkflowVersion {operation.version} was made again with another flow")
    manifest, resource = flow(operation.app, operation.flow_hash, text), BY_KIND[CONFIG_MAP.kind]
    with reporting(execution, manifest, operation.flow_hash) as problem:
        try:
            created = await execution.client.create(resource, manifest)
        except errors.AlreadyExists as error:
            found = await _existing(execution, operation.app, manifest, error)
            if not is_ours(found, operation.app) or not is_flow(found, operation.flow_hash):
                said = f"ConfigMap {found['metadata']['name']} exists, and is not this flow, immutable and this App's: delete it"
                report_taken(execution, manifest, found, said)
                raise errors.Conflict(said) from error  # no pod may mount it
            await execution.require_app(operation.app, anew=True)
            patch = {"metadata": {**_version(found), **{key: manifest["metadata"][key] for key in ("labels", "ownerReferences")}}}
            created = await execution.client.patch(resource, execution.app[0], manifest["metadata"]["name"], patch)
        execution.cache.update(resource, created)
        problem.resolve()


async def create_access_keys(execution: Execution, operation: operations.CreateAccessKeys) -> None:
    """Creates the Secret with a new key. One that exists is left as it is: the next reconcile observes whose it is.

    Raises errors.Conflict where it is that of an App that had the name before, and is about to go.
    """
    execution.state.access_keys = None
    with reporting(execution, (manifest := access_keys(operation.app, execution.make_key())), "") as problem:
        try:
            await execution.client.create(SECRETS, manifest)
        except errors.AlreadyExists as error:
            await _existing(execution, operation.app, manifest, error)
            return
        problem.resolve()


async def _take_back(execution: Execution, app: App, manifest: Manifest, error: errors.ApiError) -> None:
    """Applies to an object of that name if it is the App's: a restore brought it back, or another manager took our label off."""
    resource = BY_KIND[manifest["kind"]]
    found = await _existing(execution, app, manifest, error)
    if not is_ours(found, app):
        report_taken(execution, manifest, found)
        return
    if not is_owned(found, app):
        await execution.require_app(app, anew=True)
    if child_kind(manifest["kind"]).written:
        execution.cache.update(resource, await apply(execution.client, resource, without_creation(manifest), found))
    elif manifest["metadata"]["labels"].items() <= (found["metadata"].get("labels") or {}).items():
        execution.cache.update(resource, found)
    else:  # no watch reports it: it would be asked for again and again
        report_taken(
            execution, manifest, found, f"{manifest['kind']} {found['metadata']['name']} exists, and lacks labels of ours: delete it"
        )


async def _existing(execution: Execution, app: App, manifest: Manifest, error: errors.ApiError) -> Manifest:
    """The object that has the manifest's name. Raises errors.Conflict where it is gone already, or is going: then it is made anew.

    What an App owns that had this one's name before is going, too, with all that it makes: a workload that was taken over would run its pods.
    """
    meta = manifest["metadata"]
    try:
        found = await execution.client.get(BY_KIND[manifest["kind"]], meta["namespace"], meta["name"])
    except errors.NotFound:
        raise errors.Conflict(str(error)) from error
    if is_ending(found):
        raise errors.Conflict(f"{manifest['kind']} {meta['name']} is being deleted")
    if ownership.is_of_former(found, app.meta.name, app.meta.uid):
        raise errors.Conflict(f"{manifest['kind']} {meta['name']} of the App that had this name before is being deleted")
    return found


async def _scale(execution: Execution, observed: Manifest, replicas: int) -> None:
    """By the field manager that owns nothing but replicas. Once another manager has set them they are left alone.

    The workload is read after it, since the answer is a Scale: a next reconcile that still saw the old number would take an App that
    falls asleep for one that is awake, and lead its callers away from the gate.
    """
    resource, meta = BY_KIND[WORKLOAD.kind], observed["metadata"]
    for _ in range(ATTEMPTS):
        patch, was_set = {"metadata": _version(observed), "spec": {"replicas": replicas}}, True
        try:
            await execution.client.patch(
                resource, meta["namespace"], meta["name"], patch, subresource="scale", manager=names.REPLICAS_MANAGER
            )
        except errors.Conflict:
            was_set = False
        found = await execution.client.get(resource, meta["namespace"], meta["name"])
        execution.cache.update(resource, found)
        if was_set or found["metadata"]["uid"] != meta["uid"] or found["spec"].get("replicas") != observed["spec"].get("replicas"):
            return
        observed = found


def _version(observed: Manifest) -> Manifest:
    """What a patch names so that it is refused where the object is another one, or was written since."""
    return {key: observed["metadata"][key] for key in ("uid", "resourceVersion")}
