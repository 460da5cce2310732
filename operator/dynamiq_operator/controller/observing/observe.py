"""Observes an App: makes a snapshot from the cache, with the few reads that the watches do not cover. It writes nothing to the API server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Container, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from dynamiq_operator.controller.app_state import AppState, AppStates
from dynamiq_operator.controller.background.activity import ActivityReader
from dynamiq_operator.controller.background.archiving import ArchiveWriter
from dynamiq_operator.controller.background.comparisons import ComparisonReader
from dynamiq_operator.controller.background.holding import HoldWriter
from dynamiq_operator.controller.background.open_runs import OpenRunsReader
from dynamiq_operator.controller.background.placing import PlacementWriter
from dynamiq_operator.controller.background.shapes import ShapesReader
from dynamiq_operator.controller.background.verifying import VerificationReader
from dynamiq_operator.controller.cached.cache import CONTENT_HASH, AppKey, Cache
from dynamiq_operator.controller.cached.denials import Denials
from dynamiq_operator.controller.cached.gateway_api import GatewayApi
from dynamiq_operator.controller.hostnames.claims import Claims
from dynamiq_operator.controller.leading.leader import LeaderElection
from dynamiq_operator.controller.observing import references, row_window
from dynamiq_operator.controller.observing.access_keys_reader import AccessKeysReader
from dynamiq_operator.controller.observing.cached_objects import CachedObjects
from dynamiq_operator.controller.observing.contracts import with_contracts
from dynamiq_operator.controller.observing.guards import GuardReader
from dynamiq_operator.controller.observing.open_runs import with_open_runs
from dynamiq_operator.controller.observing.promotions import read_sources
from dynamiq_operator.controller.observing.stamps import Stamps
from dynamiq_operator.desired.base import CONFIG_MAP, CRON_JOB, SERVICE, WORKLOAD, ChildKey, is_ours
from dynamiq_operator.desired.child_kinds import child_kind
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS, BY_KIND, CHILDREN, JOBS, PODS, ROWS, RUNTIMES, SLICES, VERSIONS
from dynamiq_operator.model import names, ownership
from dynamiq_operator.model.guard_objects import DeployPolicy
from dynamiq_operator.model.objects import App, Manifest, Meta, Row, Runtime, Unreadable, Version, read
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.background import readings
from dynamiq_operator.plan.children.variables import references_to_read
from dynamiq_operator.plan.guards.hold import needs_history as hold_needs_history
from dynamiq_operator.plan.history.ledger import Ledger, LedgerRow
from dynamiq_operator.plan.observed.children import ObservedChildren
from dynamiq_operator.plan.observed.endpoints import Gate, ObservedEndpoints, Slice
from dynamiq_operator.plan.observed.jobs import CallerPod, TriggerJob
from dynamiq_operator.plan.observed.operator import OperatorState
from dynamiq_operator.plan.observed.pods import ObservedPod, ObservedPods
from dynamiq_operator.plan.observed.problems import ProblemReason
from dynamiq_operator.plan.observed.rows import ObservedRows, OrphanedRow
from dynamiq_operator.plan.observed.secrets import ObservedSecrets
from dynamiq_operator.plan.observed.sources import PinSources
from dynamiq_operator.plan.observed.trial import ObservedTrial
from dynamiq_operator.plan.observed.verification import EvaluationJob, EvaluationPod, ObservedVerification
from dynamiq_operator.plan.revert.comparing import to_compare
from dynamiq_operator.plan.revert.counting import count
from dynamiq_operator.plan.revert.revert_row import needs_history
from dynamiq_operator.plan.rows.retention import hand_over
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.verification.requests import due as verification_due
from dynamiq_operator.plan.workloads.holding import holdings
from dynamiq_operator.plan.workloads.placement import placing
from dynamiq_operator.plan.workloads.wanted import standby_to_make

PROBLEM_TTL = 14.0
"""Seconds after which a taken name is read again."""
VERSIONS_AT_ONCE = 500
"""Releases of a workflow that are read without a pause, which takes a few milliseconds."""
RELEASE = re.compile("v[1-9][0-9]*")
"""Matches the version of a release that can be compared with others."""

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}

ESSENTIAL = (APPS, ROWS, PODS, *(BY_KIND[needed.kind] for needed in (SERVICE, CONFIG_MAP, WORKLOAD)))
"""Kinds that every App needs. If another kind cannot be listed, only the feature that needs it is off."""


class Observer:
    """A maker of snapshots. It writes nothing to the API server."""

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
        open_runs: OpenRunsReader,
        shapes: ShapesReader,
        holds: HoldWriter,
        placements: PlacementWriter,
    ) -> None:
        self._client, self._cache, self._settings, self._claims, self._gateway_api = client, cache, settings, claims, gateway_api
        self._states, self._clock, self._election = states, states.clock, election
        self._denials, self._activity, self._comparisons, self._account = denials, activity, comparisons, ""
        self._access_keys, self._stamps = AccessKeysReader(client, settings.gate_namespace), Stamps(client, states.clock)
        self._guards = GuardReader(client, cache, denials, self._stamps)
        self._verifying, self._archive, self._open_runs, self._holds, self._placements = verifying, archive, open_runs, holds, placements
        self._shapes = shapes

    async def observe(self, key: AppKey) -> Snapshot:
        """Returns the snapshot of an App now. Raises errors.ApiError."""
        app = self._cache.app(key)
        if app is None or isinstance(app, Unreadable):
            return self._without_app(key, app)
        cached = self._from_cache(key, app)
        records, watched = cached.records, tuple(cached.records.values())
        flows = cached.flows(app)
        denied = self._denied(key[0], records.values(), flows)
        unknown: dict[ChildKey, str] = {}
        state = self._states.of_uid(key, app.meta.uid)
        try:
            async with asyncio.TaskGroup() as reads:  # at the same time: a deploy waits for all of them
                closed = reads.create_task(self._closed_records(key, app, dict(records), cached.children))
                reads.create_task(self._expire_problems(key[0], app, state))
                keys = reads.create_task(self._access_keys.read(key, app, state, cached))
                callback_key = reads.create_task(self._access_keys.read_callback_key(key, app, state, cached, self._settings.journal))
                claim = reads.create_task(self._claims.of(key, app))
                stamped = reads.create_task(self._authors_stamped_since(watched))
                promotions = reads.create_task(read_sources(self._client, self._cache, watched, unknown))
                guards = reads.create_task(self._guards.observe(key[0], watched, promotions))
                gate_keys = reads.create_task(self._access_keys.version_at_gate(key, app, cached, watched, state))
                ledger = reads.create_task(self._ledger(key, app, watched, state))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        unknown |= cached.add_closed(closed.result(), app)
        versions = tuple([each async for each in self._versions(key[0], app, tuple(records.values()), unknown)])
        unknown |= await self._read_archived(app, state, watched, set(records), {*flows, *(each.flow_hash for each in versions)})
        has_gateway_api = not app.spec.wants_gateway or await self._gateway_api.require()
        evaluations = await self._verifying.redact_messages(app, state.verification, cached.evaluations)
        problems = {child: kept.at(self._clock()) for child, kept in state.problems.items()}
        row_problems = {name: kept.at(self._clock()) for name, kept in state.row_problems.items()}
        snapshot = Snapshot(
            *key,
            self._client.now(),
            self._settings,
            app=app,
            unreadable=tuple(cached.unreadable),
            rows=ObservedRows(tuple(records.values()), cached.more_rows, row_problems, tuple(cached.orphaned)),
            ledger=ledger.result(),
            sources=PinSources(versions, self._runtimes(unknown), promotions.result(), unknown, stamped.result()),
            guards=guards.result(),
            children=ObservedChildren(cached.children, flows, tuple(cached.runs), problems, denied, has_gateway_api),
            claim=claim.result(),
            secrets=ObservedSecrets(keys.result(), gate_keys.result(), callback_key.result()),
            pods=ObservedPods(tuple(cached.pods), state.activity.of(cached.pods), state.activity.unanswering, tuple(cached.finishing)),
            endpoints=ObservedEndpoints(
                tuple(cached.slices), self._gate(), self._cache.gate_ports(but_of=key) if cached.slices else frozenset()
            ),
            verification=ObservedVerification(state.verification.progress, evaluations),
            trial=ObservedTrial(comparison=state.comparison.answer, unanswered=state.comparison.problem),
            archive=self._archive.known(state.archive),
            operator=OperatorState(unattended_until=self._election.unattended_until, failure=state.failure),
        )
        snapshot = await with_contracts(self._client, self._shapes, key, app, state, snapshot)
        snapshot = await with_open_runs(self._client, self._open_runs, key, app, state, snapshot)
        counted = await self._counted(key, app, state, self._schedule(key, app, state, snapshot))
        return await self._with_named(app, state, counted)

    def _schedule(self, key: AppKey, app: App, state: AppState, snapshot: Snapshot) -> Snapshot:
        """Lets the background readers read what the snapshot calls for. Returns it with the verification that is due."""
        self._activity.schedule(key, state.activity, snapshot.pods.observed, readings.due(snapshot, app))
        self._comparisons.schedule(key, app.meta.uid, state.comparison, to_compare(snapshot, app))
        self._verifying.schedule(app, state.verification, verification_due(snapshot, app))
        self._archive.schedule(key, app.meta.uid, state.archive, hand_over(snapshot, app))
        self._holds.schedule(key, app.meta.uid, state.holds, holdings(snapshot, app))
        self._placements.schedule(key, app.meta.uid, state.placing, placing(snapshot, app))
        return replace(snapshot, verification=replace(snapshot.verification, progress=state.verification.progress))

    async def _with_named(self, app: App, state: AppState, snapshot: Snapshot) -> Snapshot:
        """Returns the snapshot with the keys of the Secrets and ConfigMaps that the App's variables name."""
        objects = references_to_read(snapshot, app)
        keys = await references.read_keys(self._client, snapshot.namespace, objects, state.referenced_keys, self._clock)
        return replace(snapshot, secrets=replace(snapshot.secrets, named=keys), moved=state.placing.take_moved())

    async def _counted(self, key: AppKey, app: App, state: AppState, snapshot: Snapshot) -> Snapshot:
        """Returns the snapshot with the counted runs, and with the history if a version is to be reverted."""
        state.counts = count(snapshot, app, state.counts)
        snapshot = replace(snapshot, trial=replace(snapshot.trial, counts=state.counts))
        unpinned = (row.name for row in snapshot.rows.observed if row.pinned is None and row.outcome is None)
        if reverts := needs_history(snapshot, app):
            snapshot = replace(snapshot, ledger=await self._ledger(key, app, snapshot.rows.observed, state, needed=True))
        if reverts or any(names.may_revert(key[1], row) for row in unpinned):
            return replace(snapshot, operator=replace(snapshot.operator, account=await self._own_name()))
        return snapshot

    async def _own_name(self) -> str:
        """Returns the operator's user name, read once: no rows but those that it makes by itself carry it."""
        if not self._account:
            review = await self._client.request("POST", REVIEWS, body=REVIEW, required="status")
            self._account = str(review["status"].get("userInfo", {}).get("username") or "")
        return self._account

    def _without_app(self, key: AppKey, app: Unreadable | None) -> Snapshot:
        """Returns the snapshot of a missing or unreadable App: its rows, which wait. Nothing is kept of a missing one."""
        if app is None:
            self._states.drop(key)
            self._claims.drop(key)
        waiting = self._from_cache(key, None)
        return Snapshot(
            *key,
            self._client.now(),
            self._settings,
            unreadable=(app,) if app is not None else (),
            rows=ObservedRows(tuple(waiting.records.values()), waiting.more_rows, orphaned=tuple(waiting.orphaned) if app is None else ()),
        )

    def _gate(self) -> Gate:
        """Returns the gate; unknown if the slices of its Service cannot be listed, even if some were seen before."""
        if SLICES in self._denials.of(self._settings.gate_namespace):
            return Gate.of(None)
        return Gate.of(map(Slice.of, self._cache.slices_of_gate()))

    async def policies_in(self, namespace: str) -> tuple[DeployPolicy, ...]:
        """Returns the readable policies that select a namespace."""
        return (await self._guards.observe(namespace, ())).policies

    def app(self, key: AppKey) -> App | Unreadable | None:
        """Returns the cached App; None if it is missing."""
        return self._cache.app(key)

    def _denied(self, namespace: str, records: Iterable[Row], flows: Container[str]) -> dict[str, str]:
        """Returns why kinds of children cannot be listed, by kind. Raises errors.Denied for a kind that decisions need."""
        denials = self._denials.of(namespace)
        needed = set(ESSENTIAL)
        for row in records:
            if row.outcome is None and row.pinned is None:
                needed |= {VERSIONS, RUNTIMES}
            elif row.outcome is None and row.pinned is not None and row.pinned.workflow_hash not in flows:
                needed.add(VERSIONS)  # its flow is in one of them: without that its deploy would fail
        for resource, reason in denials.items():
            if resource in needed:
                raise errors.Denied(f"the operator cannot list {resource.plural}, and can decide nothing without: {reason}")
        return {resource.kind: reason for resource, reason in denials.items() if resource in BY_KIND.values()}

    def _from_cache(self, key: AppKey, app: App | None) -> CachedObjects:
        """Returns the App's cached objects, without those of other managers and of other Apps with its name."""
        cached = CachedObjects()
        rows: list[Manifest] = []
        jobs: list[Manifest] = []
        schedules: set[str] = set()
        callers: dict[str, CallerPod] = {}
        evaluations: list[Manifest] = []
        evaluators: dict[str, EvaluationPod] = {}
        for resource, raw in self._cache.of_app(key):
            if app is not None and ownership.is_anothers(raw, app.meta.uid):
                schedules |= {raw["metadata"].get("uid", "")} if resource.kind == CRON_JOB.kind else set()
            elif resource is ROWS:
                rows.append(raw)
            elif resource in CHILDREN and app is not None and is_ours(raw, app):
                cached.children[(resource.kind, raw["metadata"]["name"])] = raw
            elif resource is JOBS and app is not None:
                jobs += [raw] if names.TRIGGER_LABEL in raw["metadata"]["labels"] else []
                evaluations += [raw] if names.VERIFICATION_LABEL in raw["metadata"]["labels"] else []
            elif resource is SLICES:
                cached.slices.append(Slice.of(raw))
            elif resource is PODS and names.TRIGGER_OF_LABEL in raw["metadata"]["labels"]:
                caller = CallerPod.of(raw)
                callers[caller.job] = caller
            elif resource is PODS and names.VERIFICATION_OF_LABEL in raw["metadata"]["labels"]:
                evaluator = EvaluationPod.of(raw)
                evaluators[evaluator.owner] = evaluator
            elif resource is PODS and names.FINISHING_OF_LABEL in raw["metadata"]["labels"]:
                cached.finishing.append(ObservedPod.of(raw))
            elif resource is PODS:
                cached.pods.append(ObservedPod.of(raw))
        held = self._held(key)
        orphans, rows = self._orphans(key, rows, app)
        cached.orphaned = [row for row in orphans if row.meta.name not in held][: row_window.ROWS_MOST]
        window = row_window.of_app(rows, held) if app is not None else row_window.without_app(rows)
        for raw in window.rows:
            cached.add(read(Row, raw))
        cached.more_rows = window.more
        # The runs of another App's trigger have its CronJob as their owner, and no App.
        own = [job for job in jobs if not schedules.intersection(Meta.of(job).owners)]
        cached.runs = [TriggerJob.of(job, callers.get(job["metadata"]["name"])) for job in own]
        cached.evaluations = [EvaluationJob.of(job, evaluators.get(job["metadata"].get("uid", "-"))) for job in evaluations]
        return cached

    def _orphans(self, key: AppKey, rows: list[Manifest], app: App | None) -> tuple[list[OrphanedRow], list[Manifest]]:
        """Returns the unowned rows of a deleted App of this name; and the other rows."""
        former = self._cache.former(key)
        if former is None or (app is not None and app.meta.uid == former.uid):
            return [], rows
        # The version first seen counts: a later status makes the row seem newer than the deletion of its App.
        orphans = [row for row in rows if row_window.is_new(row) and self._cache.first_seen(row) < former.version]
        names_ = {row["metadata"]["name"] for row in orphans}
        return [OrphanedRow(Meta.of(row), former.uid) for row in orphans], [row for row in rows if row["metadata"]["name"] not in names_]

    def _held(self, key: AppKey) -> frozenset[str]:
        """Returns the names of rows whose write was refused lately."""
        problems = self._states.of(key).row_problems.items()
        return frozenset(name for name, kept in problems if kept.at(self._clock()).holds_back(""))

    async def _closed_records(
        self, key: AppKey, app: App, records: dict[str, Row], children: Mapping[ChildKey, Manifest]
    ) -> dict[str, Row | Unreadable]:
        """Returns closed rows, which are not watched, that a watched row or the App's status names."""
        row_names = {row.spec.restores for row in records.values() if row.spec.restores and not row.pinned}
        if app.status.live is not None:
            row_names.add(app.status.live.row)
        if (last_good := standby_to_make(app, children, self._client.now())) is not None:
            row_names.add(last_good)
        rows: dict[str, Row | Unreadable] = {}
        for name in sorted(row_names - set(records)):
            try:
                raw = await self._client.get(ROWS, key[0], name)
            except errors.NotFound:
                continue
            if ownership.may_be_of(app.meta.uid, raw):
                rows[name] = read(Row, raw)
        return rows

    async def _read_archived(
        self, app: App, state: AppState, watched: Iterable[Row], present: Container[str], flows: set[str]
    ) -> dict[ChildKey, str]:
        """Reads the rows and flows that open rows need, and the cluster lacks, from the archive. Returns by row why it waits."""
        if app.spec.history is None or not app.spec.history.archive:
            return {}
        waiting = [row for row in watched if row.outcome is None]
        restoring = [row for row in waiting if row.pinned is None and row.spec.restores and row.spec.restores not in present]
        lacking = {row.pinned.workflow_hash for row in waiting if row.pinned is not None} - flows
        archived = {row.spec.restores for row in restoring if row.spec.restores}
        problem = await self._archive.read(app.meta.uid, state.archive, sorted(archived), lacking)
        if not problem:
            return {}
        why, archive = f"the row that it restores is not in the cluster, and {problem}", state.archive.answers
        whole = {name for name, row in archive.rows.items() if row.pinned is None or row.pinned.workflow_hash in {*flows, *archive.flows}}
        return {(ROWS.kind, row.name): why for row in restoring if row.spec.restores not in whole}

    async def _authors_stamped_since(self, records: Iterable[Row]) -> datetime | None:
        """Returns since when the policy that stamps authors and its binding have existed; reads that only if a row is unpinned."""
        if all(row.pinned or row.outcome for row in records):
            return None
        return await self._stamps.since(names.AUTHOR_POLICY)

    def _runtimes(self, unknown: dict[ChildKey, str]) -> dict[str, Runtime]:
        runtimes = {}
        for raw in self._cache.runtimes():
            runtime = read(Runtime, raw)
            if isinstance(runtime, Unreadable):
                unknown[(RUNTIMES.kind, runtime.meta.name)] = runtime.message
            else:
                runtimes[runtime.meta.name] = runtime
        return runtimes

    async def _versions(self, namespace: str, app: App, records: Iterable[Row], unknown: dict[ChildKey, str]) -> AsyncIterator[Version]:
        workflows = {app.spec.workflow} | {row.pinned.workflow for row in records if row.pinned}
        for workflow in sorted(workflows):
            for number, raw in enumerate(list(self._cache.versions(namespace, workflow)), 1):
                if number % VERSIONS_AT_ONCE == 0:
                    await asyncio.sleep(0)  # a workflow may have very many, and other Apps have their turn meanwhile
                name, spec = raw["metadata"]["name"], raw["spec"]
                if RELEASE.fullmatch(str(spec.get("version"))):
                    yield Version(name, workflow, spec["version"], spec.get("description"), raw[CONTENT_HASH])
                else:
                    unknown[(VERSIONS.kind, name)] = f"WorkflowVersion {name} cannot be read: spec.version is {spec.get('version')!r}"

    async def _expire_problems(self, namespace: str, app: App, state: AppState) -> None:
        """Reads a taken name again after `PROBLEM_TTL`: it may be free now."""
        state.forget_problems(self._clock())
        for child, kept in list(state.problems.items()):
            if kept.problem.reason is not ProblemReason.TAKEN or self._clock() - kept.since < PROBLEM_TTL:
                continue
            del state.problems[child]
            try:
                raw = await self._client.get(BY_KIND[child[0]], namespace, child[1])
            except errors.NotFound:
                continue
            if ownership.is_of_former(raw, app.meta.name, app.meta.uid):
                continue
            if not is_ours(raw, app) or (child_kind(child[0]).immutable and raw.get("immutable") is not True):
                state.keep_problem(child, kept.problem, self._clock())

    async def _ledger(self, key: AppKey, app: App, records: Iterable[Row], state: AppState, *, needed: bool = False) -> Ledger:
        """Returns the whole history: read once, when a decision first needs it, and updated from then on."""
        if state.ledger is None:
            settled = all(row.pinned or row.outcome for row in records)
            # When a row goes live under strategy Switch, the whole history decides what the standby runs.
            settled = settled and not (app.spec.rollout.switches and any(row.outcome is None for row in records))
            limited = app.spec.history is not None and app.spec.history.limit is not None
            if settled and app.spec.deploy is None and not limited and not needed and not hold_needs_history(app, records):
                return Ledger()
            rows: list[LedgerRow] = []
            async for page in self._client.pages(ROWS, key[0], field=f"spec.app={key[1]}"):
                rows += [LedgerRow.of_raw(raw) for raw in ownership.only_of(app.meta.uid, page["items"])]
            state.ledger = Ledger.of(rows)
        state.ledger = state.ledger.having(records)
        return state.ledger
