"""Sends runs for simulated pods of Apps all the time, with a token that the API server binds to each pod."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from dynamiq_operator.model import names
from dynamiq_operator.model.runs import RECORDER_AUDIENCE
from tests.support.api import Manifest
from tests.support.history_stage import in_full
from tests.support.stage import Stage

EVERY = 0.1 if in_full() else 0.4
"""Seconds between two requests of each pod. Each request has the runs of the last moments, so both values send as many."""
THREADS = 8
WITHIN = 20.0
TAKES, APART = 1_000_000, 10_000_000  # nanoseconds of a run, and from one to the next
AT_ONCE = 5


@dataclass(frozen=True)
class SentRun:
    """A run that was sent.

    `at`: its start, in microseconds since 1970. `flow`, `cpu`: the pod's, by which rows are distinguished.
    """

    id: str
    app: str
    at: int
    flow: str
    cpu: str | None


@dataclass
class _Instance:
    token: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    seq: int = 0


@dataclass
class Traffic:
    """Runs that each pod of the namespace ends all the time while the block runs, unless the pod is being deleted.

    `sent`: runs that a recorder acknowledged. `refused`: other statuses, such as for pods that were deleted meanwhile.
    """

    stage: Stage
    recorder: str
    sent: list[SentRun] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    _instances: dict[str, _Instance] = field(default_factory=dict)
    _end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _failed: BaseException | None = None

    def __enter__(self) -> Traffic:
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        if self._failed is not None:
            raise self._failed

    def _loop(self) -> None:
        try:
            with ThreadPoolExecutor(THREADS) as pool:
                while not self._end.wait(EVERY):
                    found = self.stage.api.get("Pod", "", self.stage.namespace, labelSelector=names.APP_LABEL)
                    list(pool.map(self._run, found.body.get("items", ()) if found.ok else ()))
        except BaseException as error:
            self._failed = error

    def _run(self, pod: Manifest) -> None:
        if "deletionTimestamp" in pod["metadata"] or pod.get("status", {}).get("phase") != "Running":
            return
        instance = self._instance(pod)
        if instance is None:
            return
        (container,) = (each for each in pod["spec"]["containers"] if each["name"] == "runtime")
        variables = {each["name"]: each.get("value", "") for each in container["env"]}
        app, cpu = pod["metadata"]["labels"][names.APP_LABEL], container.get("resources", {}).get("requests", {}).get("cpu")
        now = time.time_ns()
        began = {str(uuid.uuid4()): now - place * APART for place in reversed(range(AT_ONCE))}
        status = self._post(instance, runs(began, instance.id, instance.seq, variables))
        if status != 200:
            self.refused.append(status)
            return
        instance.seq += len(began)
        self.sent += [SentRun(run_id, app, at // 1000, variables["DYNAMIQ_FLOW_HASH"], cpu) for run_id, at in began.items()]

    def _instance(self, pod: Manifest) -> _Instance | None:
        """Returns the pod's instance with a token bound to it; None if the pod was deleted."""
        uid = pod["metadata"]["uid"]
        if uid not in self._instances:
            account = pod["spec"].get("serviceAccountName", "default")
            bound = {"kind": "Pod", "apiVersion": "v1", "name": pod["metadata"]["name"], "uid": uid}
            spec = {"audiences": [RECORDER_AUDIENCE], "expirationSeconds": 7200, "boundObjectRef": bound}
            path = f"/api/v1/namespaces/{self.stage.namespace}/serviceaccounts/{account}/token"
            body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
            made = self.stage.api.request("POST", path, body)
            if not made.ok:
                return None
            self._instances[uid] = _Instance(made.body["status"]["token"])
        return self._instances[uid]

    def _post(self, instance: _Instance, body: bytes) -> int:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {instance.token}"}
        request = urllib.request.Request(f"{self.recorder}/v1/traces", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=WITHIN) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0


def runs(began: Mapping[str, int], instance: str, after: int, variables: Mapping[str, str]) -> bytes:
    """Returns a request of the runtime with successful runs.

    `began`: the start of each run, in nanoseconds since 1970. `after`: the last sequence sent before.
    """
    resource: dict[str, str | int] = {
        "service.name": variables.get("DYNAMIQ_APP", ""),
        "service.instance.id": instance,
        "dynamiq.app": variables.get("DYNAMIQ_APP", ""),
        "dynamiq.app.id": variables.get("DYNAMIQ_APP_ID", ""),
        "dynamiq.pins": variables.get("DYNAMIQ_PINS", ""),
        "dynamiq.instance.last_seq": after + len(began),
        "dynamiq.instance.dropped": 0,
    }
    spans = [
        {
            "traceId": run_id.replace("-", ""),
            "spanId": run_id[-16:].replace("-", "0"),
            "name": "run",
            "kind": 2,
            "startTimeUnixNano": str(at),
            "endTimeUnixNano": str(at + TAKES),
            "attributes": _attributes({"dynamiq.run.id": run_id, "dynamiq.run.seq": after + place, "dynamiq.run.outcome": "succeeded"}),
        }
        for place, (run_id, at) in enumerate(began.items(), 1)
    ]
    return json.dumps({"resourceSpans": [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": [{"spans": spans}]}]}).encode()


def _attributes(values: Mapping[str, str | int]) -> list[dict[str, object]]:
    return [
        {"key": key, "value": {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)}}
        for key, value in values.items()
    ]
