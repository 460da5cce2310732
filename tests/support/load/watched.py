"""Watches a namespace while a test acts: every state of its objects, in order, with its time.

A watch delivers each write, so a state that is missing from it never existed.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.support.api import Api, Manifest, path
from tests.support.stage import is_ready
from tests.support.waiting import eventually

KINDS = {
    "Service": "v1",
    "Pod": "v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
}
SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True)
class Event:
    """One write: when this process received it, in Unix seconds, its type, and the object."""

    at: float
    type: str
    object: Manifest

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])


@dataclass
class Watched:
    """Events by kind, including the initial states, which are ADDED."""

    events: dict[str, list[Event]] = field(default_factory=dict)

    def of(self, kind: str, name: str | None = None) -> list[Event]:
        return [event for event in list(self.events.get(kind, ())) if name is None or event.name == name]

    def pods_created(self, since: float, until: float, labels: Mapping[str, str]) -> list[str]:
        """Returns the names of pods created from `since` until `until`."""
        return [each.name for each in self.of("Pod") if each.type == "ADDED" and since <= each.at < until and _has(each.object, labels)]

    def ready_of(self, service: str) -> Iterator[tuple[float, frozenset[str]]]:
        """Yields the ready addresses of a Service over time, over all its slices."""
        slices: dict[str, frozenset[str]] = {}
        for event in self.of("EndpointSlice"):
            if event.object["metadata"].get("labels", {}).get(SERVICE_LABEL) != service:
                continue
            slices[event.name] = frozenset() if event.type == "DELETED" else _ready(event.object)
            yield event.at, frozenset().union(*slices.values())

    def without_ready(self, service: str, since: float = 0.0) -> list[float]:
        """Returns moments at which a Service lost its last ready address."""
        moments, before = [], False
        for at, ready in self.ready_of(service):
            if not ready and before and at >= since:
                moments.append(at)
            before = bool(ready)
        return moments

    def in_order(self, *kinds: str) -> list[tuple[str, Event]]:
        """Returns events of several kinds in the order of the writes: all objects share one count of versions."""
        events = [(kind, event) for kind in kinds for event in self.of(kind)]
        return sorted(events, key=lambda each: int(each[1].object["metadata"]["resourceVersion"]))

    def story(self, moment: float, before: float = 3.0, after: float = 0.5) -> str:
        """Returns the changes of Services, their slices, pods and workloads around a moment, for the message of a failed test."""
        events = sorted(((event, kind) for kind in self.events for event in self.of(kind)), key=lambda each: each[0].at)
        near = [(event, kind) for event, kind in events if moment - before < event.at < moment + after]
        return "\n".join(
            f"{event.at - moment:+7.3f} s {kind} {event.name} {event.type}: {_gist(kind, event.object)}" for event, kind in near
        )

    def counted_twice(self) -> list[str]:
        """Returns moments at which an autoscaler counted Ready pods of another workload than the one it scales, a line each."""
        autoscalers: dict[str, str] = {}
        selectors: dict[str, Mapping[str, str]] = {}
        pods: dict[str, Manifest] = {}
        moments = []
        for kind, event in self.in_order("HorizontalPodAutoscaler", "Deployment", "Pod"):
            is_deleted = event.type == "DELETED"
            if kind == "Pod":
                pods[event.name] = {} if is_deleted else event.object
            elif kind == "Deployment":
                selectors[event.name] = {"": ""} if is_deleted else event.object["spec"]["selector"]["matchLabels"]
            else:
                autoscalers[event.name] = "" if is_deleted else event.object["spec"]["scaleTargetRef"]["name"]
            for target in autoscalers.values():
                counted = [pod for pod in pods.values() if pod and target in selectors and _counts(pod, selectors[target])]
                others = sorted({_workload(pod) for pod in counted} - {target})
                if others:
                    moments.append(
                        f"{event.at:.3f} after {kind} {event.name}: the target is {target}, and pods of {', '.join(others)} count, too"
                    )
        return moments


def _gist(kind: str, raw: Manifest) -> str:
    """Returns the part of an object's state that callers depend on."""
    spec, status, meta = raw.get("spec", {}), raw.get("status", {}), raw["metadata"]
    if kind == "Service":
        return str(spec.get("selector"))
    if kind == "EndpointSlice":
        return f"ready {sorted(_ready(raw))} of {len(raw.get('endpoints') or ())}"
    if kind == "Pod":
        ready = [each["status"] for each in status.get("conditions") or () if each["type"] == "Ready"]
        return f"{status.get('podIP')} Ready {ready}{', being deleted' * ('deletionTimestamp' in meta)} {meta.get('annotations', {})}"
    if kind == "Deployment":
        return f"replicas {spec.get('replicas')}, available {status.get('availableReplicas', 0)}{', being deleted' * ('deletionTimestamp' in meta)}"
    return f"{spec.get('scaleTargetRef', {}).get('name')}: {status.get('desiredReplicas')}"


def _counts(pod: Manifest, selector: Mapping[str, str]) -> bool:
    """Returns True if an autoscaler counts a pod: it ignores pods that are being deleted, or are not Ready yet."""
    return is_ready(pod) and "deletionTimestamp" not in pod["metadata"] and _has(pod, selector)


def _workload(pod: Manifest) -> str:
    """Returns the workload of a pod, by the name of its ReplicaSet."""
    owners = pod["metadata"].get("ownerReferences") or [{"name": pod["metadata"]["name"]}]
    return str(owners[0]["name"]).rpartition("-")[0]


def _ready(piece: Manifest) -> frozenset[str]:
    """Returns the ready addresses; a missing `ready` counts as true, by the API's definition."""
    return frozenset(
        address
        for each in piece.get("endpoints") or ()
        if (each.get("conditions") or {}).get("ready") in (None, True)
        for address in each["addresses"]
    )


def _has(raw: Manifest, labels: Mapping[str, str]) -> bool:
    return labels.items() <= (raw["metadata"].get("labels") or {}).items()


@contextlib.contextmanager
def watching(api: Api, namespace: str, kinds: Iterable[str] = tuple(KINDS)) -> Iterator[Watched]:
    """Watches while the block runs; it begins once the initial states are known."""
    watched = Watched()
    stop = threading.Event()
    threads = []
    for kind in kinds:
        watched.events[kind] = []
        listed = api.request("GET", _path(kind, namespace))
        assert listed.ok, listed.message
        now = time.time()
        watched.events[kind] += [Event(now, "ADDED", each) for each in listed.body["items"]]
        version = listed.body["metadata"]["resourceVersion"]
        threads.append(threading.Thread(target=_follow, args=(api, kind, namespace, version, watched.events[kind], stop), daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield watched
    finally:
        stop.set()
        eventually("the watches end", lambda: not any(thread.is_alive() for thread in threads))


def _follow(api: Api, kind: str, namespace: str, version: str, events: list[Event], stop: threading.Event) -> None:
    while not stop.is_set():
        for received in api.watch(_path(kind, namespace), {"resourceVersion": version, "timeoutSeconds": "5"}):
            assert received["type"] != "ERROR", received
            events.append(Event(time.time(), received["type"], received["object"]))
            version = received["object"]["metadata"]["resourceVersion"]


def _path(kind: str, namespace: str) -> str:
    return path({"apiVersion": KINDS[kind], "kind": kind, "metadata": {"name": "", "namespace": namespace}}, named=False)
