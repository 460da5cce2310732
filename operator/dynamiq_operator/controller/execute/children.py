"""Writes an App's children, and never an object that is not the App's."""

from __future__ import annotations

from dynamiq_operator.controller.execute.apply import ATTEMPTS, apply, create, version_of
from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.controller.execute.refused_writes import report_taken, reporting
from dynamiq_operator.desired.access_keys import access_keys
from dynamiq_operator.desired.base import CONFIG_MAP, WORKLOAD, is_ending, is_ours, is_owned, owner
from dynamiq_operator.desired.callback_key import callback_key
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
    """Creates the child. An existing object of that name is adopted if it is the App's; any other one is a problem.

    Fields that only a creation has are left out. Another number of replicas than 1 is set through the scale, from which the autoscaler takes
    over.
    """
    resource, entry = BY_KIND[operation.manifest["kind"]], child_kind(operation.manifest["kind"])
    replicas = operation.manifest.get("spec", {}).get("replicas", 1)
    with reporting(execution, operation.manifest, operation.digest) as resolve:
        try:
            if entry.written:
                created = await create(execution.client, resource, without_creation(operation.manifest))
            else:  # an apply would need the right to write it later, too
                created = await execution.client.create(resource, operation.manifest)
        except errors.AlreadyExists as error:
            await _adopt_existing(execution, operation.app, operation.manifest, error)
        else:
            execution.cache.update(resource, created)
            execution.state.verification.note_created(created)
            if entry.scaled and replicas != 1:
                await _scale(execution, created, replicas)
        resolve()


async def apply_child(execution: Execution, operation: operations.ApplyChild) -> None:
    """Applies the manifest to the object as it was observed. It is refused if the spec has changed, or another object has its name."""
    resource = BY_KIND[operation.manifest["kind"]]
    with reporting(execution, operation.manifest, operation.digest) as resolve:
        execution.cache.update(resource, await apply(execution.client, resource, operation.manifest, operation.observed))
        resolve()


async def own_child(execution: Execution, operation: operations.OwnChild) -> None:
    """Sets the App as owner."""
    await execution.require_app(operation.app)
    resource, meta = BY_KIND[operation.observed["kind"]], operation.observed["metadata"]
    patch = {"metadata": {**version_of(meta), "ownerReferences": [owner(operation.app)]}}
    execution.cache.update(resource, await execution.client.patch(resource, meta["namespace"], meta["name"], patch))


async def delete_child(execution: Execution, operation: operations.DeleteChild) -> None:
    """Deletes the object as it was observed. If it was written since, it is observed again first."""
    resource, meta = BY_KIND[operation.observed["kind"]], operation.observed["metadata"]
    keep, version = operation.keep_dependents, meta["resourceVersion"]
    if await execution.client.delete(resource, meta["namespace"], meta["name"], meta["uid"], version=version, keep_dependents=keep):
        execution.cache.delete(resource, operation.observed)


async def create_flow(execution: Execution, operation: operations.CreateFlow) -> None:
    """Creates the ConfigMap of a flow, which comes from an archive or else from the WorkflowVersion.

    An existing ConfigMap of that name is the App's only if it is immutable and has exactly this content. Raises errors.Conflict if the flow
    has another hash.
    """
    text = operation.text
    if text is None:
        version = await execution.client.get(VERSIONS, execution.app[0], operation.version)
        text = version["spec"]["flow"]
    if flow_hash(text) != operation.flow_hash:
        raise errors.Conflict(f"WorkflowVersion {operation.version} was made again with another flow")
    manifest, resource = flow(operation.app, operation.flow_hash, text), BY_KIND[CONFIG_MAP.kind]
    with reporting(execution, manifest, operation.flow_hash) as resolve:
        try:
            created = await execution.client.create(resource, manifest)
        except errors.AlreadyExists as error:
            existing = await _existing(execution, operation.app, manifest, error)
            if not is_ours(existing, operation.app) or not is_flow(existing, operation.flow_hash):
                message = f"ConfigMap {existing['metadata']['name']} exists, and is not this flow, immutable and this App's: delete it"
                report_taken(execution, manifest, existing, message)
                raise errors.Conflict(message) from error  # no pod may mount it
            await execution.require_app(operation.app, anew=True)
            patch = {
                "metadata": {
                    **version_of(existing["metadata"]),
                    **{key: manifest["metadata"][key] for key in ("labels", "ownerReferences")},
                }
            }
            created = await execution.client.patch(resource, execution.app[0], manifest["metadata"]["name"], patch)
        execution.cache.update(resource, created)
        resolve()


