"""Tests the recorder as it is installed: pods reach it with their own token, people through the API server, and its volume outlives its
pod.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from dynamiq_operator.model.runs import RECORDER_AUDIENCE, RECORDER_NAMESPACE, TOKEN_HEADER
from local import images, recorder
from local.clusters import Cluster
from tests.support import recorders, rest
from tests.support.api import Api, Manifest, fresh_namespace
from tests.support.cluster import Kubectl
from tests.support.history_stage import in_full
from tests.support.load.recording.installed import Installed, installed
from tests.support.operator import install_rights
from tests.support.otlp_runs import a_run, request, run_id_of
from tests.support.waiting import eventually

PROXY = f"/api/v1/namespaces/{RECORDER_NAMESPACE}/services/http:dynamiq-recorder:http/proxy"
INSTANCES = 20 if in_full() else 5
"""Pods that send 200 runs each."""
MEMORY_MOST = 200 * 1024
TOKEN = "/var/run/secrets/dynamiq/recorder/token"
SEND = """
import sys, urllib.request
token = open(sys.argv[2]).read()
headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
print(urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/v1/traces", sys.stdin.buffer.read(), headers), timeout=120).status)
"""


@pytest.fixture(scope="module")
def installed_recorder(cluster: Cluster) -> Iterator[Installed]:
    install_rights(cluster)
    cluster.load_images(images.ensure([images.RUNTIME]).values())
    with installed(cluster) as running:
        yield running


def ask(api: Api, path: str, token: str | None) -> tuple[int, Any]:
    """Sends a request through the API server's proxy, like the plugin."""
    configuration = api.client.configuration
    signed = configuration.get_api_key_with_prefix("BearerToken", "authorization")
    headers = {**({"authorization": signed} if signed else {}), **({TOKEN_HEADER: token} if token else {})}
    answer = api.client.call_api("GET", f"{configuration.host}{PROXY}{path}", headers, _request_timeout=120)
    return answer.status, json.loads(answer.read())  # type: ignore[no-untyped-call]


def a_sender(api: Api, namespace: str, app: Manifest) -> str:
    """Creates a pod of the App with a projected token, in which commands can run."""
    projected = {"serviceAccountToken": {"audience": RECORDER_AUDIENCE, "expirationSeconds": 3600, "path": "token"}}
    pod = recorders.a_pod(
        api,
        namespace,
        app,
        container={
            "image": images.RUNTIME.reference,
            "command": ["/usr/local/bin/python3", "-c", "import signal; signal.pause()"],
            "volumeMounts": [{"name": "recorder", "mountPath": TOKEN.rpartition("/")[0], "readOnly": True}],
        },
        volumes=[{"name": "recorder", "projected": {"sources": [projected]}}],
    )
    name = str(pod["metadata"]["name"])
    eventually("the pod runs", lambda: api.get("Pod", name, namespace).body["status"].get("phase") == "Running")
    return name


def send(kubectl: Kubectl, namespace: str, pod: str, body: Manifest) -> str:
    command = ["/usr/local/bin/python3", "-c", SEND, recorder.URL, TOKEN]
    done = kubectl("exec", "-i", pod, "--", *command, input=json.dumps(body), namespace=namespace, check=False)
    return done.stdout.strip() or done.stderr


@pytest.mark.full_count
def test_from_a_pod_to_who_asks_and_over_a_restart(installed_recorder: Installed, api: Api, kubectl: Kubectl) -> None:
    with fresh_namespace(api, "recorded") as namespace:
        app = recorders.an_app(api, namespace, content=True)
        uid = app["metadata"]["uid"]
        pod = a_sender(api, namespace, app)
        run = a_run(content=True)
        eventually("the run is taken", lambda: send(kubectl, namespace, pod, request(run)) == "200")
        reader, stranger = rest.account(api, namespace, "reader", "dynamiq-deployer"), rest.account(api, namespace, "stranger")
        path_of_run = f"/v1/runs/{run_id_of(run)}?include=content"
        eventually("the reader's rights apply", lambda: ask(api, path_of_run, reader)[0] == 200)
        assert ask(api, path_of_run, reader)[1]["data"]["input"] == {"q": "hi"}
        assert [ask(api, f"/v1/apps/{uid}/runs", caller_token)[0] for caller_token in (reader, stranger, "nobody", None)] == [
            200,
            404,
            401,
            401,
        ]
        before = uid_of_pod(api)
        installed_recorder.kill()
        eventually("another pod takes its place", lambda: uid_of_pod(api) not in (None, before))
        installed_recorder.until_ready()
        eventually("it answers again", lambda: ask(api, path_of_run, reader)[0] == 200)
        more = [a_run(seq=seq, nodes=5) for seq in range(2, 202)]
        for number in range(INSTANCES):
            instance = str(uuid.uuid4())
            body = request(*(a_run(seq=seq, nodes=5) for seq in range(1, 201)), instance=instance) if number else request(*more)
            assert send(kubectl, namespace, pod, body) == "200"
        path = f"/v1/apps/{uid}/recorder"
        run_ids = ask(api, path, reader)[1]["data"]
        assert (run_ids["missing"], run_ids["cut_off"], run_ids["instances"]) == (0, 0, INSTANCES)
        status = kubectl(
            "exec", "dynamiq-recorder-0", "--", "/usr/local/bin/python3", "-c", READ_STATUS, namespace=RECORDER_NAMESPACE
        ).stdout
        memory = int(status.split()[1])
        print(f"the recorder's pod after {200 * INSTANCES} runs of 5 nodes: {memory >> 10} MiB")
        assert memory < MEMORY_MOST


READ_STATUS = "print(next(line for line in open('/proc/1/status') if line.startswith('VmHWM')))"


def uid_of_pod(api: Api) -> str | None:
    """Returns the uid of the recorder's pod."""
    uid: str | None = api.get("Pod", "dynamiq-recorder-0", RECORDER_NAMESPACE).body.get("metadata", {}).get("uid")
    return uid
