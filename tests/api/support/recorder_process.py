"""Runs the recorder of this checkout as a process, under its own account and behind its Service, and sends it runs of Apps' pods.

Pods are simulated, so the test sends their runs, with the token that a pod of the App would have.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from dynamiq_operator.model import names
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.model.recorder import RECORDER_AUDIENCE, RECORDER_NAMESPACE, RECORDER_SERVICE
from local.clusters import Cluster
from tests.support import otlp_runs, recorders
from tests.support.admission import made
from tests.support.api import Api
from tests.support.cluster import REPOSITORY, Kubectl, install_files
from tests.support.waiting import eventually

MANIFESTS = REPOSITORY / "manifests" / "recorder"
ANY_ADDRESS = ("192.0.2.1", 9)
"""An address of a network that does not exist: nothing is sent to it."""
RESTRICTED = {
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
}
"""Fields that the namespace requires of containers."""
EVERYWHERE = "0.0.0.0"


@dataclass(frozen=True)
class Recorder:
    """A ready recorder. `url`: its address for this machine and the API server."""

    cluster: Cluster
    url: str
    log: Path

    def send(self, pod: Manifest, *runs: dict[str, Any], instance: str) -> None:
        """Sends runs as this pod, and waits until they are stored."""
        headers = {"Authorization": f"Bearer {token_of(Api.of(self.cluster), pod)}"}
        last = max(seq_of(each) for each in runs)

        def sent() -> bool:
            answer = requests.post(
                f"{self.url}/v1/traces", json=otlp_runs.request(*runs, instance=instance, last_seq=last), headers=headers, timeout=120
            )
            # The recorder sees a new App a moment later.
            assert answer.status_code in (200, 403, 503), answer.text
            return answer.status_code == 200

        eventually("the recorder has taken the runs", sent)

    def get(self, path: str, token: str) -> Any:
        """Returns the JSON of a good answer. It is sent without a proxy."""
        headers = {"Authorization": f"Bearer {token}"}
        answer = recorders.heard(lambda: requests.get(f"{self.url}{path}", headers=headers, timeout=120))
        assert answer.status_code == 200, answer.text
        return answer.json()


def seq_of(run: dict[str, Any]) -> int:
    found = next(each["value"]["intValue"] for each in run["spans"][0]["attributes"] if each["key"] == "dynamiq.run.seq")
    return int(found)


def token_of(api: Api, pod: Manifest) -> str:
    """Returns the token that is projected into a pod of an App."""
    account, namespace = pod["spec"].get("serviceAccountName") or "default", pod["metadata"]["namespace"]
    return recorders.token(api, namespace, account, audience=RECORDER_AUDIENCE, pod=pod)


def a_pod(api: Api, namespace: str, app: str, version: str) -> Manifest:
    """Waits for a pod of the App that runs this version, and returns it."""

    def seen() -> Manifest | None:
        for pod in api.get("Pod", "", namespace).body["items"]:
            meta, (container, *_) = pod["metadata"], pod["spec"]["containers"]
            known = {each["name"]: each.get("value") for each in container.get("env") or ()}
            if meta.get("labels", {}).get(names.APP_LABEL) == app and known.get("DYNAMIQ_WORKFLOW_VERSION") == version:
                return pod if not meta.get("deletionTimestamp") else None
        return None

    found: Manifest = eventually(f"a pod of {app} runs {version}", seen)
    return found


@contextlib.contextmanager
def recording(cluster: Cluster, folder: Path) -> Iterator[Recorder]:
    """Runs a recorder with its namespace, account and rights while the block runs, then deletes all of them."""
    kubectl = Kubectl(cluster)
    try:
        with recorders.running(cluster, folder, host=EVERYWHERE) as running:
            install_files(cluster, RECORDER_NAMESPACE, MANIFESTS / "proxy.yaml")
            _put_behind_service(cluster, running.port)
            yield Recorder(cluster, f"http://{own_address()}:{running.port}", running.log)
    finally:
        kubectl("delete", "--ignore-not-found", "namespace", RECORDER_NAMESPACE)


def own_address() -> str:
    """Returns an address of this machine that is not its loopback: the API server refuses to proxy to a loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(ANY_ADDRESS)
        return str(asking.getsockname()[0])


def _put_behind_service(cluster: Cluster, port: int) -> None:
    """Makes the Service, whose endpoint is this machine."""
    api = Api.of(cluster)
    meta = {"name": RECORDER_SERVICE, "namespace": RECORDER_NAMESPACE}
    # The API server proxies to addresses of pods alone: an unscheduled pod gets the address of this machine.
    spec = {"schedulerName": "nobody", "containers": [{"name": "recorder", "image": "recorder", **RESTRICTED}]}
    pod = made(api.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}))
    address = own_address()
    pod["status"] = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    made(api.request("PUT", f"/api/v1/namespaces/{RECORDER_NAMESPACE}/pods/{RECORDER_SERVICE}/status", pod))
    target = {"kind": "Pod", **meta, "uid": pod["metadata"]["uid"]}
    ports = [{"name": "http", "port": port, "protocol": "TCP"}]
    slice_of = {"name": RECORDER_SERVICE, "namespace": RECORDER_NAMESPACE, "labels": {names.SERVICE_OF_SLICE_LABEL: RECORDER_SERVICE}}
    endpoint = {"addresses": [address], "conditions": {"ready": True}, "targetRef": target}
    slices = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": slice_of, "addressType": "IPv4"}
    for each in (
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"name": "http", "port": 8080, "targetPort": port}]}},
        {**slices, "endpoints": [endpoint], "ports": ports},
    ):
        assert api.apply(each).ok


def runs_of(count: int, *, first: int, milliseconds: float, **more: Any) -> list[dict[str, Any]]:
    """Returns runs that begin one millisecond apart from now on, each a little slower than the one before."""
    now = time.time_ns()
    return [
        otlp_runs.a_run(seq=first + at, began=now + at * 1_000_000, milliseconds=milliseconds * (1 + at / 100), **more)
        for at in range(count)
    ]
