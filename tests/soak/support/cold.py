"""Compares a call to a sleeping App with a bare `scale 0 → 1` of the same pods until their Service answers: in turn, on the same node."""

from __future__ import annotations

import copy
import ctypes
import http.client
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dynamiq_operator.model import names
from local.gateway import Gateway
from tests.support.gateway import ThroughTheGateway, answer
from tests.support.gateway import asked as gateway_asked
from tests.support.load import callers
from tests.support.load.callers import percentile
from tests.support.load.sleepers import host_of, patient, sleeping, until_asleep
from tests.support.stage import Stage
from tests.support.waiting import eventually

LOOK_EVERY = 0.01
WITHIN = 120.0  # seconds
RESAMPLED = 2000
CLONE_NEWNET = 0x40000000
_Made = TypeVar("_Made")


@dataclass
class Times:
    """Seconds of each, in pairs one after the other."""

    cold: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    def ratio(self) -> float:
        return median(self.cold) / median(self.bare)

    def interval(self) -> tuple[float, float]:
        """Returns the 95 % interval of the ratio of the medians, by bootstrap over pairs."""
        chance = random.Random(1)  # noqa: S311 - it only resamples
        pairs = list(zip(self.cold, self.bare, strict=True))
        ratios = []
        for _ in range(RESAMPLED):
            cold, bare = zip(*chance.choices(pairs, k=len(pairs)), strict=True)
            ratios.append(median(cold) / median(bare))
        ratios.sort()
        return ratios[int(0.025 * (RESAMPLED - 1))], ratios[int(0.975 * (RESAMPLED - 1))]

    def report(self, engine: str) -> list[str]:
        low, high = self.interval()
        return [
            f"engine {engine}: {len(self.cold)} calls to a sleeping App by its hostname, and as many of `scale 0 → 1` → first 200 by the Service, in turn",
            *(
                f"  {name}: p50 {median(times):.2f} s, from {min(times):.2f} to {max(times):.2f} s"
                for name, times in (("cold", self.cold), ("bare", self.bare))
            ),
            f"  ratio of the medians {self.ratio():.2f}, between {low:.2f} and {high:.2f} (95 %)",
        ]


def median(times: Sequence[float]) -> float:
    return percentile(sorted(times), 0.5)


def measured(on: Stage, at: Gateway, pairs: int, apps: int, engine: str, **request: Any) -> Times:
    """Measures cold calls and bare starts in turn; during a call of one App, the others fall asleep again. `request`: more fields of a row."""
    sleepers = [f"{engine}{number}" for number in range(apps)]
    sleeping(on, at, sleepers, "v1", patient(), **request)
    bare = [_bare(on, app) for app in sleepers]
    times = Times()
    for number in range(pairs):
        app, by_hand = sleepers[number % apps], bare[number % apps]
        until_asleep(on, app)
        host, key = host_of(on, app), on.key(app)
        began = time.monotonic()
        response = gateway_asked(ThroughTheGateway(host, at, WITHIN), key)
        times.cold.append(time.monotonic() - began)
        assert response == answer("v1"), response
        times.bare.append(_started(on, by_hand, key))
    return times


def _bare(on: Stage, app: str) -> str:
    """Makes a workload of the App's own pods without an operator, with a Service, scaled to 0; returns its name."""
    name = f"bare-{app}"
    template = copy.deepcopy(on.workload(app)["spec"]["template"])
    template["metadata"]["labels"] = labels = {"bare": name}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    on.create(on.named("Workload", name) | {"spec": spec})
    ports = [{**port, "nodePort": None} for port in on.get("Service", names.service(app))["spec"]["ports"]]
    on.create(
        on.named("Service", name)
        | {"spec": {"selector": labels, "ports": [{key: value for key, value in port.items() if value} for port in ports]}}
    )
    return name


def _started(on: Stage, name: str, key: str) -> float:
    """Returns the seconds from `scale 0 → 1` until the first 200 by the Service; then scales down again, without waiting for the pod's end."""
    pods = f"bare={name}"
    eventually(f"{name} has no pod", lambda: not on.api.get("Pod", "", on.namespace, labelSelector=pods).body["items"])
    address = on.get("Service", name)["spec"]["clusterIP"]
    began = time.monotonic()
    _scale(on, name, 1)
    took = in_node(on, lambda: _first_200(address, key)) - began
    _scale(on, name, 0)
    return took


def _scale(on: Stage, name: str, replicas: int) -> None:
    scaled = on.api.merge(on.named("Workload", name), {"spec": {"replicas": replicas}}, subresource="/scale")
    assert scaled.ok, scaled.message


def _first_200(address: str, key: str) -> float:
    """Returns the moment of the first 200, by the monotonic clock."""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(address, timeout=1)
        try:
            connection.request(
                "POST", "/", json.dumps({"input": {}}), {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
            )
            if connection.getresponse().status == 200:
                return time.monotonic()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(LOOK_EVERY)
    raise AssertionError(f"{address} did not answer within {WITHIN:g} s")


def in_node(on: Stage, act: Callable[[], _Made]) -> _Made:
    """Calls `act` in the network of the cluster's node, in a thread of its own: only the thread enters it."""
    pid = callers.first_process(on.cluster)

    def enter() -> None:
        handle = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(handle)

    with ThreadPoolExecutor(1, initializer=enter) as pool:
        return pool.submit(act).result()
