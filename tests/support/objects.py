"""The objects of one App in memory, and what users, controllers and kubelets do to them."""

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
        for made in objects:
            self.add(made)

    # What users and controllers do.

    def add(self, made: Manifest) -> None:
        """An object appears, by whomever."""
        self._version += 1
        identity = {"uid": f"uid-{self._version}", "generation": 1, "creationTimestamp": format_time(self.now)}
        ours = given.stored(made) if made["apiVersion"] == API_VERSION else made
        self._keep(copied({**ours, "metadata": {**ours["metadata"], **identity, **made["metadata"]}}))

    def copy_workload(self, name: str) -> None:
        """A user makes a copy of a workload, such as to try something: with its labels, and under another name."""
        made = copied(self.workloads[name])
        kept = {part: made["metadata"][part] for part in ("labels", "annotations", "namespace")}
        self.add({**made, "metadata": {**kept, "name": f"{name}-debug"}})

    def remove(self, kind: str, name: str) -> None:
        del self.objects[self._find(kind, name)]

    def remove_other(self, kind: str, name: str) -> None:
        """An object that is not of ours goes."""
        del self.objects[("v1", kind, name)]

    def child(self, kind: str, name: str = given.NAME) -> Manifest:
        """A child as it is now; edit it in place, then call `edited`."""
        return self.objects[(BY_KIND[kind].api_version, kind, name)]

    def edited(self, made: Manifest) -> None:
        """Another manager changed this object."""
        if "managedFields" in made["metadata"]:
            made["metadata"]["managedFields"] = managed_fields.edited(self._before[key_of(made)], made)
        self.written_by_ours(made)

    def written_by_ours(self, made: Manifest) -> None:
        """The operator, maybe of another version, changed this object."""
        made["metadata"]["generation"] = made["metadata"].get("generation", 1) + 1
        self._keep(made)

    def deploy(self, name: str, version: str | None = None, **asking: Any) -> None:
        """A user creates a row."""
        asked = {**({"workflowVersion": version} if version else {}), **asking}
        self.add(given.row_manifest(name, given.asking(**asked)))

    def roll(self, *only: str) -> None:
        """Controllers and the kubelet bring all pods of each workload, or of those with these names, to the newest template, Ready.

        Those of workloads that are gone end.
        """
        self.pods = [pod for pod in self.pods if self._workload_of(pod) in self.workloads]
        for name, made in self.workloads.items():
            if not only or name in only:
                wanted = made["spec"]["replicas"]
                self._pods(made, [{"ready": True, "state": {"running": {}}} for _ in range(wanted)])
                self._counts(made, replicas=wanted, updatedReplicas=wanted, availableReplicas=wanted)

    def stall(self, state: Manifest, *, old: int = 0, of: str = given.NAME, **status: Any) -> None:
        """One pod of the newest template of workload `of` comes up in `state` and is not ready; `old` ones of the template before serve on."""
        made = self.workloads[of]
        self._pods(made, [{"ready": False, "state": state, **status}])
        self._counts(made, replicas=1 + old, updatedReplicas=1, availableReplicas=old)

    def refuse_pods(self, of: str, why: str) -> None:
        """No pod of a workload can be made."""
        made = self.workloads[of]
        self._pods(made, [])
        self._counts(made, replicas=0, updatedReplicas=0, availableReplicas=0)
        made["status"]["conditions"].append({"type": "ReplicaFailure", "status": "True", "message": why})

    def fire(self, cron_job: str, at: int = 1) -> str:
        """The controller of CronJobs makes the Job of its `at`-th time; returns the Job's name."""
        made = self.child(CRON_JOB.kind, cron_job)
        name = f"{cron_job}-{29_000_000 + at}"
        template = made["spec"]["jobTemplate"]
        owned = [{"apiVersion": CRON_JOB.api_version, "kind": CRON_JOB.kind, "name": cron_job, "uid": made["metadata"]["uid"]}]
        meta = {"name": name, "namespace": given.NAMESPACE, "ownerReferences": owned, **copied(template["metadata"])}
        self.add({"apiVersion": JOB.api_version, "kind": JOB.kind, "metadata": meta, "spec": copied(template["spec"])})
        return name

    def call(self, job: str, **status: Any) -> None:
        """The pod of a Job reads so; a container's status that names none is of the one that calls."""
        status |= {"containerStatuses": [{"name": CALLER, **each} for each in status.get("containerStatuses", ())]}
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

    # Bookkeeping.

    @property
    def workload(self) -> Manifest | None:
        return self.objects.get((WORKLOAD.api_version, WORKLOAD.kind, given.NAME))

    @property
    def workloads(self) -> dict[str, Manifest]:
        """Workloads by name."""
        return {
            name: made for (version, kind, name), made in self.objects.items() if (version, kind) == (WORKLOAD.api_version, WORKLOAD.kind)
        }

    def _workload_of(self, pod: Manifest) -> str:
        """The workload that made a pod, by the pins in its label."""
        return names.workload(given.NAME, pod["metadata"]["labels"].get(names.PINS_LABEL, ""))

    def _keep(self, made: Manifest) -> None:
        self._version += 1
        made["metadata"]["resourceVersion"] = str(self._version)
        self.objects[key_of(made)] = made
        if "managedFields" in made["metadata"]:
            self._before[key_of(made)] = copied(made)

    def _find(self, kind: str, name: str) -> tuple[str, str, str]:
        return next(key for key in self.objects if key[1:] == (kind, name) and key[0] == API_VERSION)

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

    def _pods(self, made: Manifest, statuses: list[Manifest]) -> None:
        template = made["spec"]["template"]
        labels = template["metadata"]["labels"]
        of = made["metadata"]["name"]
        mine = [pod for pod in self.pods if self._workload_of(pod) == of]
        others = [pod for pod in self.pods if self._workload_of(pod) != of]
        kept = {pod["metadata"]["name"]: pod["metadata"] for pod in mine if pod["metadata"]["labels"] == labels}
        self._version += 1
        begun = {"uid": f"uid-{self._version}", "creationTimestamp": format_time(self.now), "labels": labels}
        self.pods = others + [
            {
                "metadata": kept.get(f"{of}-{number}", {**begun, "uid": f"{begun['uid']}-{number}", "name": f"{of}-{number}"}),
                "spec": template["spec"],
                "status": {
                    "conditions": [
                        {
                            "type": "PodScheduled",
                            "status": "True",
                            "lastTransitionTime": kept.get(f"{of}-{number}", begun)["creationTimestamp"],
                        },
                        {"type": "Ready", "status": str(status["ready"])},
                    ],
                    "containerStatuses": [{"name": CONTAINER, "restartCount": 0, **status}],
                    "podIP": f"10.0.0.{number + 1}",
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


def key_of(made: Manifest) -> tuple[str, str, str]:
    """Where `Objects.objects` has it."""
    return made["apiVersion"], made["kind"], made["metadata"]["name"]


def copied(made: Manifest) -> Manifest:
    """A copy that shares nothing; `copy.deepcopy` takes ten times as long, and a world copies thousands of objects."""
    copy: Manifest = orjson.loads(orjson.dumps(made))
    return copy
