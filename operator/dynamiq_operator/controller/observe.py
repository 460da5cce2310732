"""Observing an App: a snapshot from the cache, with the few reads that the watches do not cover."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Container, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from dynamiq_operator.controller import references, row_window
from dynamiq_operator.controller.account import Account
from dynamiq_operator.controller.activity import ActivityReader
from dynamiq_operator.controller.app_state import AppState, AppStates
from dynamiq_operator.controller.archiving import ArchiveWriter
from dynamiq_operator.controller.cache import CONTENT_HASH, AppKey, Cache
from dynamiq_operator.controller.cached_objects import CachedObjects
from dynamiq_operator.controller.claims import Claims
from dynamiq_operator.controller.comparisons import ComparisonReader
from dynamiq_operator.controller.denials import Denials
from dynamiq_operator.controller.gate_keys import version_at_gate
from dynamiq_operator.controller.gateway_api import GatewayApi
from dynamiq_operator.controller.guards import GuardReader
from dynamiq_operator.controller.leader import LeaderElection
from dynamiq_operator.controller.promotions import read_sources
from dynamiq_operator.controller.stamps import Stamps
from dynamiq_operator.controller.verifying import VerificationReader
from dynamiq_operator.desired.base import CONFIG_MAP, CRON_JOB, SERVICE, WORKLOAD, ChildKey, is_ours
from dynamiq_operator.desired.child_kinds import child_kind
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS, BY_KIND, CHILDREN, JOBS, PODS, RECORDS, RUNTIMES, SECRETS, SLICES, VERSIONS
from dynamiq_operator.model import names, ownership
from dynamiq_operator.model.objects import App, DeployPolicy, Manifest, Meta, Record, Runtime, Unreadable, Version, parse_time, read
from dynamiq_operator.model.record import ConfigType
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan import readings
from dynamiq_operator.plan.children import access_keys
from dynamiq_operator.plan.children.variables import references_to_read
from dynamiq_operator.plan.guards.hold import needs_history as hold_needs_history
from dynamiq_operator.plan.history.ledger import Ledger, LedgerRow
from dynamiq_operator.plan.observed.endpoints import Gate, Slice
from dynamiq_operator.plan.observed.jobs import CallerPod, TriggerJob
from dynamiq_operator.plan.observed.pods import Pod
from dynamiq_operator.plan.observed.problems import ProblemReason
from dynamiq_operator.plan.observed.verification import EvaluationJob, EvaluationPod
from dynamiq_operator.plan.records.retention import hand_over
from dynamiq_operator.plan.revert.comparing import to_compare
from dynamiq_operator.plan.revert.counting import count
from dynamiq_operator.plan.revert.restore import needs_history
from dynamiq_operator.plan.snapshot import AccessKeys, KeysPresence, LeftRow, Snapshot
from dynamiq_operator.plan.verification.asking import due as verification_due
from dynamiq_operator.plan.workloads.wanted import to_be_warmed

PROBLEM_TTL = 14.0
"""Seconds after which a name that was taken is read again."""

VERSIONS_AT_ONCE = 500
"""Releases of a workflow that are looked at without a pause, which takes a few milliseconds."""

RELEASE = re.compile("v[1-9][0-9]*")
"""The version of a release that can be compared with others."""

ESSENTIAL = (APPS, RECORDS, PODS, *(BY_KIND[needed.kind] for needed in (SERVICE, CONFIG_MAP, WORKLOAD)))
"""What every App needs. What is there for some of what an App can have is left alone, and not more, where it may not be listed."""


class Observer:
    """Makes snapshots. It writes nothing to the API server."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        settings: Settings,
        claims: Claims,
        gateway_api: GatewayApi,
        states: AppStates,
        election: LeaderElection,
        denials: Denials,
        activity: ActivityReader,
        comparisons: ComparisonReader,
        verifying: VerificationReader,
        archive: ArchiveWriter,
    ) -> None:
        self._client, self._cache, self._settings, self._claims, self._gateway_api = client, cache, settings, claims, gateway_api
        self._states, self._clock, self._election = states, states.clock, election
        self._denials, self._activity, self._comparisons, self._account = denials, activity, comparisons, Account(client)
        self._stamps = Stamps(client, states.clock)
        self._guards = GuardReader(client, cache, denials, self._stamps)
        self._verifying, self._archive = verifying, archive

    async def observe(self, key: AppKey) -> Snapshot:
        """The snapshot of an App now. Raises errors.ApiError."""
        app = self.app(key)
        if app is None or isinstance(app, Unreadable):
            return self._without_app(key, app)
        cached = self._from_cache(key, app)
        records = cached.records
        flows = frozenset(_flows(app, cached.children))
        denied = self._denied(key[0], records.values(), flows)
        unknown: dict[ChildKey, str] = {}
        state = self._states.of_uid(key, app.meta.uid)
        watched = tuple(records.values())
        try:
            async with asyncio.TaskGroup() as reads:  # at the same time: a deploy waits for all of them
                closed = reads.create_task(self._closed_records(key, app, dict(records), cached.children))
                reads.create_task(self._expire_problems(key[0], app, state))
                keys = reads.create_task(self._access_keys(key, app, state, cached))
                claim = reads.create_task(self._claims.of(key, app))
                stamped = reads.create_task(self._authors_stamped_since(watched))
                promotions = reads.create_task(read_sources(self._client, self._cache, watched, unknown))
                guards = reads.create_task(self._guards.observe(key[0], watched, promotions))
                gate_keys = reads.create_task(self._version_at_gate(key, app, cached, watched, state))
                ledger = reads.create_task(self._ledger(key, app, watched, state))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        unknown |= cached.add_closed(closed.result(), app)
        versions = tuple([each async for each in self._versions(key[0], app, tuple(records.values()), unknown)])
        unknown |= await self._bring_back(app, state, watched, set(records), {*flows, *(each.flow_hash for each in versions)})
        snapshot = Snapshot(
            *key,
            self._client.now(),
            self._settings,
            app=app,
            records=tuple(records.values()),
            versions=versions,
            runtimes=self._runtimes(unknown),
            children=cached.children,
            flows=flows,
            problems={child: kept.at(self._clock()) for child, kept in state.problems.items()},
            row_problems={name: kept.at(self._clock()) for name, kept in state.row_problems.items()},
            access_keys=keys.result(),
            pods=tuple(cached.pods),
            runs=tuple(cached.runs),
            evaluations=await self._verifying.told(app, state.verification, cached.evaluations),
            verification=state.verification.reading,
            unattended_until=self._election.unattended_until,
            claim=claim.result(),
            has_gateway_api=not app.spec.wants_gateway or await self._gateway_api.require(),
            authors_stamped_since=stamped.result(),
            promotions=promotions.result(),
            guards=guards.result(),
            ledger=ledger.result(),
            denied=denied,
            unreadable=tuple(cached.unreadable),
            unknown=unknown,
            failure=state.failure,
            more_rows=cached.more_rows,
            activity=state.readings.of(cached.pods),
            silent=state.readings.unanswering,
            comparison=state.asking.said,
            unanswered=state.asking.problem,
            archive=self._archive.known(state.archiving),
            slices=tuple(cached.slices),
            gate=self._gate(),
            gate_keys=gate_keys.result(),
            gate_ports=self._cache.gate_ports(but_of=key) if cached.slices else frozenset(),
            left=tuple(cached.left),
        )
        self._activity.schedule(key, state.readings, snapshot.pods, readings.due(snapshot, app))
        self._comparisons.schedule(key, app.meta.uid, state.asking, to_compare(snapshot, app))
        self._verifying.schedule(app, state.verification, verification_due(snapshot, app))
        self._archive.schedule(key, app.meta.uid, state.archiving, hand_over(snapshot, app))
        snapshot = replace(snapshot, verification=state.verification.reading)
        return await self._with_named(app, state, await self._counted(key, app, state, snapshot))

    async def _with_named(self, app: App, state: AppState, snapshot: Snapshot) -> Snapshot:
        """The snapshot with the keys of the Secrets and ConfigMaps that the App's variables name."""
        wanted = references_to_read(snapshot, app)
        found = await references.read_keys(self._client, snapshot.namespace, wanted, state.referenced_keys, self._clock)
        return replace(snapshot, named=found)

    async def _counted(self, key: AppKey, app: App, state: AppState, snapshot: Snapshot) -> Snapshot:
        """The snapshot with the runs that have been counted, and what is read only where a version is taken back."""
        state.counts = count(snapshot, app, state.counts)
        snapshot = replace(snapshot, counts=state.counts)
        if needs_history(snapshot, app):
            ledger = await self._ledger(key, app, snapshot.records, state, needed=True)
            return replace(snapshot, ledger=ledger, account=await self._account.name())
        unpinned = (row.name for row in snapshot.records if row.pinned is None and row.outcome is None)
        if any(names.may_revert(key[1], row) for row in unpinned):
            return replace(snapshot, account=await self._account.name())
        return snapshot

    def _without_app(self, key: AppKey, app: Unreadable | None) -> Snapshot:
        """The snapshot where there is no App, or none that can be read: its rows, which wait. Of one that is absent nothing is kept."""
        if app is None:
            self._states.drop(key)
            self._claims.drop(key)
        waiting = self._from_cache(key, None)
        return Snapshot(
            *key,
            self._client.now(),
            self._settings,
            records=tuple(waiting.records.values()),
            unreadable=(app,) if app is not None else (),
            more_rows=waiting.more_rows,
            left=tuple(waiting.left) if app is None else (),
        )

    def _gate(self) -> Gate:
        """The gate; unknown where the slices of its Service cannot be listed, though some may have been seen before."""
        if SLICES in self._denials.of(self._settings.gate_namespace):
            return Gate.of(None)
        return Gate.of(map(Slice.of, self._cache.slices_of_gate()))

    async def policies_in(self, namespace: str) -> tuple[DeployPolicy, ...]:
        """The policies that select a namespace, as far as they can be read."""
        return (await self._guards.observe(namespace, ())).policies

    def app(self, key: AppKey) -> App | Unreadable | None:
        """The App as it is cached; None where it is absent."""
        raw = self._cache.get(APPS, *key)
        return read(App, raw) if raw is not None else None

    def _denied(self, namespace: str, records: Iterable[Record], flows: Container[str]) -> dict[str, str]:
        """By kind of child, why it may not be listed. Raises errors.Denied for a kind without which nothing can be decided."""
        found = self._denials.of(namespace)
        needed = set(ESSENTIAL)
        for record in records:
            if record.outcome is None and record.pinned is None:
                needed |= {VERSIONS, RUNTIMES}
            elif record.outcome is None and record.pinned is not None and record.pinned.workflow_hash not in flows:
                needed.add(VERSIONS)  # its flow is in one of them: without that its deploy would fail
        for resource, said in found.items():
            if resource in needed:
                raise errors.Denied(f"the operator cannot list {resource.plural}, without which nothing can be decided: {said}")
        return {resource.kind: said for resource, said in found.items() if resource in BY_KIND.values()}

    def _from_cache(self, key: AppKey, app: App | None) -> CachedObjects:
        """The App's objects in the cache, by what they are to it; those of other managers are left out, and those of other Apps of its name."""
        cached = CachedObjects()
        rows: list[Manifest] = []
        jobs: list[Manifest] = []
        schedules: set[str] = set()
        callers: dict[str, CallerPod] = {}
        evaluations: list[Manifest] = []
        evaluators: dict[str, EvaluationPod] = {}
        for resource, found in self._cache.of_app(key):
            if app is not None and ownership.is_anothers(found, app.meta.uid):
                schedules |= {found["metadata"].get("uid", "")} if resource.kind == CRON_JOB.kind else set()
            elif resource is RECORDS:
                rows.append(found)
            elif resource in CHILDREN and app is not None and is_ours(found, app):
                cached.children[(resource.kind, found["metadata"]["name"])] = found
            elif resource is JOBS and app is not None:
                jobs += [found] if names.TRIGGER_LABEL in found["metadata"]["labels"] else []
                evaluations += [found] if names.VERIFICATION_LABEL in found["metadata"]["labels"] else []
            elif resource is SLICES:
                cached.slices.append(Slice.of(found))
            elif resource is PODS and names.TRIGGER_OF_LABEL in found["metadata"]["labels"]:
                caller = CallerPod.of(found)
                callers[caller.job] = caller
            elif resource is PODS and names.VERIFICATION_OF_LABEL in found["metadata"]["labels"]:
                evaluator = EvaluationPod.of(found)
                evaluators[evaluator.owner] = evaluator
            elif resource is PODS:
                cached.pods.append(Pod.of(found))
        held = self._held(key)
        left, rows = self._left(key, rows, app)
        cached.left = [row for row in left if row.meta.name not in held][: row_window.ROWS_MOST]
        window = row_window.of_app(rows, held) if app is not None else row_window.without_app(rows)
        for found in window.rows:
            cached.add(read(Record, found))
        cached.more_rows = window.more
        # The runs of another App's trigger have its CronJob as their owner, and no App.
        own = [job for job in jobs if not schedules.intersection(Meta.of(job).owners)]
        cached.runs = [TriggerJob.of(job, callers.get(job["metadata"]["name"])) for job in own]
        cached.evaluations = [EvaluationJob.of(job, evaluators.get(job["metadata"].get("uid", "-"))) for job in evaluations]
        return cached

    def _left(self, key: AppKey, rows: list[Manifest], app: App | None) -> tuple[list[LeftRow], list[Manifest]]:
        """Of an App's rows those that were an App's that had its name before, and that nobody owns yet; and the others."""
        former = self._cache.former(key)
        if former is None or (app is not None and app.meta.uid == former.uid):
            return [], rows
        # By when the row was first seen: its status is written when a row is heard of before its App, perhaps after that App was deleted.
        left = [row for row in rows if _is_new(row) and self._cache.first_seen(row) < former.version]
        names_ = {row["metadata"]["name"] for row in left}
        return [LeftRow(Meta.of(row), former.uid) for row in left], [row for row in rows if row["metadata"]["name"] not in names_]

    def _held(self, key: AppKey) -> frozenset[str]:
        """Names of rows whose write was refused lately."""
        problems = self._states.of(key).row_problems.items()
        return frozenset(name for name, kept in problems if kept.at(self._clock()).holds_back(""))

    async def _closed_records(
        self, key: AppKey, app: App, records: dict[str, Record], children: Mapping[ChildKey, Manifest]
    ) -> dict[str, Record | Unreadable]:
        """Rows that are not watched, since they are closed, and that a watched row or the App's status names."""
        wanted = {record.spec.restores for record in records.values() if record.spec.restores and not record.pinned}
        if app.status.live is not None:
            wanted.add(app.status.live.row)
        if (good := to_be_warmed(app, children, self._client.now())) is not None:
            wanted.add(good)
        found: dict[str, Record | Unreadable] = {}
        for name in sorted(wanted - set(records)):
            try:
                raw = await self._client.get(RECORDS, key[0], name)
            except errors.NotFound:
                continue
            if ownership.may_be_of(app.meta.uid, raw):
                found[name] = read(Record, raw)
        return found

    async def _bring_back(
        self, app: App, state: AppState, watched: Iterable[Record], there: Container[str], flows: set[str]
    ) -> dict[ChildKey, str]:
        """Reads from the archive what open rows restore, and what flows they name, that the cluster has not. Returns of each row why it waits."""
        if app.spec.history is None or not app.spec.history.archive:
            return {}
        waiting = [row for row in watched if row.outcome is None]
        restoring = [row for row in waiting if row.pinned is None and row.spec.restores and row.spec.restores not in there]
        lacking = {row.pinned.workflow_hash for row in waiting if row.pinned is not None} - flows
        archived = {row.spec.restores for row in restoring if row.spec.restores}
        problem = await self._archive.bring_back(app.meta.uid, state.archiving, sorted(archived), lacking)
        if not problem:
            return {}
        why, read_ = f"the row that it restores is not in the cluster, and {problem}", state.archiving.said
        whole = {name for name, row in read_.rows.items() if row.pinned is None or row.pinned.workflow_hash in {*flows, *read_.flows}}
        return {(RECORDS.kind, row.name): why for row in restoring if row.spec.restores not in whole}

    async def _authors_stamped_since(self, records: Iterable[Record]) -> datetime | None:
        """Since when the policy that stamps authors and its binding have existed; read only when a row is to be pinned."""
        if all(record.pinned or record.outcome for record in records):
            return None
        return await self._stamps.since(names.AUTHOR_POLICY)

    def _runtimes(self, unknown: dict[ChildKey, str]) -> dict[str, Runtime]:
        found = {}
        for raw in self._cache.runtimes():
            runtime = read(Runtime, raw)
            if isinstance(runtime, Unreadable):
                unknown[(RUNTIMES.kind, runtime.meta.name)] = runtime.message
            else:
                found[runtime.meta.name] = runtime
        return found

    async def _versions(self, namespace: str, app: App, records: Iterable[Record], unknown: dict[ChildKey, str]) -> AsyncIterator[Version]:
        workflows = {app.spec.workflow} | {record.pinned.workflow for record in records if record.pinned}
        for workflow in sorted(workflows):
            for number, raw in enumerate(list(self._cache.versions(namespace, workflow)), 1):
                if number % VERSIONS_AT_ONCE == 0:
                    await asyncio.sleep(0)  # a workflow may have very many, and other Apps have their turn meanwhile
                name, spec = raw["metadata"]["name"], raw["spec"]
                if RELEASE.fullmatch(str(spec.get("version"))):
                    yield Version(name, workflow, spec["version"], spec.get("description"), raw[CONTENT_HASH])
                else:
                    unknown[(VERSIONS.kind, name)] = f"WorkflowVersion {name} cannot be read: spec.version is {spec.get('version')!r}"

    async def _access_keys(self, key: AppKey, app: App, state: AppState, cached: CachedObjects) -> AccessKeys:
        if not access_keys.are_read(app, cached.workloads):
            return AccessKeys(KeysPresence.PRESENT)
        pointers = access_keys.pointers(app, cached.pods, cached.slices, self._client.now())
        is_new = not pointers <= state.access_keys_pointers
        state.access_keys_pointers = pointers
        if not is_new and state.access_keys is not None and state.access_keys.presence is KeysPresence.PRESENT:
            return state.access_keys
        state.access_keys = None  # should the read fail
        try:
            found = await self._client.get(SECRETS, key[0], names.access_keys(key[1]))
        except errors.NotFound:
            state.access_keys = AccessKeys(KeysPresence.ABSENT)
            return state.access_keys
        version = found["metadata"]["resourceVersion"]
        if state.access_keys_since is None or state.access_keys_since[0] != version:
            state.access_keys_since = (version, self._client.now())
        state.access_keys = AccessKeys(_whose_keys(found, app, cached.records.values()), *state.access_keys_since)
        return state.access_keys

    async def _version_at_gate(
        self, key: AppKey, app: App, cached: CachedObjects, records: Iterable[Record], state: AppState
    ) -> str | None:
        """The version of the Access Keys that the gate has digests of: read once, and of private Apps with a serverless row alone.

        Those of others are deleted sooner or later (`gate_keys.GateKeys.sweep`), so that of them nothing is known.
        """
        serverless = any(row.pinned is not None and row.pinned.config.type is ConfigType.SERVERLESS for row in records)
        if not serverless or not access_keys.are_read(app, cached.workloads):
            state.gate_keys = None
            return None
        if state.gate_keys is None:
            state.gate_keys = await version_at_gate(self._client, self._settings.gate_namespace, key, app.meta.uid)
        return state.gate_keys

    async def _expire_problems(self, namespace: str, app: App, state: AppState) -> None:
        """Looks again, after `PROBLEM_TTL`, whether a name that was taken is free now."""
        state.forget_problems(self._clock())
        for child, kept in list(state.problems.items()):
            if kept.problem.reason is not ProblemReason.TAKEN or self._clock() - kept.since < PROBLEM_TTL:
                continue
            del state.problems[child]
            try:
                found = await self._client.get(BY_KIND[child[0]], namespace, child[1])
            except errors.NotFound:
                continue
            if ownership.is_of_former(found, app.meta.name, app.meta.uid):
                continue
            if not is_ours(found, app) or (child_kind(child[0]).immutable and found.get("immutable") is not True):
                state.keep_problem(child, kept.problem, self._clock())

    async def _ledger(self, key: AppKey, app: App, records: Iterable[Record], state: AppState, *, needed: bool = False) -> Ledger:
        """The whole history: read once, when a decision first needs it, and updated from then on."""
        if state.ledger is None:
            settled = all(record.pinned or record.outcome for record in records)
            # As a row goes live under strategy Switch the whole history says what is kept warm behind it.
            settled = settled and not (app.spec.rollout.switches and any(record.outcome is None for record in records))
            limited = app.spec.history is not None and app.spec.history.limit is not None
            if settled and app.spec.deploy is None and not limited and not needed and not hold_needs_history(app, records):
                return Ledger()
            rows: list[LedgerRow] = []
            async for page in self._client.pages(RECORDS, key[0], field=f"spec.app={key[1]}"):
                rows += [LedgerRow.of_raw(raw) for raw in ownership.only_of(app.meta.uid, page["items"])]
            state.ledger = Ledger.of(rows)
        state.ledger = state.ledger.having(records)
        return state.ledger


