"""Keeps the objects of one App in memory, with the actions of users, controllers and kubelets on them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import orjson

from dynamiq_operator.desired.base import CRON_JOB, JOB, WORKLOAD
from dynamiq_operator.desired.job import CONTAINER as CALLER
from dynamiq_operator.desired.pod_template import CONTAINER
from dynamiq_operator.kube.resources import BY_KIND
from dynamiq_operator.model import names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import Manifest, format_time
from dynamiq_operator.plan.observed.jobs import JOB_NAME_LABEL
from tests.support import factories as given
from tests.support import managed_fields


class Objects:
    """Objects by API version, kind and name."""

    def __init__(self, *objects: Manifest) -> None:
        self.now: datetime = given.NOW
        self.objects: dict[tuple[str, str, str], Manifest] = {}
        self.pods: list[Manifest] = []
        self.callers: dict[str, Manifest] = {}
        self._version = 1
        self._before: dict[tuple[str, str, str], Manifest] = {}
        for raw in objects:
            self.add(raw)

    # Actions of users and controllers.

    def add(self, raw: Manifest) -> None:
        """Adds an object, whoever created it."""
        self._version += 1
        identity = {"uid": f"uid-{self._version}", "generation": 1, "creationTimestamp": format_time(self.now)}
        ours = given.stored(raw) if raw["apiVersion"] == API_VERSION else raw
        self._keep(copied({**ours, "metadata": {**ours["metadata"], **identity, **raw["metadata"]}}))

    def copy_workload(self, name: str) -> None:
        """Copies a workload, as a user does to try something: with its labels, and under another name."""
        raw = copied(self.workloads[name])
        metadata = {part: raw["metadata"][part] for part in ("labels", "annotations", "namespace")}
        self.add({**raw, "metadata": {**metadata, "name": f"{name}-debug"}})

    def remove(self, kind: str, name: str) -> None:
        del self.objects[self._find(kind, name)]

    def remove_other(self, kind: str, name: str) -> None:
        """Removes an object that is not ours."""
        del self.objects[("v1", kind, name)]

    def child(self, kind: str, name: str = given.NAME) -> Manifest:
        """Returns the current child; edit it in place, then call `edited`."""
        return self.objects[(BY_KIND[kind].api_version, kind, name)]

    def edited(self, raw: Manifest) -> None:
        """Stores a change of this object by another manager."""
        if "managedFields" in raw["metadata"]:
            raw["metadata"]["managedFields"] = managed_fields.edited(self._before[key_of(raw)], raw)
        self.written_by_ours(raw)

    def written_by_ours(self, raw: Manifest) -> None:
        """Stores a change of this object by the operator, maybe of another version."""
        raw["metadata"]["generation"] = raw["metadata"].get("generation", 1) + 1
        self._keep(raw)

    def deploy(self, name: str, version: str | None = None, **asking: Any) -> None:
        """Creates a row, as a user does."""
        request = {**({"workflowVersion": version} if version else {}), **asking}
        self.add(given.row_manifest(name, given.asking(**request)))

    def roll(self, *only: str) -> None:
        """Moves all pods of each workload, or of these, to its newest template, Ready, as controllers and the kubelet do.

        Pods of missing workloads end.
        """
        self.pods = [pod for pod in self.pods if self._workload_of(pod) in self.workloads]
        for name, raw in self.workloads.items():
            if not only or name in only:
                replicas = raw["spec"]["replicas"]
                self._pods(raw, [{"ready": True, "state": {"running": {}}} for _ in range(replicas)])
                self._counts(raw, replicas=replicas, updatedReplicas=replicas, availableReplicas=replicas)

    def stall(self, state: Manifest, *, old: int = 0, of: str = given.NAME, **status: Any) -> None:
        """Puts one pod of the newest template of workload `of` in `state`, not ready; `old` pods of the previous template keep serving."""
        raw = self.workloads[of]
        self._pods(raw, [{"ready": False, "state": state, **status}])
        self._counts(raw, replicas=1 + old, updatedReplicas=1, availableReplicas=old)

    def refuse_pods(self, of: str, why: str) -> None:
        """Makes the creation of pods of a workload fail."""
        raw = self.workloads[of]
        self._pods(raw, [])
        self._counts(raw, replicas=0, updatedReplicas=0, availableReplicas=0)
        raw["status"]["conditions"].append({"type": "ReplicaFailure", "status": "True", "message": why})

    def fire(self, cron_job: str, at: int = 1) -> str:
        """Creates the Job of the CronJob's `at`-th time, as its controller does; returns the Job's name."""
        raw = self.child(CRON_JOB.kind, cron_job)
        name = f"{cron_job}-{29_000_000 + at}"
        template = raw["spec"]["jobTemplate"]
        owned = [{"apiVersion": CRON_JOB.api_version, "kind": CRON_JOB.kind, "name": cron_job, "uid": raw["metadata"]["uid"]}]
        meta = {"name": name, "namespace": given.NAMESPACE, "ownerReferences": owned, **copied(template["metadata"])}
        self.add({"apiVersion": JOB.api_version, "kind": JOB.kind, "metadata": meta, "spec": copied(template["spec"])})
        return name

    def call(self, job: str, **status: Any) -> None:
        """Sets the status of a Job's pod; a container status without a name belongs to the calling container."""
        status |= {"containerStatuses": [{"name": CALLER, **each} for each in status.get("containerStatuses", ())]}
        self.callers[job] = {"metadata": {"name": f"{job}-x", "labels": {JOB_NAME_LABEL: job}}, "status": status}

    def end_job(self, job: str, message: str | None = None, *, reason: str = "", code: int = 0) -> None:
        """Completes the Job, or fails it for a `reason`; `message`: the termination message of its pod."""
        if message is not None:
            terminated = {"exitCode": code, "reason": "Error" if code else "Completed", "message": message}
            self.call(job, phase="Failed" if reason else "Succeeded", containerStatuses=[{"state": {"terminated": terminated}}])
        raw = self.child(JOB.kind, job)
        end = {"type": "Failed" if reason else "Complete", "status": "True", "lastTransitionTime": format_time(self.now)}
        raw["status"] = {"conditions": [{**end, "reason": reason}], **({} if reason else {"completionTime": format_time(self.now)})}
        self._keep(raw)

    def remove_job(self, name: str) -> None:
        """Removes the Job and its pod."""
        del self.objects[(JOB.api_version, JOB.kind, name)]
        self.callers.pop(name, None)

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def forget_statuses(self) -> None:
        """Restores a backup without statuses, with other uids, and with children without an owner."""
        for raw in self.objects.values():
            raw["metadata"].pop("ownerReferences", None)
            raw["metadata"]["uid"] = f"restored-{raw['metadata']['uid']}"
            if raw["apiVersion"] == API_VERSION:
                raw.pop("status", None)
                raw.update({"status": given.stored(raw)["status"]} if "status" in given.stored(raw) else {})

    # Bookkeeping.

    @property
    def workload(self) -> Manifest | None:
        return self.objects.get((WORKLOAD.api_version, WORKLOAD.kind, given.NAME))

    @property
    def workloads(self) -> dict[str, Manifest]:
        """Returns workloads by name."""
        return {
            name: raw for (version, kind, name), raw in self.objects.items() if (version, kind) == (WORKLOAD.api_version, WORKLOAD.kind)
        }

    def _workload_of(self, pod: Manifest) -> str:
        """Returns the workload that made a pod, by the pins in its label."""
        labels = pod["metadata"]["labels"]
        make = names.finishing if names.FINISHING_OF_LABEL in labels else names.workload
        return make(given.NAME, labels.get(names.PINS_LABEL, ""))

    def _keep(self, raw: Manifest) -> None:
        self._version += 1
        raw["metadata"]["resourceVersion"] = str(self._version)
        self.objects[key_of(raw)] = raw
        if "managedFields" in raw["metadata"]:
            self._before[key_of(raw)] = copied(raw)

    def _find(self, kind: str, name: str) -> tuple[str, str, str]:
        return next(key for key in self.objects if key[1:] == (kind, name) and key[0] == API_VERSION)

    def _collect(self, owner_uid: str, *, keep: bool) -> None:
        """Collects the children of a deleted owner, as the garbage collector does."""
        for key, raw in list(self.objects.items()):
            references = raw["metadata"].get("ownerReferences") or []
            if any(each["uid"] == owner_uid for each in references):
                if keep:
                    raw["metadata"].pop("ownerReferences")
                    self._keep(raw)
                else:
                    del self.objects[key]

    def _pods(self, raw: Manifest, statuses: list[Manifest]) -> None:
        template = raw["spec"]["template"]
        labels = template["metadata"]["labels"]
        of = raw["metadata"]["name"]
        own = [pod for pod in self.pods if self._workload_of(pod) == of]
        others = [pod for pod in self.pods if self._workload_of(pod) != of]
        metadata_by_name = {pod["metadata"]["name"]: pod["metadata"] for pod in own if pod["metadata"]["labels"] == labels}
        self._version += 1
        identity = {"uid": f"uid-{self._version}", "creationTimestamp": format_time(self.now), "labels": labels}
        self.pods = others + [
            {
                "metadata": metadata_by_name.get(
                    f"{of}-{number}", {**identity, "uid": f"{identity['uid']}-{number}", "name": f"{of}-{number}"}
                ),
                "spec": template["spec"],
                "status": {
                    "conditions": [
                        {
                            "type": "PodScheduled",
                            "status": "True",
                            "lastTransitionTime": metadata_by_name.get(f"{of}-{number}", identity)["creationTimestamp"],
                        },
                        {"type": "Ready", "status": str(status["ready"])},
                    ],
                    "containerStatuses": [{"name": CONTAINER, "restartCount": 0, **status}],
                    "podIP": f"10.0.0.{number + 1}",
                },
            }
            for number, status in enumerate(statuses)
        ]

    def _counts(self, raw: Manifest, **counts: int) -> None:
        progressing = {"type": "Progressing", "status": "True", "lastUpdateTime": format_time(self.now)}
        before = raw.get("status", {})
        raw["status"] = {"observedGeneration": raw["metadata"]["generation"], **counts, "conditions": [progressing]}
        if json.dumps({**before, "conditions": 0}) != json.dumps({**raw["status"], "conditions": 0}):
            self._keep(raw)
        else:
            raw["status"] = before


def key_of(raw: Manifest) -> tuple[str, str, str]:
    """Returns its key in `Objects.objects`."""
    return raw["apiVersion"], raw["kind"], raw["metadata"]["name"]


def copied(raw: Manifest) -> Manifest:
    """Returns a copy that shares nothing.

    `copy.deepcopy` takes ten times as long, and a world copies thousands of objects.
    """
    copy: Manifest = orjson.loads(orjson.dumps(raw))
    return copy
