"""Carrying out a plan, one action after the other; the first that fails ends the pass, and the next one starts from a new look."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from dynamiq_operator.controller import field_managers
from dynamiq_operator.controller.cache import AppKey, Store
from dynamiq_operator.controller.claims import Claims
from dynamiq_operator.controller.client import JSON_PATCH, Client
from dynamiq_operator.controller.leader import Lease
from dynamiq_operator.controller.observe import Observer
from dynamiq_operator.desired import content
from dynamiq_operator.desired.base import CONFIG_MAP, WORKLOAD, awaits_garbage_collection, is_ending, is_ours, owner
from dynamiq_operator.desired.drift import drifted
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, BY_KIND, EVENTS, JOBS, PODS, RECORDS, SECRETS, VERSIONS, ApiResource
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION, Part
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.objects import App, Manifest, Meta, Record
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.observed.problems import ChildProblem, Hindrance

EVENT_MESSAGE_MAX = 1024
ADOPTION_TRIES = 4

log = logging.getLogger(__name__)


class Performer:
    """Carries out the plans of one App at a time each, while `lease` is held. `make_key` makes a new Access Key."""

    def __init__(self, client: Client, store: Store, observer: Observer, claims: Claims, lease: Lease, make_key: Callable[[], str]) -> None:
        self._client, self._store, self._observer, self._claims = client, store, observer, claims
        self._lease, self._make_key = lease, make_key

    async def perform(self, app: AppKey, plan: operations.Plan) -> None:
        """Does what the plan asks. Raises errors.ApiError where a request fails that nothing more should follow, and LostLease."""
        versions: dict[str, str] = {}
        for action in plan.actions:
            self._lease.require()
            match action:
                case operations.Emit():
                    await self._emit(action)
                case operations.SetAppStatus():
                    await self._set_status(APPS, action.app.meta, action.status, versions)
                case operations.SetRecordStatus():
                    await self._set_status(RECORDS, action.record.meta, action.status, versions)
                case operations.CompleteRecord():
                    await self._complete(app, action, versions)
                case operations.CreateRecord():
                    await self._create_record(app, action)
                case operations.DeleteRecord():
                    await self._delete_record(app, action)
                case operations.EndRecord():
                    outcome = {"spec": {"outcome": action.outcome.as_json()}}
                    self._remember(app, await self._patch_record(action.record.meta, outcome, versions))
                case operations.OwnRecord():
                    await self._patch_record(action.record.meta, {"metadata": {"ownerReferences": [owner(action.app)]}}, versions)
                case operations.OwnChild():
                    await self._own(action)
                case operations.CreateChild():
                    await self._create_child(app, action)
                case operations.ApplyChild():
                    await self._apply_child(app, action)
                case operations.DeleteChild():
                    meta = action.observed["metadata"]
                    resource = BY_KIND[action.observed["kind"]]
                    keep = action.keep_dependents
                    await self._client.delete(resource, meta["namespace"], meta["name"], meta["uid"], keep_dependents=keep)
                case operations.RunOnce():
                    await self._run_once(app, action)
                case operations.CreateFlow():
                    await self._create_flow(app, action)
                case operations.ClaimHostname():
                    await self._claims.make(action)
                case operations.KeepClaim():
                    await self._claims.note(action)
                case operations.ReleaseClaim():
                    await self._claims.release(action)
                case operations.CreateAccessKeys():
                    await self._create_keys(app, action.app)
                case operations.TellOfKeys():
                    await self._tell_of_keys(action)
                case operations.ScaleWorkload():
                    await self._scale(action)

    async def _complete(self, app: AppKey, action: operations.CompleteRecord, versions: dict[str, str]) -> None:
        spec: Manifest = {}
        if action.sequence is not None:
            spec["sequence"] = action.sequence
        if action.pinned is not None:
            spec["pinned"] = action.pinned.as_json()
        patch = {"metadata": {"ownerReferences": [owner(action.app)]}, "spec": spec}
        self._remember(app, await self._patch_record(action.record.meta, patch, versions))

    def _remember(self, app: AppKey, raw: Manifest) -> None:
        """Keeps the App's ledger up with a row as it is now."""
        memory = self._observer.memory(app)
        if memory.ledger is not None:
            memory.ledger = memory.ledger.having([Record.of(raw)])

    async def _create_record(self, app: AppKey, action: operations.CreateRecord) -> None:
        meta = action.app.meta
        author = {"createdBy": action.created_by} if action.created_by else {}
        manifest: Manifest = {
            "apiVersion": API_VERSION,
            "kind": kinds.RECORD.kind,
            "metadata": {"name": action.name, "namespace": meta.namespace},
            "spec": {"app": meta.name, **action.asked, **author},
        }
        try:
            created = await self._client.create(RECORDS, manifest)
        except errors.AlreadyExists:
            created = await self._client.get(RECORDS, meta.namespace, action.name)
            if awaits_garbage_collection(created, action.app):
                raise errors.Conflict(f"row {action.name} of the App that had this name before is being deleted") from None
        self._remember(app, created)
        self._store.put(RECORDS, created)

    async def _delete_record(self, app: AppKey, action: operations.DeleteRecord) -> None:
        await self._client.delete(RECORDS, action.app.meta.namespace, action.name, action.uid)
        memory = self._observer.memory(app)
        if memory.ledger is not None:
            memory.ledger = memory.ledger.without(action.name)

    async def _patch_record(self, meta: Meta, patch: Manifest, versions: dict[str, str]) -> Manifest:
        """Guarded by resourceVersion, as every write of a row: two operators never complete one row differently."""
        guarded = {**patch, "metadata": {**patch.get("metadata", {}), "resourceVersion": versions.get(meta.uid, meta.resource_version)}}
        written = await self._client.patch(RECORDS, meta.namespace, meta.name, guarded)
        versions[meta.uid] = written["metadata"]["resourceVersion"]
        self._store.put(RECORDS, written)
        return written

    async def _set_status(self, resource: ApiResource, meta: Meta, status: Part, versions: dict[str, str]) -> None:
        whole = status.as_json()
        cleared = {field.alias or name: None for name, field in type(status).model_fields.items() if (field.alias or name) not in whole}
        patch = {"metadata": {"resourceVersion": versions.get(meta.uid, meta.resource_version)}, "status": whole | cleared}
        written = await self._client.patch(resource, meta.namespace, meta.name, patch, subresource="status")
        versions[meta.uid] = written["metadata"]["resourceVersion"]
        self._store.put(resource, written)

    async def _create_child(self, app: AppKey, action: operations.CreateChild) -> None:
        resource = BY_KIND[action.manifest["kind"]]
        with self._noting(app, action.manifest, action.digest) as noting:
            try:
                created = await self._client.create(resource, action.manifest)
            except errors.AlreadyExists:
                await self._take_back(app, action.app, action.manifest)
            else:
                self._store.put(resource, await self._adopt(resource, created))
            noting.settle()

    async def _run_once(self, app: AppKey, action: operations.RunOnce) -> None:
        meta = action.manifest["metadata"]
        with self._noting(app, action.manifest, action.digest) as noting:
            try:
                made = await self._client.create(JOBS, action.manifest)
            except errors.AlreadyExists:
                made = await self._client.get(JOBS, meta["namespace"], meta["name"])
                if not is_ours(made, action.app) or not meta["labels"].items() <= (made["metadata"].get("labels") or {}).items():
                    self._note_taken(app, action.manifest)
                    return
            self._store.put(JOBS, made)
            noting.settle()

    async def _take_back(self, app: AppKey, owner_app: App, manifest: Manifest) -> None:
        """Makes an object of that name ours again if it was: a restore brought it back, or somebody took our label off."""
        resource, meta = BY_KIND[manifest["kind"]], manifest["metadata"]
        found = await self._client.get(resource, meta["namespace"], meta["name"])
        if is_ending(found):
            raise errors.Conflict(f"{manifest['kind']} {meta['name']} is being deleted")
        if not is_ours(found, owner_app) or not _same_flow(manifest, found):
            self._note_taken(app, manifest)
            return
        spec = {key: value for key, value in manifest.get("spec", {}).items() if manifest["kind"] != WORKLOAD.kind or key != "replicas"}
        kept = {**manifest, "spec": spec} if "spec" in manifest else manifest
        self._store.put(resource, await self._bring_back(resource, kept))

    def _note_taken(self, app: AppKey, manifest: Manifest) -> None:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        message = f"{kind} {name} exists and is not this App's: rename or delete it, or name the App otherwise"
        self._observer.memory(app).problems[(kind, name)] = (ChildProblem(Hindrance.TAKEN, message), monotonic())

    async def _apply_child(self, app: AppKey, action: operations.ApplyChild) -> None:
        resource = BY_KIND[action.manifest["kind"]]
        with self._noting(app, action.manifest, action.digest) as noting:
            observed = await self._adopt(resource, action.observed)
            # By its uid the apply is refused if another object has taken the name since.
            manifest = {**action.manifest, "metadata": {**action.manifest["metadata"], "uid": observed["metadata"]["uid"]}}
            self._store.put(resource, await self._bring_back(resource, manifest))
            noting.settle()

    async def _bring_back(self, resource: ApiResource, manifest: Manifest) -> Manifest:
        """Applies, and where others' items in our lists are left, or are what the API server refuses, puts our lists in their place."""
        try:
            applied = await self._client.apply(resource, manifest)
            if drifted(manifest, applied) is None:
                return applied
        except errors.Invalid as error:
            log.info("%s is refused as it is, so its lists are replaced: %s", manifest["kind"], error)
        meta = manifest["metadata"]
        patch = {"metadata": {"uid": meta["uid"]} if "uid" in meta else {}, "spec": manifest.get("spec", {})}
        return await self._adopt(resource, await self._client.patch(resource, meta["namespace"], meta["name"], patch))

    async def _adopt(self, resource: ApiResource, observed: Manifest) -> Manifest:
        """Hands what we POSTed to server-side apply. Controllers write a new workload at once: then it is looked at anew."""
        meta = observed["metadata"]
        for _ in range(ADOPTION_TRIES):
            if field_managers.is_adopted(observed):
                return observed
            try:
                return await self._client.patch(
                    resource, meta["namespace"], meta["name"], field_managers.adoption(observed), kind=JSON_PATCH
                )
            except errors.Conflict:
                observed = await self._client.get(resource, meta["namespace"], meta["name"])
        return observed

    async def _own(self, action: operations.OwnChild) -> None:
        resource, meta = BY_KIND[action.observed["kind"]], action.observed["metadata"]
        patch = {"metadata": {"uid": meta["uid"], "ownerReferences": [owner(action.app)]}}
        self._store.put(resource, await self._client.patch(resource, meta["namespace"], meta["name"], patch))

    async def _create_flow(self, app: AppKey, action: operations.CreateFlow) -> None:
        version = await self._client.get(VERSIONS, app[0], action.version)
        text = version["spec"]["flow"]
        if flow_hash(text) != action.flow_hash:
            raise errors.Conflict(f"WorkflowVersion {action.version} was made again with another flow")
        manifest = content.flow(action.app, action.flow_hash, text)
        await self._create_child(app, operations.CreateChild(action.app, manifest, action.flow_hash))

    async def _create_keys(self, app: AppKey, owner_app: App) -> None:
        memory = self._observer.memory(app)
        memory.keys = None
        with self._noting(app, (manifest := content.access_keys(owner_app, self._make_key())), "") as noting:
            try:
                await self._client.create(SECRETS, manifest)
            except errors.AlreadyExists:
                return  # the next look tells whose it is
            noting.settle()

    async def _tell_of_keys(self, action: operations.TellOfKeys) -> None:
        """A pod that is gone, or another one of that name, needs to be told nothing."""
        patch = {"metadata": {"uid": action.uid, "annotations": {names.KEYS_ANNOTATION: action.version}}}
        try:
            self._store.put(PODS, await self._client.patch(PODS, action.app.meta.namespace, action.pod, patch))
        except (errors.NotFound, errors.Conflict):
            return

    async def _scale(self, action: operations.ScaleWorkload) -> None:
        meta = action.observed["metadata"]
        patch = {"spec": {"replicas": action.replicas}}
        resource = BY_KIND[WORKLOAD.kind]
        await self._client.patch(resource, meta["namespace"], meta["name"], patch, subresource="scale", manager=names.REPLICAS_MANAGER)

    async def _emit(self, said: operations.Emit) -> None:
        """Events are a courtesy: one that cannot be written stops nothing."""
        kind = kinds.APP.kind if isinstance(said.about, App) else kinds.RECORD.kind
        meta = said.about.meta
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event: Manifest = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": names.event(meta.uid, said.reason, said.key), "namespace": meta.namespace},
            "involvedObject": {"apiVersion": API_VERSION, "kind": kind, "name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
            "type": "Warning" if said.warning else "Normal",
            "reason": said.reason,
            "message": said.message[:EVENT_MESSAGE_MAX],
            "source": {"component": names.FIELD_MANAGER},
            "reportingComponent": names.FIELD_MANAGER,
            "reportingInstance": self._lease.identity[:128],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._client.create(EVENTS, event)
        except errors.AlreadyExists:
            return
        except errors.ApiError as error:
            log.warning("an Event of %s %r could not be written: HTTP %s", kind, meta.name, error.status)

    def _noting(self, app: AppKey, manifest: Manifest, digest: str) -> _Noting:
        return _Noting(self._observer, app, (manifest["kind"], manifest["metadata"]["name"]), digest)


class _Noting:
    """Turns a refusal of a child into a noted problem, which the next plan says in a condition; other errors go on up."""

    def __init__(self, observer: Observer, app: AppKey, child: tuple[str, str], digest: str) -> None:
        self._problems, self._child, self._digest = observer.memory(app).problems, child, digest
        self._before = self._problems.get(child)

    def __enter__(self) -> _Noting:
        return self

    def settle(self) -> None:
        """The request went well: whatever hindered the child before no longer does."""
        if self._problems.get(self._child) is self._before:
            self._problems.pop(self._child, None)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        if isinstance(error, errors.Invalid):
            problem = ChildProblem(Hindrance.REFUSED, f"the API server refuses {self._child[0]} {self._child[1]}: {error}", self._digest)
        elif isinstance(error, errors.Denied):
            problem = ChildProblem(Hindrance.DENIED, f"{self._child[0]} {self._child[1]} is not allowed: {error}")
        else:
            return False
        self._problems[self._child] = (problem, monotonic())
        return True


def _same_flow(manifest: Manifest, found: Manifest) -> bool:
    return manifest["kind"] != CONFIG_MAP.kind or bool(found.get("data") == manifest["data"])