def _flows(app: App, children: dict[ChildKey, Manifest]) -> Iterable[str]:
    for (kind, name), found in children.items():
        if kind == CONFIG_MAP.kind and found.get("immutable") is True and names.flow(app.meta.name, found[CONTENT_HASH]) == name:
            yield found[CONTENT_HASH]


def _is_new(row: Manifest) -> bool:
    """Whether no operator has taken a row yet: it has neither a number nor an owner."""
    return "sequence" not in row["spec"] and ownership.is_nobodys(row)


def _whose_keys(secret: Manifest, app: App, records: Iterable[Record]) -> KeysPresence:
    """Whose the Secret of an App's name is. That of a deleted App of the same name is about to go, and a new one is made then.

    One without an owner a restore brought back, and nobody may give it one. So it is this App's where the App came back as well, as rows show
    that are older than it is; else it may be that of an App that was restored, and has been deleted since.
    """
    meta = app.meta
    if ownership.is_of_former(secret, meta.name, meta.uid):
        return KeysPresence.ABSENT
    if not is_ours(secret, app):
        return KeysPresence.FOREIGN
    restored = any(row.pinned is not None and parse_time(row.pinned.created_at) < meta.created for row in records)
    is_its_own = ownership.is_owned(secret, meta.uid) or Meta.of(secret).created >= meta.created or restored
    return KeysPresence.PRESENT if is_its_own else KeysPresence.FOREIGN
