"""Keeps the objects of one App in memory, and changes them: plans are carried out on them, pods become Ready, time passes.

It is no API server. It asserts the rules that a plan relies on: set once, guarded by resourceVersion, a child owned or foreign, a closed
row no longer watched. A plan that breaks one fails its test.
"""

from __future__ import annotations

import contextlib
import functools
import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from dynamiq_operator.desired.access_keys import access_keys
from dynamiq_operator.desired.base import CONFIG_MAP, ENDPOINT_SLICE, JOB, SECRET, SERVICE, ChildKey, is_ours, owner
from dynamiq_operator.desired.callback_key import callback_key
from dynamiq_operator.desired.drift import without_creation
from dynamiq_operator.desired.evaluation import evaluation_key
from dynamiq_operator.desired.flow import flow, is_flow
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.model import kinds, names, ownership
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.gates import GateState
from dynamiq_operator.model.objects import App, Manifest, Meta, Row, Runtime, Unreadable, Version, format_time
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.children.access_keys import are_read
from dynamiq_operator.plan.children.callback_key import is_read
from dynamiq_operator.plan.children.variables import references_to_read
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.ledger import Ledger
from dynamiq_operator.plan.observed.activity import Activity, Runs
from dynamiq_operator.plan.observed.archive import ArchiveAnswers
from dynamiq_operator.plan.observed.children import ObservedChildren
from dynamiq_operator.plan.observed.comparison import RecordedComparison
from dynamiq_operator.plan.observed.endpoints import Gate, ObservedEndpoints, Slice
from dynamiq_operator.plan.observed.guards import ObservedGuards
from dynamiq_operator.plan.observed.jobs import CallerPod, TriggerJob
from dynamiq_operator.plan.observed.open_runs import OpenRuns
from dynamiq_operator.plan.observed.operator import OperatorState
from dynamiq_operator.plan.observed.pods import ObservedPod, ObservedPods
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason
from dynamiq_operator.plan.observed.rows import ObservedRows
from dynamiq_operator.plan.observed.run_counts import RunCounts
from dynamiq_operator.plan.observed.secrets import AccessKeys, CallbackKey, KeysPresence, ObservedSecrets
from dynamiq_operator.plan.observed.sources import PinSources
from dynamiq_operator.plan.observed.trial import ObservedTrial
from dynamiq_operator.plan.observed.verification import EvaluationJob, EvaluationPod, ObservedVerification, VerificationProgress
from dynamiq_operator.plan.planner import make_plan
from dynamiq_operator.plan.revert.counting import count
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.verification.requests import due
from dynamiq_operator.plan.workloads.finishing import labels_to_read
from dynamiq_operator.plan.workloads.wanted import standby_to_make
from tests.support import factories as given
from tests.support import managed_fields, slices
from tests.support.objects import Objects, copied, key_of

CLOSED = ("Superseded", "Failed")
BAD_NAME = {"waiting": {"reason": "InvalidImageName"}}
"""The state of a container whose image has an impossible name."""

OPERATOR = "system:serviceaccount:dynamiq-system:dynamiq-operator"

VERIFICATION_KEY = "d" * 64
"""A dummy for the SHA-256 of the key for requests to new pods."""

PASSES = 30
"""A plan that is not complete after so many passes never will be."""


class Stale(Exception):  # noqa: N818 - what the API server calls a conflict
    """A conflict: another client wrote the object since the snapshot was taken."""


class Taken(Exception):  # noqa: N818 - it holds up what relies on the flow, and is no fault of a test
    """A conflict: another object has the flow's name."""


