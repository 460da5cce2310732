"""Installs the recorder by its manifests on a cluster with real pods, and calls an App, keeping the ids of the runs."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException

from dynamiq_operator.model.runs import RECORDER_NAMESPACE
from local import images, recorder, volumes
from local.clusters import Cluster
from local.gateway import Gateway
from local.transcript import Transcript
from tests.support.api import Api
from tests.support.cluster import REPOSITORY, Kubectl
from tests.support.gateway import ThroughTheGateway
from tests.support.load.recording.recorders import answers
from tests.support.waiting import eventually

RUN_ID = "X-Dynamiq-Run-Id"
CALLERS = 8
GONE_WITHIN = 180.0  # seconds


@dataclass(frozen=True)
class Installed:
    """An installed recorder. `inside`: its URL for pods, `outside`: for this machine."""

    cluster: Cluster
    kubectl: Kubectl
    outside: str
    inside: str = recorder.URL

    def until_ready(self) -> None:
        """Waits until it answers, too: the status of its StatefulSet may be older than the deletion of a pod by force."""
        self.kubectl("rollout", "status", recorder.WORKLOAD, "--timeout=110s", namespace=RECORDER_NAMESPACE)
        eventually("the recorder says that it is ready", lambda: answers(f"{self.outside}/readyz"), every=0.5)

    def kill(self, *_: object) -> None:
        """Deletes its pod at once; the StatefulSet creates it again on the same volume."""
        self.kubectl("delete", "pod", "dynamiq-recorder-0", "--grace-period=0", "--force", "--wait=false", namespace=RECORDER_NAMESPACE)


@contextmanager
def installed(cluster: Cluster) -> Iterator[Installed]:
    """Installs the recorder; deletes it at the end, with its volume."""
    kubectl, api, transcript = Kubectl(cluster), Api.of(cluster), Transcript(cluster, REPOSITORY)
    cluster.load_images(images.ensure([images.RECORDER]).values())
    folder = str(REPOSITORY / recorder.MANIFESTS)
    volume = f"{cluster.name}-recorder"
    try:
        volumes.provide(cluster, transcript, "recorder")
        kubectl("apply", "--server-side", "--force-conflicts", "-k", folder)
        outside = eventually("the recorder's Service is there", lambda: recorder.reached(cluster, transcript))
        running = Installed(cluster, kubectl, outside)
        running.until_ready()
        yield running
    finally:
        kubectl("delete", "--ignore-not-found", "-k", folder, timeout=GONE_WITHIN)
        kubectl("delete", "pv", volume, "--ignore-not-found")
        eventually("the recorder is gone", lambda: not api.get("Namespace", RECORDER_NAMESPACE, "").ok, GONE_WITHIN)


@dataclass
class Calls:
    """The answers of callers: ids of runs, in no order. `failed`: calls without an answer, or with another one than 200."""

    ids: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def number(self) -> int:
        return len(self.ids) + len(self.failed)


@contextmanager
def calling(at: Gateway, host: str, rate: float) -> Iterator[Calls]:
    """Calls at this rate, on new connections, while the block runs."""
    calls, end = Calls(), threading.Event()
    threads = [threading.Thread(target=_call, args=(at, host, CALLERS / rate, calls, end), daemon=True) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield calls
    finally:
        end.set()
        for thread in threads:
            thread.join(60)


def _call(at: Gateway, host: str, every: float, calls: Calls, end: threading.Event) -> None:
    due = time.monotonic()
    while not end.wait(max(0.0, due - time.monotonic())):
        due = max(due + every, time.monotonic() - every)
        connection = ThroughTheGateway(host, at, timeout=20)
        with contextlib.closing(connection):
            try:
                connection.request("POST", "/", json.dumps({"input": {}}), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, HTTPException) as error:
                calls.failed.append(repr(error))
                continue
        if answer.status == 200 and (run_id := answer.headers[RUN_ID]):
            calls.ids.append(run_id)
        else:
            calls.failed.append(str(answer.status))
