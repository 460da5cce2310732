"""Observing an App: a snapshot from the store, with the few reads that the watches do not cover."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import TypeVar

from pydantic import ValidationError

from dynamiq_operator.controller import references
from dynamiq_operator.controller.cache import HASH_OF_CONTENT, AppKey, Store
from dynamiq_operator.controller.claims import Claims
from dynamiq_operator.controller.client import Client
from dynamiq_operator.controller.gateway_api import GatewayApi
from dynamiq_operator.desired.base import CONFIG_MAP, awaits_garbage_collection, is_ours
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import APPS, BY_KIND, CHILDREN, JOBS, PODS, POLICIES, RECORDS, SECRETS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, Meta, Record, Runtime, Version
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.children.variables import references_to_read
from dynamiq_operator.plan.history.ledger import Ledger
from dynamiq_operator.plan.observed.jobs import CallerPod, TriggerJob
from dynamiq_operator.plan.observed.pods import Pod
from dynamiq_operator.plan.observed.problems import ChildKey, ChildProblem, Hindrance
from dynamiq_operator.plan.snapshot import AccessKeys, KeysPresence, Snapshot

TAKEN_TRUSTED = 14.0
"""Seconds after which a name that was taken is looked at again."""

POLICY_TRUSTED = 60.0
"""Seconds for which the policy that stamps authors is taken to be there, or not, still."""

log = logging.getLogger(__name__)


@dataclass
class Memory:
    """What is remembered of an App between two looks, and may be forgotten at any time."""

    uid: str = ""
    ledger: Ledger | None = None
    problems: dict[ChildKey, tuple[ChildProblem, float]] = field(default_factory=dict)
    keys: AccessKeys | None = None
    keys_since: tuple[str, datetime] | None = None
    """The version of the Secret of Access Keys that was seen last, and when it was first."""
    named: references.Seen = field(default_factory=dict)


class Observer:
    """Makes snapshots. It writes nothing."""

    def __init__(self, client: Client, store: Store, settings: Settings, claims: Claims, gateway_api: GatewayApi) -> None:
        self._client, self._store, self._settings, self._claims, self._gateway_api = client, store, settings, claims, gateway_api
        self._memories: dict[AppKey, Memory] = {}
        self._stamped: tuple[datetime | None, float] | None = None

    def memory(self, app: AppKey) -> Memory:
        return self._memories.setdefault(app, Memory())

    def forget(self) -> None:
        """Forgets all memories: another replica may have worked meanwhile."""
        self._memories.clear()

    def doubt(self, app: AppKey) -> None:
        """Forgets what no watch keeps up, so that the next look reads it: whether the Secret of Access Keys is there."""
        self.memory(app).keys = None

    async def observe(self, key: AppKey) -> Snapshot:
        """The snapshot of an App now. Raises errors.ApiError."""
        raw = self._store.get(APPS, *key)
        app = _parsed(App, raw)
        if raw is not None and app is None:  # not missing: its rows must not fail for want of it
            raise errors.Invalid("it is of a form that this version of the operator cannot read: upgrade the operator")
        records: dict[str, Record] = {}
        children: dict[ChildKey, Manifest] = {}
        pods: list[Pod] = []
        jobs: list[Manifest] = []
        callers: dict[str, CallerPod] = {}
        for resource, found in self._store.of_app(key):
            if resource is RECORDS and (record := _parsed(Record, found)) is not None:
                if not awaits_garbage_collection(found, app):
                    records[record.name] = record
            elif resource in CHILDREN and app is not None and is_ours(found, app):
                children[(resource.kind, found["metadata"]["name"])] = found
            elif resource is JOBS:
                jobs += [found] if _is_run(found, app) else []
            elif resource is PODS and names.TRIGGER_OF_LABEL in found["metadata"]["labels"]:
                caller = CallerPod.of(found)
                callers[caller.job] = caller
            elif resource is PODS:
                pods.append(Pod.of(found))
        if app is None:
            self._memories.pop(key, None)
            self._claims.forget(key)
            return Snapshot(*key, datetime.now(UTC), self._settings, records=tuple(records.values()))
        records |= await self._named(key, app, records)
        memory = self.memory(key)
        if memory.uid not in ("", app.meta.uid):
            memory = self._memories[key] = Memory()  # the App was deleted and created again, and none of it is its
        memory.uid = app.meta.uid
        await self._recheck(key[0], app, memory)
        snapshot = Snapshot(
            *key,
            datetime.now(UTC),
            self._settings,
            app=app,
            records=tuple(records.values()),
            versions=tuple(self._versions(key[0], app, records.values())),
            runtimes={runtime.meta.name: runtime for found in self._store.runtimes() if (runtime := _parsed(Runtime, found)) is not None},
            children=children,
            flows=frozenset(_flows(app, children)),
            problems={child: problem for child, (problem, _) in memory.problems.items()},
            access_keys=await self._access_keys(key, app, memory),
            pods=tuple(pods),
            runs=tuple(TriggerJob.of(job, callers.get(job["metadata"]["name"])) for job in jobs),
            claim=await self._claims.of(key, app),
            has_gateway_api=not app.spec.wants_gateway or await self._gateway_api.wanted(),
            authors_stamped_since=await self._authors_stamped_since(records.values()),
            promotions=await self._promotions(records.values()),
            ledger=await self._ledger(key, app, records.values(), memory),
        )
        return replace(snapshot, named=await references.look(self._client, key[0], references_to_read(snapshot, app), memory.named))

    async def _named(self, key: AppKey, app: App, records: dict[str, Record]) -> dict[str, Record]:
        """Rows that are not watched, since they are closed, and that the watched ones, or the App's status, name."""
        wanted = {record.spec.restores for record in records.values() if record.spec.restores and not record.pinned}
        if app.status.live is not None:
            wanted.add(app.status.live.row)
        found = {}
        for name in sorted(wanted - set(records)):
            try:
                record = _parsed(Record, await self._client.get(RECORDS, key[0], name))
            except errors.NotFound:
                continue
            if record is not None:
                found[name] = record
        return found

    async def _authors_stamped_since(self, records: Iterable[Record]) -> datetime | None:
        """From when on the policy that stamps authors, and its binding, have been there; asked only when a row is to be pinned."""
        if all(record.pinned or record.outcome for record in records):
            return None
        if self._stamped is None or monotonic() - self._stamped[1] > POLICY_TRUSTED:
            try:
                found = [Meta.of(await self._client.get(policy, "", names.AUTHOR_POLICY)).created for policy in POLICIES]
                self._stamped = (max(found), monotonic())
            except (errors.NotFound, errors.Denied):
                self._stamped = (None, monotonic())
        return self._stamped[0]

    async def _promotions(self, records: Iterable[Record]) -> dict[str, Record]:
        """The rows that rows which are to be pinned say they were promoted from, as far as they can be found."""
        found = {}
        for record in records:
            said = record.spec.promoted_from
            if said is None or record.pinned or record.outcome:
                continue
            try:
                source = _parsed(Record, await self._client.get(RECORDS, said.namespace, said.row))
            except (errors.NotFound, errors.Denied):
                continue
            if source is not None:
                found[record.name] = source
        return found

    def _versions(self, namespace: str, app: App, records: Iterable[Record]) -> Iterable[Version]:
        workflows = {app.spec.workflow} | {record.pinned.workflow for record in records if record.pinned}
        for workflow in sorted(workflows):
            for raw in self._store.versions(namespace, workflow):
                spec = raw["spec"]
                yield Version(raw["metadata"]["name"], workflow, spec["version"], spec.get("description"), raw[HASH_OF_CONTENT])

    async def _access_keys(self, key: AppKey, app: App, memory: Memory) -> AccessKeys:
        if not app.spec.is_private:
            return AccessKeys(KeysPresence.PRESENT)
        if memory.keys is not None and memory.keys.presence is KeysPresence.PRESENT:
            return memory.keys
        try:
            found = await self._client.get(SECRETS, key[0], names.access_keys(key[1]))
        except errors.NotFound:
            memory.keys = AccessKeys(KeysPresence.ABSENT)
            return memory.keys
        version = found["metadata"]["resourceVersion"]
        if memory.keys_since is None or memory.keys_since[0] != version:
            memory.keys_since = (version, datetime.now(UTC))
        presence = KeysPresence.PRESENT if is_ours(found, app) else KeysPresence.FOREIGN
        memory.keys = AccessKeys(presence, *memory.keys_since)
        return memory.keys

    async def _recheck(self, namespace: str, app: App, memory: Memory) -> None:
        """Looks again at names that were taken some time ago, and lets what was denied be tried again."""
        for child, (problem, since) in list(memory.problems.items()):
            if problem.hindrance is Hindrance.REFUSED or monotonic() - since < TAKEN_TRUSTED:
                continue
            del memory.problems[child]
            if problem.hindrance is Hindrance.DENIED:
                continue
            try:
                found = await self._client.get(BY_KIND[child[0]], namespace, child[1])
            except errors.NotFound:
                continue
            if not is_ours(found, app):
                memory.problems[child] = (problem, monotonic())

    async def _ledger(self, key: AppKey, app: App, records: Iterable[Record], memory: Memory) -> Ledger:
        """The whole history: read once, when first something asks for it, and kept up from then on."""
        if memory.ledger is None:
            settled = all(record.pinned or record.outcome for record in records)
            limited = app.spec.history is not None and app.spec.history.limit is not None
            if settled and app.spec.deploy is None and not limited:
                return Ledger()
            rows: list[Record] = []
            async for page in self._client.pages(RECORDS, key[0], field=f"spec.app={key[1]}"):
                rows += [
                    row for raw in page["items"] if not awaits_garbage_collection(raw, app) and (row := _parsed(Record, raw)) is not None
                ]
            memory.ledger = Ledger(known=True).having(rows)
        memory.ledger = memory.ledger.having(records)
        return memory.ledger


def _flows(app: App, children: dict[ChildKey, Manifest]) -> Iterable[str]:
    for (kind, name), found in children.items():
        if kind == CONFIG_MAP.kind and names.flow(app.meta.name, found[HASH_OF_CONTENT]) == name:
            yield found[HASH_OF_CONTENT]


def _is_run(found: Manifest, app: App | None) -> bool:
    """Whether a Job is a run of one of the App's triggers: of its CronJob, its own, or nobody's since the CronJob was made anew."""
    return names.TRIGGER_LABEL in found["metadata"]["labels"] and not awaits_garbage_collection(found, app)


T = TypeVar("T", App, Record, Runtime)


def _parsed(kind: type[T], raw: Manifest | None) -> T | None:
    """The object, or None where it is missing or of a form that this version of the operator cannot read."""
    if raw is None:
        return None
    try:
        return kind.of(raw)
    except (ValidationError, KeyError) as error:
        log.warning("%s %r cannot be read: %s", kind.__name__, raw["metadata"].get("name"), type(error).__name__)
        return None