async def create_access_keys(execution: Execution, operation: operations.CreateAccessKeys) -> None:
    """Creates the Secret with a new key. An existing one is not changed: the next reconcile observes whose it is.

    Raises errors.Conflict if it is of a deleted App of the same name, and being deleted.
    """
    execution.state.access_keys = None
    await _create_secret(execution, operation.app, access_keys(operation.app, execution.make_key()))


async def create_callback_key(execution: Execution, operation: operations.CreateCallbackKey) -> None:
    """Creates the Secret with a new key for callbacks, in the same way."""
    execution.state.callback_key = None
    await _create_secret(execution, operation.app, callback_key(operation.app, execution.make_key()))


async def _create_secret(execution: Execution, app: App, manifest: Manifest) -> None:
    with reporting(execution, manifest, "") as resolve:
        try:
            await execution.client.create(SECRETS, manifest)
        except errors.AlreadyExists as error:
            await _existing(execution, app, manifest, error)
            return
        resolve()


async def _adopt_existing(execution: Execution, app: App, manifest: Manifest, error: errors.ApiError) -> None:
    """Applies to an existing object of that name if it is the App's: it was restored, or another manager removed our label."""
    resource = BY_KIND[manifest["kind"]]
    existing = await _existing(execution, app, manifest, error)
    if not is_ours(existing, app):
        report_taken(execution, manifest, existing)
        return
    if not is_owned(existing, app):
        await execution.require_app(app, anew=True)
    if child_kind(manifest["kind"]).written:
        execution.cache.update(resource, await apply(execution.client, resource, without_creation(manifest), existing))
    elif manifest["metadata"]["labels"].items() <= (existing["metadata"].get("labels") or {}).items():
        execution.cache.update(resource, existing)
    else:  # no watch reports it: it would be read again and again
        report_taken(
            execution, manifest, existing, f"{manifest['kind']} {existing['metadata']['name']} exists, and lacks labels of ours: delete it"
        )


async def _existing(execution: Execution, app: App, manifest: Manifest, error: errors.ApiError) -> Manifest:
    """Returns the object that has the manifest's name.

    Raises errors.Conflict if it is missing or being deleted, so that it is created anew. A child of a deleted App of this name counts as
    being deleted: an adopted workload would run that App's pods.
    """
    meta = manifest["metadata"]
    try:
        raw = await execution.client.get(BY_KIND[manifest["kind"]], meta["namespace"], meta["name"])
    except errors.NotFound:
        raise errors.Conflict(str(error)) from error
    if is_ending(raw):
        raise errors.Conflict(f"{manifest['kind']} {meta['name']} is being deleted")
    if ownership.is_of_former(raw, app.meta.name, app.meta.uid):
        raise errors.Conflict(f"{manifest['kind']} {meta['name']} of the App that had this name before is being deleted")
    return raw


async def scale_workload(execution: Execution, operation: operations.ScaleWorkload) -> None:
    """Sets replicas through the scale subresource, by the field manager that owns nothing else.

    Once another manager has set them, they are not changed.
    """
    await _scale(execution, operation.observed, operation.replicas)


async def _scale(execution: Execution, observed: Manifest, replicas: int) -> None:
    resource, meta = BY_KIND[WORKLOAD.kind], observed["metadata"]
    for _ in range(ATTEMPTS):
        patch, was_set = {"metadata": version_of(observed["metadata"]), "spec": {"replicas": replicas}}, True
        try:
            await execution.client.patch(
                resource, meta["namespace"], meta["name"], patch, subresource="scale", manager=names.REPLICAS_MANAGER
            )
        except errors.Conflict:
            was_set = False
        # The answer is a Scale, so the workload is read. If the next reconcile saw the old number, an App that falls asleep would seem
        # awake, and its callers would be led away from the gate.
        current = await execution.client.get(resource, meta["namespace"], meta["name"])
        execution.cache.update(resource, current)
        if was_set or current["metadata"]["uid"] != meta["uid"] or current["spec"].get("replicas") != observed["spec"].get("replicas"):
            return
        observed = current
