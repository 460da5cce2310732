"""The objects of one App in memory, and what happens to them: plans are carried out on them, pods become Ready, time passes.

It is no API server: it keeps the rules that a plan relies on (set once, guarded by resourceVersion, a child owned or foreign,
a closed row no longer watched) as assertions, so that a plan that breaks one fails the test that made it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from dynamiq_operator.desired import content
from dynamiq_operator.desired.base import CONFIG_MAP, CRON_JOB, JOB, SECRET, WORKLOAD, is_labelled, is_owned, owner
from dynamiq_operator.kube.resources import BY_KIND
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.objects import App, Manifest, Record, Runtime, Version, format_time
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan import make_plan, operations
from dynamiq_operator.plan.children.variables import references_to_read
from dynamiq_operator.plan.history.ledger import Ledger
from dynamiq_operator.plan.observed.jobs import JOB_NAME_LABEL, CallerPod, TriggerJob
from dynamiq_operator.plan.observed.pods import Pod
from dynamiq_operator.plan.observed.problems import ChildKey, ChildProblem, Hindrance
from dynamiq_operator.plan.snapshot import AccessKeys, KeysPresence, Snapshot
from tests.support import factories as given

CLOSED = ("Superseded", "Failed")
PASSES = 30
"""A plan that has not come to rest after so many passes never will."""


class Stale(Exception):  # noqa: N818 - what the API server calls a conflict
    """Somebody wrote the object since the snapshot was taken."""


class World:
    """Objects by API version, kind and name. `events`: what was said, once each, as (kind of object, reason, message)."""

    def __init__(self, *objects: Manifest, settings: Settings | None = None) -> None:
        self.now: datetime = given.NOW
        self.settings = settings or Settings()
        self.objects: dict[tuple[str, str, str], Manifest] = {}
        self.problems: dict[ChildKey, ChildProblem] = {}
        self.denied: set[ChildKey] = set()
        self.refused: dict[ChildKey, str] = {}
        self.events: dict[str, tuple[str, str, str]] = {}
        self.pods: list[Manifest] = []
        self.callers: dict[str, Manifest] = {}
        self.written: list[operations.Action] = []
        self._version = 1
        for made in objects:
            self.add(made)

    # What users and controllers do.

    def add(self, made: Manifest) -> None:
        """An object appears, by whomever."""
        self._version += 1
        identity = {"uid": f"uid-{self._version}", "generation": 1, "creationTimestamp": format_time(self.now)}
        ours = given.stored(made) if made["apiVersion"] == API_VERSION else made
        self._keep(copy.deepcopy({**ours, "metadata": {**ours["metadata"], **identity, **made["metadata"]}}))

    def remove(self, kind: str, name: str) -> None:
        del self.objects[self._find(kind, name)]

    def remove_other(self, kind: str, name: str) -> None:
        """An object that is not of ours goes."""
        del self.objects[("v1", kind, name)]

    def child(self, kind: str, name: str = given.NAME) -> Manifest:
        """A child as it is now; edit it in place, then call `edited`."""
        return self.objects[(BY_KIND[kind].api_version, kind, name)]

    def edited(self, made: Manifest) -> None:
        """Somebody changed this object."""
        made["metadata"]["generation"] = made["metadata"].get("generation", 1) + 1
        self._keep(made)

    def deploy(self, name: str, version: str | None = None, **asking: Any) -> None:
        """A user creates a row."""
        asked = {**({"workflowVersion": version} if version else {}), **asking}
        self.add(given.row_manifest(name, given.asking(**asked)))

    def roll(self) -> None:
        """The workload's controller and the kubelet bring all of its pods to the newest template, Ready."""
        made = self.workload
        if made is None:
            self.pods = []
            return
        wanted = made["spec"]["replicas"]
        self._pods(made, [{"ready": True, "state": {"running": {}}} for _ in range(wanted)])
        self._counts(made, replicas=wanted, updatedReplicas=wanted, availableReplicas=wanted)

    def stall(self, state: Manifest, *, old: int = 0, **status: Any) -> None:
        """One pod of the newest template comes up in `state` and is not ready; `old` ones of the template before serve on."""
        made = self.workload
        assert made is not None
        self._pods(made, [{"ready": False, "state": state, **status}])
        self._counts(made, replicas=1 + old, updatedReplicas=1, availableReplicas=old)

    def fire(self, cron_job: str, at: int = 1) -> str:
        """The controller of CronJobs makes the Job of its `at`-th time; returns the Job's name."""
        made = self.child(CRON_JOB.kind, cron_job)
        name = f"{cron_job}-{29_000_000 + at}"
        template = made["spec"]["jobTemplate"]
        owned = [{"apiVersion": CRON_JOB.api_version, "kind": CRON_JOB.kind, "name": cron_job, "uid": made["metadata"]["uid"]}]
        meta = {"name": name, "namespace": given.NAMESPACE, "ownerReferences": owned, **copy.deepcopy(template["metadata"])}
        self.add({"apiVersion": JOB.api_version, "kind": JOB.kind, "metadata": meta, "spec": copy.deepcopy(template["spec"])})
        return name

    def call(self, job: str, **status: Any) -> None:
        """The pod of a Job reads so."""
        self.callers[job] = {"metadata": {"name": f"{job}-x", "labels": {JOB_NAME_LABEL: job}}, "status": status}

    def end_job(self, job: str, last_word: str | None = None, *, reason: str = "", code: int = 0) -> None:
        """The Job has completed, or failed for a `reason`; with `last_word`, the termination message of its pod."""
        if last_word is not None:
            terminated = {"exitCode": code, "reason": "Error" if code else "Completed", "message": last_word}
            self.call(job, phase="Failed" if reason else "Succeeded", containerStatuses=[{"state": {"terminated": terminated}}])
        made = self.child(JOB.kind, job)
        end = {"type": "Failed" if reason else "Complete", "status": "True", "lastTransitionTime": format_time(self.now)}
        made["status"] = {"conditions": [{**end, "reason": reason}], **({} if reason else {"completionTime": format_time(self.now)})}
        self._keep(made)

    def remove_job(self, name: str) -> None:
        """The Job is gone, and its pod."""
        del self.objects[(JOB.api_version, JOB.kind, name)]
        self.callers.pop(name, None)

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def forget_statuses(self) -> None:
        """A backup comes back without statuses, with other uids, and with children that no owner has."""
        for made in self.objects.values():
            made["metadata"].pop("ownerReferences", None)
            made["metadata"]["uid"] = f"restored-{made['metadata']['uid']}"
            if made["apiVersion"] == API_VERSION:
                made.pop("status", None)
                made.update({"status": given.stored(made)["status"]} if "status" in given.stored(made) else {})

    # What a test looks at.

    @property
    def workload(self) -> Manifest | None:
        return self.objects.get((WORKLOAD.api_version, WORKLOAD.kind, given.NAME))

    @property
    def app(self) -> App:
        return App.of(self.objects[(API_VERSION, kinds.APP.kind, given.NAME)])

    @property
    def rows(self) -> dict[str, Record]:
        return {name: Record.of(made) for (version, kind, name), made in self.objects.items() if (version, kind) == _ROW}

    @property
    def phases(self) -> dict[str, str]:
        """`#sequence phase` of each row."""
        return {name: f"#{row.sequence} {row.phase.value if row.phase else '-'}" for name, row in sorted(self.rows.items())}

    @property
    def serving(self) -> str | None:
        """The flow that the workload's newest template mounts, as the version it is of."""
        if self.workload is None:
            return None
        mounted = self.workload["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"]
        return next(
            (version for version in ("v1", "v2", "v3", "v4") if names.flow(given.NAME, given.flow_hash(version)) == mounted), mounted
        )

    def condition(self, type_: str) -> tuple[str, str]:
        """Status and reason of one of the App's conditions."""
        return next((found.status, found.reason) for found in self.app.status.conditions if found.type == type_)

    def said(self, kind: str = kinds.RECORD.kind) -> list[str]:
        """Reasons of the Events about objects of a kind, in the order in which they were first said."""
        return [reason for about, reason, _ in self.events.values() if about == kind]

    def snapshot(self) -> Snapshot:
        """What the operator would observe, just started."""
        app = self._typed(App, kinds.APP.kind).get(given.NAME)
        everything = self.rows
        rows = {name: row for name, row in everything.items() if row.phase not in CLOSED}
        if app is not None:
            wanted = {row.spec.restores for row in rows.values() if row.spec.restores and not row.pinned}
            wanted |= {app.status.live.row} if app.status.live else set()
            rows |= {name: everything[name] for name in wanted if name in everything}
        children = self._children(app) if app is not None else {}
        snapshot = Snapshot(
            given.NAMESPACE,
            given.NAME,
            self.now,
            self.settings,
            app=app,
            records=tuple(rows[name] for name in sorted(rows)),
            versions=tuple(self._versions()) if app else (),
            runtimes=self._typed(Runtime, kinds.RUNTIME.kind),
            children=copy.deepcopy(children),
            flows=frozenset(flow_hash(made["data"]["flow"]) for (kind, _), made in children.items() if kind == CONFIG_MAP.kind),
            problems=dict(self.problems),
            access_keys=self._keys(app),
            pods=tuple(Pod.of(pod) for pod in self.pods),
            runs=tuple(self._runs()),
            ledger=Ledger(known=True).having(everything.values()),
        )
        return replace(snapshot, named={child: self._keys_of(child) for child in references_to_read(snapshot, app)}) if app else snapshot

    def plan(self) -> operations.Plan:
        return make_plan(self.snapshot())

    # What the operator does.

    def settle(self) -> None:
        """Plans and carries out, until there is nothing to do."""
        for _ in range(PASSES):
            plan = self.plan()
            if not plan.actions:
                return
            self.perform(plan.actions)
        raise AssertionError(f"no rest after {PASSES} passes; still to do: {plan.actions!r}")

    def run(self) -> None:
        """Until nothing is to be done, with every pod becoming Ready meanwhile."""
        for _ in range(PASSES):
            self.settle()
            self.roll()
            if not self.plan().actions:
                return
        raise AssertionError("the pods and the plan never come to rest together")

    def perform(self, some: Iterable[operations.Action]) -> None:
        """Carries out actions of one plan, in order. Raises Stale as the API server would, before anything is written."""
        versions: dict[str, str] = {}
        for action in some:
            self._do(action, versions)
            self.written.append(action)

    def _do(self, action: operations.Action, versions: dict[str, str]) -> None:
        match action:
            case operations.Emit(about=about, reason=reason, key=key, message=message):
                kind = kinds.APP.kind if isinstance(about, App) else kinds.RECORD.kind
                self.events.setdefault(names.event(about.meta.uid, reason, key), (kind, reason, message))
            case operations.SetAppStatus(app=app, status=status):
                self._write(kinds.APP.kind, app, versions)["status"] = status.as_json()
            case operations.SetRecordStatus(record=record, status=row_status):
                self._write(kinds.RECORD.kind, record, versions)["status"] = row_status.as_json()
            case operations.CompleteRecord(app=app, record=record, sequence=sequence, pinned=pins):
                made = self._write(kinds.RECORD.kind, record, versions)
                made["metadata"]["ownerReferences"] = [owner(app)]
                self._set_once(made, sequence=sequence, pinned=pins.as_json() if pins else None)
            case operations.EndRecord(record=record, outcome=outcome):
                self._set_once(self._write(kinds.RECORD.kind, record, versions), outcome=outcome.as_json())
            case operations.CreateChild(app=app, manifest=manifest, digest=digest):
                self._create(app, manifest, digest)
            case operations.ApplyChild():
                self._apply(action)
            case operations.DeleteChild(observed=observed, keep_dependents=keep):
                self.objects.pop(_key(observed), None)
                self._collect(observed["metadata"]["uid"], keep=keep)
            case operations.RunOnce(app=app, manifest=manifest, digest=digest):
                self._create(app, manifest, digest)
            case operations.CreateFlow(app=app, flow_hash=wanted, version=version):
                text = self.objects[(API_VERSION, kinds.WORKFLOW_VERSION.kind, version)]["spec"]["flow"]
                assert flow_hash(text) == wanted
                self._create(app, content.flow(app, wanted, text), wanted)
            case operations.CreateAccessKeys(app=app):
                self._create(app, content.access_keys(app, "key"), "")
            case operations.TellOfKeys(uid=uid, version=version):
                (pod,) = (pod for pod in self.pods if pod["metadata"]["uid"] == uid)
                pod["metadata"].setdefault("annotations", {})[names.KEYS_ANNOTATION] = version
            case operations.ScaleWorkload(observed=observed, replicas=replicas):
                found = self.objects[_key(observed)]
                found["spec"]["replicas"] = replicas
                self.edited(found)
            case _:
                self._do_with_history(action, versions)

    def _do_with_history(self, action: operations.Action, versions: dict[str, str]) -> None:
        match action:
            case operations.CreateRecord(app=app, name=name, asked=asked):
                if (*_ROW, name) not in self.objects:
                    self.add(given.row_manifest(name, given.with_spec(app=app.meta.name, **asked)))
            case operations.DeleteRecord(name=name):
                self.objects.pop((*_ROW, name), None)
            case operations.OwnRecord(app=app, record=record):
                self._write(kinds.RECORD.kind, record, versions)["metadata"]["ownerReferences"] = [owner(app)]
            case operations.OwnChild(app=app, observed=observed):
                found = self.objects[_key(observed)]
                found["metadata"]["ownerReferences"] = [owner(app)]
                self._keep(found)
            case _:
                raise AssertionError(f"this world does not know {action!r}")

    def _write(self, kind: str, observed: App | Record, versions: dict[str, str]) -> Manifest:
        """The object, to be changed; its resourceVersion is that of the snapshot, or of the plan's own write before."""
        made = self.objects[self._find(kind, observed.meta.name)]
        if made["metadata"]["resourceVersion"] != versions.get(observed.meta.uid, observed.meta.resource_version):
            raise Stale(f"{kind} {observed.meta.name}")
        self._keep(made)
        versions[observed.meta.uid] = made["metadata"]["resourceVersion"]
        return made

    def _set_once(self, made: Manifest, **parts: Any) -> None:
        for name, value in parts.items():
            if value is not None:
                assert made["spec"].get(name, value) == value, f"{name} of row {made['metadata']['name']} was set before"
                made["spec"][name] = value
        made["metadata"]["generation"] += 1

    def _create(self, app: App, manifest: Manifest, digest: str) -> None:
        name = (manifest["kind"], manifest["metadata"]["name"])
        found = self.objects.get(_key(manifest))
        if name in self.denied:
            self.problems[name] = ChildProblem(Hindrance.DENIED, f"{name[0]} {name[1]} is not allowed: quota")
        elif name in self.refused:
            self.problems[name] = ChildProblem(
                Hindrance.REFUSED, f"the API server refuses {name[0]} {name[1]}: {self.refused[name]}", digest
            )
        elif found is not None and not (is_owned(found, app) or is_labelled(found, app)):
            self.problems[name] = ChildProblem(Hindrance.TAKEN, f"{name[0]} {name[1]} exists and is not this App's")
        elif found is None:
            self.problems.pop(name, None)
            self.add(manifest)

    def _apply(self, action: operations.ApplyChild) -> None:
        found = self.objects[_key(action.manifest)]
        assert found["metadata"]["uid"] == action.observed["metadata"]["uid"]
        kept = {key: value for key, value in found["metadata"].items() if key not in ("labels", "annotations", "ownerReferences")}
        applied = {**copy.deepcopy(action.manifest), "metadata": {**kept, **copy.deepcopy(action.manifest["metadata"])}}
        if "replicas" in found.get("spec", {}):
            applied["spec"].setdefault("replicas", found["spec"]["replicas"])
        if "status" in found:
            applied["status"] = found["status"]
        self.edited(applied)

    # Bookkeeping.

    def _keep(self, made: Manifest) -> None:
        self._version += 1
        made["metadata"]["resourceVersion"] = str(self._version)
        self.objects[_key(made)] = made

    def _find(self, kind: str, name: str) -> tuple[str, str, str]:
        return next(key for key in self.objects if key[1:] == (kind, name) and key[0] == API_VERSION)

    def _typed(self, of: Any, kind: str) -> dict[str, Any]:
        return {name: of.of(made) for (version, found, name), made in self.objects.items() if (version, found) == (API_VERSION, kind)}

    def _versions(self) -> Iterable[Version]:
        for (_, kind, name), made in self.objects.items():
            if kind == kinds.WORKFLOW_VERSION.kind:
                spec = made["spec"]
                yield Version(name, spec["workflow"], spec["version"], spec.get("description"), flow_hash(spec["flow"]))

    def _children(self, app: App) -> dict[ChildKey, Manifest]:
        return {
            (kind, name): made
            for (version, kind, name), made in self.objects.items()
            if version != API_VERSION and kind not in (SECRET.kind, JOB.kind) and (is_owned(made, app) or is_labelled(made, app))
        }

    def _runs(self) -> Iterable[TriggerJob]:
        for (_, kind, name), made in self.objects.items():
            if kind == JOB.kind:
                yield TriggerJob.of(copy.deepcopy(made), CallerPod.of(self.callers[name]) if name in self.callers else None)

    def _collect(self, owner_uid: str, *, keep: bool) -> None:
        """What the garbage collector does when an owner is gone."""
        for key, made in list(self.objects.items()):
            references = made["metadata"].get("ownerReferences") or []
            if any(each["uid"] == owner_uid for each in references):
                if keep:
                    made["metadata"].pop("ownerReferences")
                    self._keep(made)
                else:
                    del self.objects[key]

    def _keys(self, app: App | None) -> AccessKeys:
        found = self.objects.get((SECRET.api_version, SECRET.kind, names.access_keys(given.NAME)))
        if app is None or not app.spec.is_private:
            return AccessKeys(KeysPresence.PRESENT)
        if found is None:
            return AccessKeys(KeysPresence.ABSENT)
        presence = KeysPresence.PRESENT if is_owned(found, app) or is_labelled(found, app) else KeysPresence.FOREIGN
        return AccessKeys(presence, found["metadata"]["resourceVersion"], self.now)

    def _keys_of(self, child: ChildKey) -> frozenset[str] | None:
        found = self.objects.get(("v1", *child))
        return frozenset(found["data"]) if found is not None else None

    def _pods(self, made: Manifest, statuses: list[Manifest]) -> None:
        template = made["spec"]["template"]
        labels = template["metadata"]["labels"]
        kept = {pod["metadata"]["name"]: pod["metadata"] for pod in self.pods if pod["metadata"]["labels"] == labels}
        self._version += 1
        begun = {"uid": f"uid-{self._version}", "creationTimestamp": format_time(self.now), "labels": labels}
        self.pods = [
            {
                "metadata": kept.get(f"chat-{number}", {**begun, "uid": f"{begun['uid']}-{number}", "name": f"chat-{number}"}),
                "spec": template["spec"],
                "status": {
                    "conditions": [{"type": "Ready", "status": str(status["ready"])}],
                    "containerStatuses": [{"restartCount": 0, **status}],
                },
            }
            for number, status in enumerate(statuses)
        ]

    def _counts(self, made: Manifest, **counts: int) -> None:
        progressing = {"type": "Progressing", "status": "True", "lastUpdateTime": format_time(self.now)}
        before = made.get("status", {})
        made["status"] = {"observedGeneration": made["metadata"]["generation"], **counts, "conditions": [progressing]}
        if json.dumps({**before, "conditions": 0}) != json.dumps({**made["status"], "conditions": 0}):
            self._keep(made)
        else:
            made["status"] = before


_ROW = (API_VERSION, kinds.RECORD.kind)


def _key(made: Manifest) -> tuple[str, str, str]:
    return made["apiVersion"], made["kind"], made["metadata"]["name"]