class World(Objects):
    """Objects, and their operator. `events`: the Events, once each, as (kind of object, reason, message)."""

    def __init__(self, *objects: Manifest, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.unattended_until: datetime | None = None
        self.problems: dict[ChildKey, ChildProblem] = {}
        self.row_problems: dict[str, ChildProblem] = {}
        self.denied: set[ChildKey] = set()
        self.refused: dict[ChildKey, str] = {}
        self.unlisted: set[str] = set()
        """Kinds that the operator may not list, and so has never seen."""
        self.seen_before: dict[str, dict[ChildKey, Manifest]] = {}
        """Kinds that it may not list any more, with their last seen objects."""
        self.gate = Gate()
        """The gate's state, and its pods."""
        self.activity: dict[str, Activity] = {}
        """Each pod's report about its calls, by the pod's uid."""
        self.silent: set[str] = set()
        """Uids of pods without reports."""
        self.gate_keys: str | None = ""
        """The version of the Access Keys that the gate has."""
        self.gate_ports: frozenset[int] = frozenset()
        """Ports that other Apps use."""
        self.counts = RunCounts()
        """The operator's counts, which it loses at a restart."""
        self.comparison: RecordedComparison | None = None
        """The recorder's comparison of a row."""
        self.unanswered = ""
        """Why the recorder gave no answer."""
        self.archive = ArchiveAnswers()
        """The archive's answers about rows."""
        self.open_runs = OpenRuns()
        """The journal's counts."""
        self.guards = ObservedGuards()
        """Guards that may make rows wait."""
        self.promotions: dict[str, Row] = {}
        """Promoted rows, by the name of the promoting row."""
        self.verification: VerificationProgress | None = None
        """The answers of pods that the operator verifies before callers reach them, which it loses at a restart."""
        self.evaluators: dict[str, EvaluationPod] = {}
        """The pod of each Job that evaluates them."""
        self.events: dict[str, tuple[str, str, str]] = {}
        self.written: list[operations.Operation] = []
        self.follow = True
        """True if EndpointSlices follow at once; else they stay as they are."""
        self.checks: list[Callable[[], None]] = []
        """Checks after each write."""
        self._of_service: Manifest | None = None
        super().__init__(*objects)

    # Views of a test.

    @property
    def app(self) -> App:
        return App.of(self.objects[(API_VERSION, kinds.APP.kind, given.NAME)])

    @property
    def rows(self) -> dict[str, Row]:
        return {name: Row.of(raw) for (version, kind, name), raw in self.objects.items() if (version, kind) == _ROW}

    @property
    def phases(self) -> dict[str, str]:
        """Returns `#sequence phase` of each row."""
        return {name: f"#{row.sequence} {row.phase.value if row.phase else '-'}" for name, row in sorted(self.rows.items())}

    @property
    def serving(self) -> str | None:
        """Returns the version of the flow that the workload's newest template mounts."""
        if self.workload is None:
            return None
        mounted = self.workload["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"]
        return next(
            (version for version in ("v1", "v2", "v3", "v4") if names.flow(given.NAME, given.flow_hash(version)) == mounted), mounted
        )

    def condition(self, type_: str) -> tuple[str, str]:
        """Returns status and reason of one of the App's conditions."""
        return next((each.status, each.reason) for each in self.app.status.conditions if each.type == type_)

    def said(self, kind: str = kinds.ROW.kind) -> list[str]:
        """Returns reasons of the Events about objects of a kind, in the order of their first occurrence."""
        return [reason for about, reason, _ in self.events.values() if about == kind]

    def snapshot(self) -> Snapshot:
        """Returns what a restarted operator would observe."""
        app = self._typed(App, kinds.APP.kind).get(given.NAME)
        everything = self.rows
        rows = {name: row for name, row in everything.items() if row.phase not in CLOSED}
        if app is not None:
            needed = {row.spec.restores for row in rows.values() if row.spec.restores and not row.pinned}
            needed |= {app.status.live.row} if app.status.live else set()
        children = self._children(app) if app is not None else {}
        if app is not None:
            needed |= {name} if (name := standby_to_make(app, children, self.now)) is not None else set()
            rows |= {name: everything[name] for name in needed if name in everything}
        snapshot = Snapshot(
            given.NAMESPACE,
            given.NAME,
            self.now,
            self.settings,
            app=app,
            rows=ObservedRows(observed=tuple(rows[name] for name in sorted(rows)), problems=dict(self.row_problems)),
            ledger=Ledger(known=True).having(everything.values()),
            sources=PinSources(tuple(self._versions()) if app else (), self._typed(Runtime, kinds.RUNTIME.kind), dict(self.promotions)),
            guards=self.guards,
            children=ObservedChildren(
                {child: copied(raw) for child, raw in children.items()},
                frozenset(
                    flow_hash(raw["data"]["flow"])
                    for (kind, _), raw in children.items()
                    if kind == CONFIG_MAP.kind and raw.get("immutable")
                ),
                tuple(self._runs()),
                dict(self.problems),
                dict.fromkeys((*self.unlisted, *self.seen_before), "forbidden"),
            ),
            secrets=ObservedSecrets(self._keys(app), self.gate_keys, self._callback_key(app)),
            pods=ObservedPods(
                tuple(ObservedPod.of(pod) for pod in self.pods if names.FINISHING_OF_LABEL not in pod["metadata"]["labels"]),
                {pod["metadata"]["uid"]: self.activity[uid] for pod in self.pods if (uid := pod["metadata"]["uid"]) in self.activity},
                frozenset(self.silent),
                tuple(ObservedPod.of(pod) for pod in self.pods if names.FINISHING_OF_LABEL in pod["metadata"]["labels"]),
            ),
            endpoints=ObservedEndpoints(tuple(self._slices()), self.gate, self.gate_ports),
            verification=ObservedVerification(evaluations=tuple(self._evaluations())),
            trial=ObservedTrial(comparison=self.comparison, unanswered=self.unanswered),
            archive=self.archive,
            open_runs=self.open_runs,
            operator=OperatorState(OPERATOR, self.unattended_until),
        )
        if app is None:
            return snapshot
        lacking = labels_to_read(Context.of(snapshot, app))
        of_pins = {Pins.of(row.pinned).label: row for row in everything.values() if lacking and row.pinned is not None}
        snapshot = replace(
            snapshot, open_runs=replace(self.open_runs, rows={label: of_pins[label] for label in lacking if label in of_pins})
        )
        self.counts = count(snapshot, app, self.counts)
        snapshot = self._verifying(
            _with_reading(replace(snapshot, trial=replace(snapshot.trial, counts=self.counts)), self.verification), app
        )
        named = {child: self._keys_of(child) for child in references_to_read(snapshot, app)}
        return replace(snapshot, secrets=replace(snapshot.secrets, named=named))

    def _verifying(self, snapshot: Snapshot, app: App) -> Snapshot:
        """Adds the state of verified pods, which begins and ends here, as in `controller.verifying`."""
        question, reading = due(snapshot, app), self.verification
        if question is None:
            self.verification = None
        elif reading is None or (reading.row, reading.pods) != (question.row, question.uids):
            self.verification = VerificationProgress(question.row, question.uids, question.began or self.now)
        if question is not None and self.verification is not None:
            lacks_key = bool(question.job) and not self._has_key(question.job)
            self.verification = replace(self.verification, lacks_key=lacks_key, digest="" if lacks_key else VERIFICATION_KEY)
        return _with_reading(snapshot, self.verification)

    def _has_key(self, job: str) -> bool:
        """Returns True if the Secret of the Job exists, and this operator created it."""
        secret = self.objects.get((SECRET.api_version, SECRET.kind, job))
        return (
            secret is not None
            and self.verification is not None
            and secret["metadata"]["ownerReferences"][0]["uid"] == self.verification.job
        )

    def answer(self, **answers: Any) -> None:
        """Adds answers of the verified pods."""
        assert self.verification is not None, "no pod is asked now"
        self.verification = replace(self.verification, **answers)

    @property
    def selector(self) -> Mapping[str, str]:
        """Returns the Service's selector."""
        selected: dict[str, str] = self.child(SERVICE.kind)["spec"]["selector"]
        return selected

    def plan(self) -> operations.Plan:
        return make_plan(self.snapshot())

    # Actions of the gate, and reports of pods.

    def install_gate(self, *pods: str) -> None:
        """Installs the gate with these ready pods."""
        self.gate = Gate(GateState.READY if pods else GateState.DOWN, frozenset(f"uid-of-{pod}" for pod in pods))

    def lead_to(self, *pods: str) -> None:
        """Puts these pods of the gate into the App's slice."""
        raw = self.child(ENDPOINT_SLICE.kind, names.gate_slice(given.NAME))
        raw["endpoints"] = [slices.endpoint(pod) for pod in pods]
        raw["metadata"]["managedFields"] = [{"time": format_time(self.now)}]
        self._keep(raw)

    def say_idle(self, seconds: float | None, *, in_flight: int = 0) -> None:
        """Makes every pod report that it has been idle for so long."""
        idle = None if seconds is None else 0.0 if in_flight else float(seconds)
        self.activity |= {pod["metadata"]["uid"]: Activity(self.now, idle, idle, in_flight, False) for pod in self.pods}

    def scale(self, replicas: int) -> None:
        """Scales the workload like another client, such as the gate, which wakes the App."""
        raw = self.workload
        assert raw is not None
        raw["spec"]["replicas"] = replicas
        self.edited(raw)

    def answered(
        self,
        succeeded: int = 0,
        failed: int = 0,
        refused: int = 0,
        *,
        in_flight: int = 0,
        running: tuple[float, ...] | None = None,
        failed_seconds: float | None = None,
        pod: int = 0,
        began_anew: bool = False,
    ) -> None:
        """Adds a pod's report: runs that ended since its container began, and runs in flight, or their durations."""
        in_flight = in_flight or len(running or ())
        uid = self.pods[pod]["metadata"]["uid"]
        before = self.activity.get(uid)
        ready = (before.ready_seconds or 0.0) + 1.0 if before is not None and not began_anew else 1.0
        self.activity[uid] = Activity(self.now, ready, 0.0, in_flight, False, Runs(succeeded, failed, refused), running, failed_seconds)

    # Actions of the operator.

    def settle(self) -> None:
        """Plans and carries out, until no operations remain."""
        for _ in range(PASSES):
            plan = self.plan()
            if not plan.operations:
                return
            with contextlib.suppress(Taken):  # later operations are planned again
                self.perform(plan.operations)
        raise AssertionError(f"no rest after {PASSES} passes; still to do: {plan.operations!r}")

    def run(self) -> None:
        """Runs until no operations remain; every pod becomes Ready meanwhile."""
        for _ in range(PASSES):
            self.settle()
            self.roll()
            if not self.plan().operations:
                return
        raise AssertionError("the pods and the plan never come to rest together")

    def perform(self, some: Iterable[operations.Operation]) -> None:
        """Carries out operations of one plan, in order. Raises Stale like the API server, before any write."""
        versions: dict[str, str] = {}
        for action in some:
            self._do(action, versions)
            self.written.append(action)
            for check in self.checks:
                check()

    def _do(self, action: operations.Operation, versions: dict[str, str]) -> None:
        match action:
            case operations.Emit(about=about, reason=reason, message=message):
                kind = kinds.ROW.kind if isinstance(about, Row) else kinds.APP.kind
                free = (name for name in action.names if self.events.get(name, ("", reason))[1] == reason)
                self.events.setdefault(next(free, action.names[-1]), (kind, reason, message))
            case operations.SetAppStatus(app=app, status=status):
                self._write(kinds.APP.kind, app, versions)["status"] = status.as_json()
            case operations.SetAppConditions(meta=meta, conditions=conditions):
                raw = self.objects[self._find(kinds.APP.kind, meta.name)]
                self._write(kinds.APP.kind, Unreadable(kinds.APP.kind, meta, ""), versions)["status"] = {
                    **(raw.get("status") or {}),
                    "conditions": list(conditions),
                }
            case operations.SetRowStatus(row=row, status=row_status):
                self._write(kinds.ROW.kind, row, versions)["status"] = row_status.as_json()
            case operations.CompleteRow(app=app, row=row, sequence=sequence, pinned=pins):
                raw = self._write(kinds.ROW.kind, row, versions)
                raw["metadata"]["ownerReferences"] = [owner(app)]
                self._set_once(raw, sequence=sequence, pinned=pins.as_json() if pins else None)
            case operations.AdmitRow(row=row, released=released):
                self._set_once(self._write(kinds.ROW.kind, row, versions), released=released.as_json())
            case operations.EndRow(row=row, outcome=outcome):
                self._set_once(self._write(kinds.ROW.kind, row, versions), outcome=outcome.as_json())
            case operations.CreateChild(app=app, manifest=manifest, digest=digest):
                self._create(app, manifest, digest)
            case operations.ApplyChild():
                self._apply(action)
            case operations.DeleteChild(observed=observed, keep_dependents=keep):
                self.objects.pop(key_of(observed), None)
                self._collect(observed["metadata"]["uid"], keep=keep)
            case operations.RunOnce(app=app, manifest=manifest, digest=digest):
                self._create(app, manifest, digest)
            case operations.CreateFlow(app=app, flow_hash=wanted, version=version, text=archived):
                text = archived or self.objects[(API_VERSION, kinds.WORKFLOW_VERSION.kind, version)]["spec"]["flow"]
                assert flow_hash(text) == wanted
                self._create_flow(app, flow(app, wanted, text), wanted)
            case operations.CreateAccessKeys(app=app):
                self._create(app, access_keys(app, "key"), "")
            case operations.CreateCallbackKey(app=app):
                self._create(app, callback_key(app, "key"), "")
            case operations.AnnotatePod(uid=uid, annotation=annotation, value=value):
                (pod,) = (pod for pod in self.pods if pod["metadata"]["uid"] == uid)
                pod["metadata"].setdefault("annotations", {})[annotation] = value
                if value is None:
                    del pod["metadata"]["annotations"][annotation]
            case operations.ScaleWorkload(observed=observed, replicas=replicas):
                current = self.objects[key_of(observed)]
                current["spec"]["replicas"] = replicas
                self.edited(current)
            case _:
                self._do_with_history(action, versions)

    def _do_with_history(self, action: operations.Operation, versions: dict[str, str]) -> None:
        match action:
            case operations.VerifyRow(row=row, verified=verified):
                self._set_once(self._write(kinds.ROW.kind, row, versions), verified=verified.as_json())
            case operations.CreateEvaluationKey(app=app, job=job, uid=uid):
                self._create(app, evaluation_key(app, job, uid, "key"), "")
            case operations.StartEvaluation(observed=observed):
                current = self.objects[key_of(observed)]
                current["spec"]["suspend"] = False
                self._keep(current)
            case operations.WriteGateKeys(version=version):
                keys = self.objects[(SECRET.api_version, SECRET.kind, names.access_keys(given.NAME))]
                assert keys["metadata"]["resourceVersion"] == version
                self.gate_keys = version
            case operations.CreateRow(app=app, name=name, content=asked, created_by=author):
                if (*_ROW, name) not in self.objects:
                    owned = given.with_meta(ownerReferences=[owner(app)])
                    self.add(given.row_manifest(name, given.with_spec(app=app.meta.name, createdBy=author, **asked), owned))
            case operations.DeleteRow(name=name):
                self.objects.pop((*_ROW, name), None)
            case operations.OwnRow(app=app, row=row):
                self._write(kinds.ROW.kind, row, versions)["metadata"]["ownerReferences"] = [owner(app)]
            case operations.LeaveRow(meta=meta, app=name, app_uid=uid):
                self.objects[(*_ROW, meta.name)]["metadata"]["ownerReferences"] = [ownership.reference(name, uid)]
            case operations.OwnChild(app=app, observed=observed):
                current = self.objects[key_of(observed)]
                current["metadata"]["ownerReferences"] = [owner(app)]
                self._keep(current)
            case _:
                raise AssertionError(f"this world does not know {action!r}")

    def _write(self, kind: str, observed: App | Row | Unreadable, versions: dict[str, str]) -> Manifest:
        """Returns the object, to be changed; its resourceVersion must be that of the snapshot, or of the plan's own last write."""
        raw = self.objects[self._find(kind, observed.meta.name)]
        if raw["metadata"]["resourceVersion"] != versions.get(observed.meta.uid, observed.meta.resource_version):
            raise Stale(f"{kind} {observed.meta.name}")
        self._keep(raw)
        versions[observed.meta.uid] = raw["metadata"]["resourceVersion"]
        return raw

    def _set_once(self, raw: Manifest, **parts: Any) -> None:
        for name, value in parts.items():
            if value is not None:
                assert raw["spec"].get(name, value) == value, f"{name} of row {raw['metadata']['name']} was set before"
                raw["spec"][name] = value
        raw["metadata"]["generation"] += 1

    def _create(self, app: App, manifest: Manifest, digest: str) -> None:
        name = (manifest["kind"], manifest["metadata"]["name"])
        current = self.objects.get(key_of(manifest))
        if name in self.denied:
            self.problems[name] = ChildProblem(ProblemReason.DENIED, f"{name[0]} {name[1]} is not allowed: quota", digest)
        elif name in self.refused:
            self.problems[name] = ChildProblem(
                ProblemReason.REFUSED, f"the API server refuses {name[0]} {name[1]}: {self.refused[name]}", digest
            )
        elif current is not None and not is_ours(current, app):
            self.problems[name] = ChildProblem(
                ProblemReason.TAKEN, f"{name[0]} {name[1]} exists and is not this App's", other_app=ownership.app_of(current)
            )
        elif current is None:
            self.problems.pop(name, None)
            self.add(managed_fields.applied(without_creation(manifest), manifest) if name[0] not in _POSTED else manifest)
            reading, row = self.verification, manifest["metadata"].get("labels", {}).get(names.VERIFICATION_LABEL)
            if name[0] == JOB.kind and reading is not None and reading.row == row:
                next_reading = VerificationProgress(reading.row, reading.pods, reading.since) if reading.job else reading
                self.verification = replace(next_reading, job=self.objects[key_of(manifest)]["metadata"]["uid"])
            if name[0] == ENDPOINT_SLICE.kind:
                self.lead_to()

    def _create_flow(self, app: App, manifest: Manifest, flow_hash_: str) -> None:
        current = self.objects.get(key_of(manifest))
        if current is None or is_flow(current, flow_hash_):
            self._create(app, manifest, flow_hash_)
            return
        name = (manifest["kind"], manifest["metadata"]["name"])
        self.problems[name] = ChildProblem(ProblemReason.TAKEN, f"{name[0]} {name[1]} exists, and is not this flow")
        raise Taken(name[1])

    def _apply(self, action: operations.ApplyChild) -> None:
        current = self.objects[key_of(action.manifest)]
        assert current["metadata"]["uid"] == action.observed["metadata"]["uid"]
        metadata = {key: value for key, value in current["metadata"].items() if key not in ("labels", "annotations", "ownerReferences")}
        applied = {**copied(action.manifest), "metadata": {**metadata, **copied(action.manifest["metadata"])}}
        if "replicas" in current.get("spec", {}):
            applied["spec"].setdefault("replicas", current["spec"]["replicas"])
        if "status" in current:
            applied["status"] = current["status"]
        raw = managed_fields.applied(action.manifest, applied)
        if raw.get("spec") == current.get("spec"):
            self._keep(raw)  # a change of metadata alone makes no generation
        else:
            self.written_by_ours(raw)

    # Bookkeeping.

    def _typed(self, of: Any, kind: str) -> dict[str, Any]:
        return {
            name: of.of(raw) for (version, api_version, name), raw in self.objects.items() if (version, api_version) == (API_VERSION, kind)
        }

    def _versions(self) -> Iterable[Version]:
        for (_, kind, name), raw in self.objects.items():
            if kind == kinds.WORKFLOW_VERSION.kind:
                spec = raw["spec"]
                yield Version(name, spec["workflow"], spec["version"], spec.get("description"), flow_hash(spec["flow"]))

    def list_no_more(self, kind: str) -> None:
        """Removes the operator's right to list a kind of children: it keeps seeing the current ones."""
        self.seen_before[kind] = {key: copied(raw) for key, raw in self._children(self.app).items() if key[0] == kind}

    def list_again(self) -> None:
        """Restores its right to list everything."""
        self.seen_before.clear()

    def _children(self, app: App) -> dict[ChildKey, Manifest]:
        unseen = (SECRET.kind, JOB.kind, ENDPOINT_SLICE.kind, *self.unlisted, *self.seen_before)
        children = {
            (kind, name): raw
            for (version, kind, name), raw in self.objects.items()
            if version != API_VERSION and kind not in unseen and is_ours(raw, app)
        }
        return children | {key: raw for objects in self.seen_before.values() for key, raw in objects.items()}

    def _runs(self) -> Iterable[TriggerJob]:
        for (_, kind, name), raw in self.objects.items():
            if kind == JOB.kind and kind not in self.unlisted and names.TRIGGER_LABEL in raw["metadata"]["labels"]:
                yield TriggerJob.of(copied(raw), CallerPod.of(self.callers[name]) if name in self.callers else None)

    def _evaluations(self) -> Iterable[EvaluationJob]:
        for (_, kind, name), raw in self.objects.items():
            if kind == JOB.kind and names.VERIFICATION_LABEL in raw["metadata"]["labels"]:
                yield EvaluationJob.of(copied(raw), self.evaluators.get(name))

    def _slices(self) -> Iterable[Slice]:
        """Yields the operator's slices, and the one that Kubernetes makes for the App's Service, with the Service's labels."""
        service = self.objects.get((SERVICE.api_version, SERVICE.kind, given.NAME))
        if service is not None and service["metadata"].get("labels", {}).get(names.ENDPOINTS_LABEL) == names.WATCHED_ENDPOINTS:
            selected = [pod for pod in self.pods if self.selector.items() <= pod["metadata"]["labels"].items()]
            if self.follow or self._of_service is None:
                raw = slices.service_slice(*(slices.of_pod(pod) for pod in selected))
                is_new = self._of_service is None or self._of_service["endpoints"] != raw["endpoints"]
                written = [{"time": format_time(self.now)}] if is_new else (self._of_service or raw)["metadata"]["managedFields"]
                self._of_service = {**raw, "metadata": {**raw["metadata"], "managedFields": written}}
            yield Slice.of(self._of_service)
        for (_, kind, _), raw in self.objects.items():
            if kind == ENDPOINT_SLICE.kind:
                yield Slice.of(copied(raw))

    def _keys(self, app: App | None) -> AccessKeys:
        secret = self.objects.get((SECRET.api_version, SECRET.kind, names.access_keys(given.NAME)))
        if app is None or not are_read(app, self.workloads.values()):
            return AccessKeys(KeysPresence.PRESENT)
        if secret is None:
            return AccessKeys(KeysPresence.ABSENT)
        presence = KeysPresence.PRESENT if is_ours(secret, app) else KeysPresence.FOREIGN
        return AccessKeys(presence, secret["metadata"]["resourceVersion"], self.now)

    def _callback_key(self, app: App | None) -> CallbackKey:
        secret = self.objects.get((SECRET.api_version, SECRET.kind, names.callback_key(given.NAME)))
        if app is None or secret is None or not is_read(app, self.workloads.values(), self.settings.journal):
            return CallbackKey(KeysPresence.ABSENT)
        presence = KeysPresence.PRESENT if is_ours(secret, app) else KeysPresence.FOREIGN
        return CallbackKey(presence, Meta.of(secret).created)

    def _keys_of(self, child: ChildKey) -> frozenset[str] | None:
        raw = self.objects.get(("v1", *child))
        return frozenset(raw["data"]) if raw is not None else None


_POSTED = (CONFIG_MAP.kind, SECRET.kind, JOB.kind, ENDPOINT_SLICE.kind)
"""Kinds that are created and never applied."""
_ROW = (API_VERSION, kinds.ROW.kind)


def _with_reading(snapshot: Snapshot, reading: VerificationProgress | None) -> Snapshot:
    return replace(snapshot, verification=replace(snapshot.verification, progress=reading))


def stamped(snapshot: Snapshot, since: datetime) -> Snapshot:
    """Returns the snapshot of a cluster that stamps who creates a row."""
    return replace(snapshot, sources=replace(snapshot.sources, authors_stamped_since=since))


def a_world(*modifiers: given.Modifier, settings: Settings | None = None) -> World:
    """Returns a world with an App, a Runtime, and releases v1 to v3."""
    releases = [given.version_manifest(version) for version in ("v1", "v2", "v3")]
    return World(given.app_manifest(*modifiers), given.runtime_manifest(), *releases, settings=settings)


def begun(begin: Callable[..., World], *arguments: Any) -> World:
    """Returns a world as `begin` makes it, once for each of its arguments: a copy takes a hundredth of the time."""
    return _copy(_begun(begin, *arguments))


@functools.cache
def _begun(begin: Callable[..., World], *arguments: Any) -> bytes:
    return pickle.dumps(begin(*arguments))


def _copy(pickled: bytes) -> World:
    world: World = pickle.loads(pickled)  # noqa: S301 - our own
    return world


_SERVING: dict[bytes, bytes] = {}
"""Idle worlds, by their initial objects."""


def serving(version: str = "v1", *modifiers: given.Modifier) -> World:
    """Returns an idle world in which row `a` serves `version`."""
    world = a_world(*modifiers)
    key = orjson.dumps([version, *world.objects.values()])
    if key not in _SERVING:
        world.deploy("a", version)
        world.run()
        world.events.clear()
        _SERVING[key] = pickle.dumps(world)
    return _copy(_SERVING[key])
