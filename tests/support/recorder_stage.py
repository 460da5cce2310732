"""Runs a recorder in this process, with a real store and real sockets, on a scripted API server with one App, its pod and people.

A table replaces the API server's decisions about tokens and rights; tests/api/test_recorder_rights.py tests them on a real one.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
import yaml

from dynamiq_operator.model import names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.model.runs import RECORDER_AUDIENCE
from dynamiq_recorder.ingest.queue import Limits
from dynamiq_recorder.serve import Options, serve
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.sql_store import Store
from tests.support.otlp_runs import a_run, request
from tests.support.ports import free_port
from tests.support.scripted import Reply, Script, ScriptedServer, Sent, following, kubeconfig, listed
from tests.support.waiting import IN_TIME, eventually

HOST = "127.0.0.1"
APP, APP_UID, NAMESPACE = "chat", "a11a11a1-0000-4000-8000-000000000001", "team"
OTHER_UID, OTHER_NAMESPACE = "b22b22b2-0000-4000-8000-000000000002", "rivals"
PINS = "0123456789abcdef"
POD_TOKEN, ADMIN, VIEWER, STRANGER, GATE = "pod-token", "admin-token", "viewer-token", "stranger-token", "gate-token"
OPERATOR, READER = "operator-token", "reader-token"
OPERATOR_USER = "system:serviceaccount:dynamiq-system:dynamiq-operator"
GATE_USER = "system:serviceaccount:dynamiq-gate:dynamiq-gate"


class RecorderStage:
    """One recorder. Use it as a context manager; `start` starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = Script()
        self._server = ScriptedServer(self.script)
        self.port, self.health_port, self.metrics_port = free_port(), free_port(), free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self.store_url = f"sqlite://{folder}/runs.db"
        self.apps: list[Manifest] = [app(APP_UID, NAMESPACE, content=True), app(OTHER_UID, OTHER_NAMESPACE)]
        self.rows: list[Manifest] = []
        self.users: dict[str, dict[str, Any]] = {
            POD_TOKEN: pod_user(NAMESPACE, "chat-1", "pod-uid-1"),
            GATE: {"username": GATE_USER, "audience": RECORDER_AUDIENCE},
            OPERATOR: {"username": OPERATOR_USER, "audience": RECORDER_AUDIENCE},
            ADMIN: {"username": "admin"},
            READER: {"username": "reader"},
            VIEWER: {"username": "viewer"},
            STRANGER: {"username": "stranger"},
        }
        self.rights: Callable[[dict[str, Any]], bool] = self._may
        self.is_away = False
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._watches: list[tuple[str, queue.SimpleQueue[Any]]] = []
        self._versions = itertools.count(1000)
        self.error: BaseException | None = None

    def __enter__(self) -> RecorderStage:
        self._server.__enter__()
        on = self.script.on
        for plural, stored_objects in (("apps", self.apps), ("deployments", self.rows)):
            path = f"/apis/{API_VERSION}/{plural}"
            on("GET", path, self._there(partial(_listed, stored_objects)))
            on("GET", path, self._there(partial(self._watch, plural)), query={"watch": "true"})
        self.pods: list[Manifest] = []
        on("GET", f"/api/v1/namespaces/{NAMESPACE}/pods", self._there(partial(_listed, self.pods)))
        on("POST", "/apis/authentication.k8s.io/v1/tokenreviews", self._there(self._review))
        on("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", self._there(self._access))
        for raw, path in pod_of(NAMESPACE, "chat-1", "pod-uid-1", APP, APP_UID):
            on("GET", path, self._there(partial(_same, raw)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed.set()
        self.stop()
        self._server.__exit__(kind, error, trace)
        self.session.close()

    def start(self, *, store: Store | None = None, ready: bool = True, **options: Any) -> None:
        """Starts the recorder, and waits until it is ready, or, if not `ready`, until it answers."""
        path = self.folder / "kubeconfig.yaml"
        path.write_text(yaml.safe_dump(kubeconfig(self._server)))
        ports = {"port": self.port, "health_port": self.health_port, "metrics_port": self.metrics_port}
        settings: dict[str, Any] = {"limits": Limits(), "operator": OPERATOR_USER, **ports, **options}
        opened_store = store or opened(self.store_url)
        configured = Options(store=opened_store, kind="sqlite", host=HOST, kubeconfig=path, **settings)
        self._thread = threading.Thread(target=self._run, args=(configured,), daemon=True)
        self._thread.start()
        eventually("the recorder answers", lambda: self.error or self._answers(ready))
        assert self.error is None, self.error

    def stop(self) -> None:
        """Stops it like SIGTERM, and waits for its end."""
        self.begin_stop()
        if self._thread is not None:
            self._thread.join(60)
            assert not self._thread.is_alive()
            self._thread = None

    def begin_stop(self) -> None:
        if self._loop is not None and self._stop is not None and self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)

    def _run(self, configured: Options) -> None:
        async def run() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await serve(configured, self._stop)

        try:
            asyncio.run(run())
        except BaseException as error:
            self.error = error

    def _answers(self, ready: bool) -> bool:
        try:
            return self.session.get(f"{self.url}/readyz", timeout=5).status_code == (200 if ready else 503)
        except (requests.ConnectionError, requests.Timeout):
            return False

    def send(self, body: Any, token: str = POD_TOKEN, **headers: str) -> requests.Response:
        """Sends POST /v1/traces; headers by their names with `_` for `-`."""
        all_headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = {"data": body} if isinstance(body, bytes) else {"json": body}
        return self.session.post(f"{self.url}/v1/traces", headers=all_headers, timeout=IN_TIME, **data)

    def record(self, *runs: dict[str, Any], token: str = POD_TOKEN) -> None:
        """Sends runs that must be accepted, as a pod does."""
        answer = self.send(request(*(runs or (a_run(),))), token)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"partialSuccess": {}}

    def call(self, method: str, path: str, token: str = ADMIN, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        return self.session.request(method, f"{self.url}{path}", headers=headers, timeout=IN_TIME, **options)

    def get(self, path: str, token: str = ADMIN) -> Any:
        """Returns the `data` of an answer that must be good."""
        answer = self.call("GET", path, token)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def metrics(self) -> dict[str, float]:
        text = self.session.get(f"http://{HOST}:{self.metrics_port}/metrics", timeout=IN_TIME).text
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def put(self, plural: str, raw: Manifest, kind: str = "MODIFIED") -> None:
        """Sends an event on the watch of Apps or of rows."""
        raw = copy.deepcopy(raw)
        raw["metadata"]["resourceVersion"] = str(next(self._versions))
        for watched, events in self._watches:
            if watched == plural:
                events.put({"type": kind, "object": raw})

    def _there(self, answer: Callable[[Sent], Any]) -> Callable[[Sent], Any]:
        """Returns the answer while the API server is reachable; else it cuts the connection."""
        return lambda sent: Reply(cut=True) if self.is_away else answer(sent)

    def _watch(self, plural: str, _: Sent) -> Reply:
        events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._watches.append((plural, events))
        until = time.monotonic() + 5
        return Reply(stream=following(events, lambda: self._closed.is_set() or self.is_away or time.monotonic() > until))

    def _review(self, sent: Sent) -> dict[str, Any]:
        spec = sent.body["spec"]
        known = self.users.get(spec["token"])
        audiences = spec.get("audiences")
        if known is None or (known.get("audience") not in audiences if audiences else known.get("audience") is not None):
            return {"metadata": {}, "status": {"authenticated": False}}
        user = {name: value for name, value in known.items() if name != "audience"}
        return {"metadata": {}, "status": {"authenticated": True, "audiences": audiences or ["kubernetes"], "user": user}}

    def _access(self, sent: Sent) -> dict[str, Any]:
        return {"metadata": {}, "status": {"allowed": self.rights(sent.body["spec"])}}

    @staticmethod
    def _may(spec: dict[str, Any]) -> bool:
        """Returns True if the user has the right.

        In one namespace the admin may do all, the viewer list and get runs, and the reader rows. The gate may send runs; others may do
        nothing.
        """
        attributes = spec["resourceAttributes"]
        if spec["user"] == GATE_USER:
            return bool((attributes["verb"], attributes["resource"], attributes.get("subresource")) == ("create", "apps", "runs"))
        if attributes.get("namespace") != NAMESPACE:
            return False
        reads = {"viewer": ("apps", "runs"), "reader": ("deployments", None)}.get(spec["user"])
        is_read = attributes["verb"] in ("get", "list") and (attributes["resource"], attributes.get("subresource")) == reads
        return spec["user"] == "admin" or is_read


def app(uid: str, namespace: str, *, content: bool = False, name: str = APP) -> Manifest:
    meta = {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": "400"}
    runs = {"runs": {"content": True}} if content else {}
    return {"apiVersion": API_VERSION, "kind": "App", "metadata": meta, "spec": {"workflow": "chat", **runs}}


def pod_user(namespace: str, pod: str, uid: str) -> dict[str, Any]:
    """Returns the user of a pod's projected token for the recorder."""
    extra = {"authentication.kubernetes.io/pod-name": [pod], "authentication.kubernetes.io/pod-uid": [uid]}
    return {"username": f"system:serviceaccount:{namespace}:default", "groups": [], "extra": extra, "audience": RECORDER_AUDIENCE}


def pod_of(
    namespace: str, name: str, uid: str, of_app: str, app_uid: str, pins: str = PINS, label: str = names.APP_LABEL
) -> list[tuple[Manifest, str]]:
    """Returns a pod of an App with its owners, each with its path. `label`: the one that names the App."""

    def owned(kind: str, api: str, owner: str, owner_uid: str) -> list[dict[str, Any]]:
        return [{"apiVersion": api, "kind": kind, "name": owner, "uid": owner_uid, "controller": True}]

    env = [{"name": "DYNAMIQ_PINS", "value": pins}, {"name": "DYNAMIQ_WORKFLOW_VERSION", "value": "v1"}]
    pod = {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid,
            "resourceVersion": "1",
            "labels": {label: of_app},
            "ownerReferences": owned("ReplicaSet", "apps/v1", f"{of_app}-rs", f"{app_uid}-rs"),
        },
        "spec": {"containers": [{"name": "runtime", "env": env}]},
    }
    replica_set = {
        "metadata": {
            "name": f"{of_app}-rs",
            "uid": f"{app_uid}-rs",
            "resourceVersion": "1",
            "ownerReferences": owned("Deployment", "apps/v1", of_app, f"{app_uid}-d"),
        }
    }
    workload = {
        "metadata": {
            "name": of_app,
            "uid": f"{app_uid}-d",
            "resourceVersion": "1",
            "ownerReferences": owned("App", API_VERSION, of_app, app_uid),
        }
    }
    return [
        (pod, f"/api/v1/namespaces/{namespace}/pods/{name}"),
        (replica_set, f"/apis/apps/v1/namespaces/{namespace}/replicasets/{of_app}-rs"),
        (workload, f"/apis/apps/v1/namespaces/{namespace}/deployments/{of_app}"),
    ]


def _listed(items: list[Manifest], _: Sent) -> dict[str, Any]:
    return listed(*items, version="500")


def _same(raw: Manifest, _: Sent) -> Manifest:
    return raw
