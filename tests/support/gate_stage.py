"""Runs the gate on a scripted API server, with real sockets on both sides: callers, the gate's ports, and pods on loopback addresses.

The script holds no cluster: a test sets its slices and Secrets, and the results of writes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import queue
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from dynamiq_operator.gate.limits import Limits
from dynamiq_operator.gate.membership import Replica
from dynamiq_operator.gate.serve import GateOptions, serve
from dynamiq_operator.gate.slices import KUBERNETES
from dynamiq_operator.kube.resources import SECRETS, SLICES, WORKLOADS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from tests.support.gates import GateProcess
from tests.support.ports import free_port, gate_port
from tests.support.runs_contract import CASES, KEY, ORIGIN, check
from tests.support.runtime import Served
from tests.support.scripted import Reply, Script, ScriptedServer, Sent, failure, following, kubeconfig, listed
from tests.support.waiting import IN_TIME

NAMESPACE = "team"
HOST = "127.0.0.1"
PATIENCE = IN_TIME
ME = Replica(names.GATE_NAMESPACE, "gate-a", "uid-a", ("10.9.0.1",), "node-a")
OTHER = Replica(names.GATE_NAMESPACE, "gate-b", "uid-b", ("10.9.0.2",), "node-b")
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


HEAD_LIMITS: dict[str, Any] = dict.fromkeys(("max_line_size", "max_field_size", "max_headers"), 1 << 17)
"""Limits of a pod, which are not those of the gate."""


@dataclass
class FakePod:
    """A pod on an address of its own. `ready`: its answer at /readyz; `calls`: its calls, in order."""

    address: str
    port: int
    answer: Handler
    ready: bool = True
    calls: list[web.BaseRequest] = field(default_factory=list)
    asked: int = 0
    _runner: web.ServerRunner | None = None

    async def start(self) -> FakePod:
        self._runner = web.ServerRunner(
            web.Server(self._handle, handler_cancellation=True, auto_decompress=False, access_log=None, **HEAD_LIMITS),
            shutdown_timeout=0.1,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address, self.port, reuse_address=True).start()
        return self

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("User-Agent") == "dynamiq-gate":
            self.asked += 1
            return web.Response(status=200 if self.ready else 503)
        self.calls.append(request)
        return await self.answer(request)


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    """Answers with the content of the call."""
    body = await request.read()
    return web.json_response({"path": request.raw_path, "body": body.decode(), "headers": [list(each) for each in request.headers.items()]})


class GateStage:
    """One replica of the gate. Use it as an async context manager; `start` runs it in this process, `process` in another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.script = Script()
        self._server = ScriptedServer(self.script)
        self._objects: dict[tuple[str, str], Manifest] = {}
        self._version = 100
        self._keys: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._streams: list[queue.SimpleQueue[Any]] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._stop = asyncio.Event()
        self._gate: asyncio.Task[None] | None = None
        self._pods: list[FakePod] = []
        self._processes: list[GateProcess] = []
        self.secrets: list[Manifest] = []
        self.health_port, self.metrics_port = free_port(), free_port()
        self.on_wake: Callable[[Sent], Reply | None] = lambda _sent: None
        """The result of a wake; None: it is carried out."""

    async def __aenter__(self) -> GateStage:
        self._server.__enter__()
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE), auto_decompress=False)
        self.script.on("GET", SLICES.path(), self._list)
        self.script.on("GET", SLICES.path(), self._watch, query={"watch": "true"})
        self.script.on("GET", SECRETS.path(names.GATE_NAMESPACE), lambda _: listed(*self.secrets, version="7"))
        self.script.on(
            "GET",
            SECRETS.path(names.GATE_NAMESPACE),
            lambda _: Reply(stream=following(self._keys, self._closed.is_set)),
            query={"watch": "true"},
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.cut()
        for process in self._processes:
            await asyncio.to_thread(process.kill)
        self._closed.set()
        for pod in self._pods:
            await pod.stop()
        await self.session.close()
        self._server.__exit__(kind, error, trace)

    async def start(self, **options: Any) -> None:
        """Starts the gate, and waits until it is ready."""
        path = self._kubeconfig()
        settings = {"limits": Limits(), "lingers": 0.0, **options}
        configured = GateOptions(ME, HOST, self.health_port, self.metrics_port, kubeconfig=path, **settings)
        self._gate = asyncio.create_task(serve(configured, self._stop))
        await self.until("the gate is ready", self.is_ready)

    async def process(self, *options: str) -> GateProcess:
        """Starts the gate as a process of its own, and waits until it is ready."""
        started = GateProcess(self._kubeconfig(), self._folder, ME.addresses[0], HOST, self.health_port, self.metrics_port, options)
        self._processes.append(started)
        return await asyncio.to_thread(started.start)

    def _kubeconfig(self) -> Path:
        path = self._folder / "kubeconfig.yaml"
        path.write_text(yaml.safe_dump(kubeconfig(self._server)))
        return path

    def begin_stop(self) -> None:
        """Begins the stop, like SIGTERM."""
        self._stop.set()

    async def stop(self) -> None:
        """Waits until the gate has ended."""
        self._stop.set()
        if self._gate is not None:
            gate, self._gate = self._gate, None
            await asyncio.wait_for(gate, PATIENCE)

    async def cut(self) -> None:
        """Ends the gate at once."""
        if self._gate is not None:
            self._gate.cancel()
            await asyncio.gather(self._gate, return_exceptions=True)

    @property
    def has_ended(self) -> bool:
        return self._gate is None or self._gate.done()

    async def until(self, condition: str, check: Callable[[], Awaitable[bool]]) -> None:
        """Waits until `check` holds."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not await check():  # noqa: ASYNC110 - it may be anything
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"not in time: {condition}") from None

    async def is_ready(self) -> bool:
        try:
            async with self.session.get(f"http://{HOST}:{self.health_port}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def metrics(self) -> dict[str, float]:
        """Returns the samples of /metrics."""
        async with self.session.get(f"http://{HOST}:{self.metrics_port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}

    def asleep(
        self, app: str = "chat", *, private: bool = False, endpoints: list[Manifest] | None = None, namespace: str = NAMESPACE, **note: Any
    ) -> int:
        """Makes the gate slice of a sleeping App. Returns the gate's port."""
        port, created = note.pop("gate_port", None) or gate_port(), note.pop("created", "2026-01-01T00:00:00Z")
        patched, label = note.pop("patched", self.patched), note.pop("app_label", app)
        content = {"workload": app, "appId": f"uid-of-{app}", "holdSeconds": 200, "private": private, "port": 8080, **note}
        labels = {names.SERVICE_OF_SLICE_LABEL: app, names.SLICE_MANAGER_LABEL: names.FIELD_MANAGER, names.GATE_LABEL: "slice"}
        meta = {
            "labels": {**names.labels(label), **labels},
            "annotations": {names.GATE_ANNOTATION: json.dumps(content)},
            "creationTimestamp": created,
        }
        self.script.on("PATCH", SLICES.path(namespace, names.gate_slice(app)), patched)
        self.put(names.gate_slice(app), meta, [{"name": "http", "port": port}], endpoints or [], namespace)
        return int(port)

    def serving(
        self,
        app: str,
        *pods: FakePod,
        ready: bool = True,
        terminating: bool = False,
        name: str = "",
        manager: str = KUBERNETES,
        namespace: str = NAMESPACE,
    ) -> None:
        """Sets the slice that Kubernetes maintains for the App's Service."""
        labels = {names.SERVICE_OF_SLICE_LABEL: app, names.SLICE_MANAGER_LABEL: manager}
        endpoints = [
            {
                "addresses": [pod.address],
                "conditions": {"ready": ready and not terminating, "terminating": terminating},
                "targetRef": {"kind": "Pod", "name": f"pod-{pod.address}", "uid": pod.address},
            }
            for pod in pods
        ]
        ports = [{"name": "http", "port": pods[0].port if pods else 8080}]
        self.put(name or f"{app}-abcde", {"labels": labels}, ports, endpoints, namespace)

    def replicas(self, *ready: Replica, unready: tuple[Replica, ...] = ()) -> None:
        """Sets the slice that Kubernetes maintains for the gate's own Service."""
        labels = {names.SERVICE_OF_SLICE_LABEL: names.GATE_SERVICE, names.SLICE_MANAGER_LABEL: KUBERNETES}
        endpoints = [member(each, ready=is_ready) for group, is_ready in ((ready, True), (unready, False)) for each in group]
        self.put("dynamiq-gate-xyz", {"labels": labels}, [], endpoints, names.GATE_NAMESPACE)

    def keys(self, app: str, *keys: str, namespace: str = NAMESPACE) -> None:
        """Sets the digests of an App's Access Keys."""
        self._version += 1
        lines = "\n".join(hashlib.sha256(key.encode()).hexdigest() for key in keys)
        meta = {
            "name": names.gate_keys(namespace, app),
            "namespace": names.GATE_NAMESPACE,
            "resourceVersion": str(self._version),
            "uid": f"keys-of-{app}",
        }
        self.secrets.append({"metadata": meta, "data": {"digests": base64.b64encode(lines.encode()).decode()}})
        if self._gate is not None:
            self._keys.put({"type": "MODIFIED", "object": self.secrets[-1]})

    def put(self, name: str, meta: Manifest, ports: list[Any], endpoints: list[Manifest], namespace: str = NAMESPACE) -> None:
        """Sets a slice."""
        with self._lock:
            known = self._objects.get((namespace, name))
            raw = {
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "uid": known["metadata"]["uid"] if known else f"uid-{name}-{self._version}",
                    "creationTimestamp": "2026-01-01T00:00:00Z",
                    **meta,
                },
                "addressType": "IPv4",
                "ports": ports,
                "endpoints": endpoints,
            }
            self._store("MODIFIED" if known else "ADDED", raw)

    def remove(self, name: str, namespace: str = NAMESPACE) -> None:
        with self._lock:
            self._store("DELETED", self._objects[namespace, name])

    def lose(self, name: str, namespace: str = NAMESPACE) -> None:
        """Deletes a slice without an event on any watch."""
        with self._lock:
            self._version += 1
            del self._objects[namespace, name]

    def go_away(self) -> None:
        """Makes the API server unreachable from now on."""
        for path in (SLICES.path(), SECRETS.path(names.GATE_NAMESPACE)):
            self.script.on("GET", path, Reply(cut=True))
        self._closed.set()

    def break_watches(self) -> None:
        """Ends the watches of slices with the error that their version is too old to continue."""
        with self._lock:
            for stream in self._streams:
                stream.put({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old resource version"}})
                stream.put(None)
            self._streams.clear()

    def endpoints(self, app: str = "chat") -> list[str]:
        """Names of the gate's pods in an App's slice."""
        with self._lock:
            return [each["targetRef"]["name"] for each in self._objects[NAMESPACE, names.gate_slice(app)]["endpoints"]]

    def wakes(self, app: str = "chat", namespace: str = NAMESPACE) -> list[Sent]:
        """Returns the requests that scaled the App."""
        path = WORKLOADS.path(namespace, app, "scale")
        return [sent for sent in self.script.sent if sent.path == path]

    def wakeable(self, app: str = "chat", namespace: str = NAMESPACE) -> None:
        """Makes the App's workload scalable, with the result of `on_wake`."""
        scale = {"metadata": {"name": app}, "spec": {"replicas": 1}}
        self.script.on("PATCH", WORKLOADS.path(namespace, app, "scale"), lambda sent: self.on_wake(sent) or Reply(body=scale))

    async def pod(self, number: int = 2, answer: Handler = echo, *, started: bool = True, port: int | None = None, **more: Any) -> FakePod:
        new = FakePod(f"127.0.0.{number}", port or gate_port(), answer, **more)
        self._pods.append(new)
        return await new.start() if started else new

    async def check_contract(self, served: Served) -> None:
        """Starts the gate before a real pod of a sleeping App, and sends it each documented request. The pod has KEY and allows ORIGIN."""
        port = self.asleep(private=True, origins=[ORIGIN])
        self.keys("chat", KEY)
        self.serving("chat", await self.pod(1, started=False, port=served.port))
        await self.start()
        for case in CASES:
            await asyncio.to_thread(check, f"http://{HOST}:{port}", case)

    def _store(self, kind: str, raw: Manifest) -> Manifest:
        self._version += 1
        meta = {**raw["metadata"], "resourceVersion": str(self._version)}
        stored = {**raw, "metadata": meta}
        key = (meta["namespace"], meta["name"])
        if kind == "DELETED":
            del self._objects[key]
        else:
            self._objects[key] = stored
        for stream in self._streams:
            stream.put({"type": kind, "object": stored})
        return stored

    def _list(self, _sent: Sent) -> dict[str, Any]:
        with self._lock:
            return listed(*self._objects.values(), version=str(self._version))

    def _watch(self, sent: Sent) -> Reply:
        stream: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with self._lock:
            for raw in self._objects.values():
                if int(raw["metadata"]["resourceVersion"]) > int(sent.query["resourceVersion"]):
                    stream.put({"type": "MODIFIED", "object": raw})
            self._streams.append(stream)
        return Reply(stream=following(stream, self._closed.is_set))

    def patched(self, sent: Sent) -> Reply:
        """Answers a merge patch of a slice's endpoints, based on the version that it names."""
        namespace, name = sent.path.split("/")[5], sent.path.split("/")[-1]
        with self._lock:
            raw = self._objects.get((namespace, name))
            if raw is None:
                return failure(404, "NotFound")
            if raw["metadata"]["resourceVersion"] != sent.body["metadata"]["resourceVersion"]:
                return failure(409, "Conflict")
            return Reply(body=self._store("MODIFIED", {**raw, "endpoints": sent.body["endpoints"]}))


def member(replica: Replica, *, ready: bool = True) -> Manifest:
    """Returns a replica as an endpoint."""
    endpoint = replica.endpoint("IPv4")
    assert endpoint is not None
    return {**endpoint, "conditions": {"ready": ready}}
