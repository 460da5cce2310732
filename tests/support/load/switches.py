"""Apps of strategy Switch on real pods: rollbacks under load, one after another, and what each took by the API server's clock."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from dynamiq_operator.model import names
from local.gateway import Gateway
from tests.support import factories
from tests.support.api import Manifest
from tests.support.faults.audit import Audit, Write
from tests.support.gateway import until_answer
from tests.support.load.callers import Call, Heard, calling, percentile
from tests.support.load.watched import Watched, watching
from tests.support.stage import Stage
from tests.support.waiting import IN_TIME, eventually

LEFT_AFTER = 2.0
"""Seconds after the Service was patched from which on no answer of the version left counts as one on its way."""
SWITCHED_WITHIN = IN_TIME
SHARE_OF_CPU = {"requests": {"cpu": "150m", "memory": "32Mi"}}
"""Of a pod that is to answer beside whatever else the machine does."""


def switching(**keep_warm: Any) -> factories.Modifier:
    """Strategy Switch."""
    return factories.with_spec(rollout={"strategy": "Switch", **({"keepWarm": keep_warm} if keep_warm else {})})


@dataclass(frozen=True)
class Rollback:
    """One rollback: when it was asked for, just before the request was sent; from which version to which; until when its version served."""

    row: str
    asked: float
    left: str
    taken: str
    over: float = float("inf")


@dataclass
class Load:
    """Both callers of an App, what the API server told meanwhile, and the rollbacks."""

    on: Stage
    app: str
    audit: Audit
    watched: Watched
    heard: Heard
    by_service: Heard
    rollbacks: list[Rollback] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)

    def patched_after(self, moment: float) -> float | None:
        """When the API server had carried out the first change of the Service after `moment`."""
        return next((write.answered for write in self.writes if write.received >= moment), None)

    def first_answers(self) -> list[float]:
        """Seconds from the request to the first answer of the version that is rolled back to, ascending."""
        found = [(self.heard.first_of(each.taken, each.asked), each.asked) for each in self.rollbacks]
        return sorted(call.answered - asked for call, asked in found if call is not None)

    def left_behind(self, heard: Heard) -> list[Call]:
        """Calls sent from `LEFT_AFTER` on that a version that was left answered, until it is deployed again."""
        found = []
        for each in self.rollbacks:
            patched = self.patched_after(each.asked)
            assert patched is not None, f"no change of the Service for {each}"
            found += [call for call in heard.said(each.left) if patched + LEFT_AFTER < call.sent and call.answered < each.over]
        return found

    def pods_created(self) -> list[str]:
        """Names of pods that were made while the version of a rollback served."""
        labels = {names.APP_LABEL: self.app}
        return [name for each in self.rollbacks for name in self.watched.pods_created(each.asked, each.over, labels)]


@contextlib.contextmanager
def under_load(on: Stage, app: str, rate: float) -> Iterator[Load]:
    """`rate` new connections a second and as many calls on kept ones, through the gateway; and a few by the Service's address."""
    host, key = on.get("App", app)["status"]["hostname"], on.key(app)
    address = on.get("Service", names.service(app))["spec"]["clusterIP"]
    audit = Audit(on.cluster, on.namespace)
    with (
        watching(on.api, on.namespace) as watched,
        calling(on.cluster, host, key, new=rate, kept=rate) as heard,
        calling(on.cluster, host, key, new=10, kept=10, at=(address, 80)) as by_service,
    ):
        load = Load(on, app, audit, watched, heard, by_service)
        yield load
    load.writes = [write for write in audit.writes("services", names.service(app)) if _selector(write) is not None]


def _selector(write: Write) -> Manifest | None:
    """The selector that a write of a Service names."""
    if not isinstance(write.sent, dict):
        return None
    found: Manifest | None = (write.sent.get("spec") or {}).get("selector")
    return found


def live_on_both(on: Stage, at: Gateway, app: str, versions: tuple[str, str], **asked: Any) -> tuple[str, str]:
    """Deploys one version and then the other, so that the first stays warm; returns their rows."""
    first, second = (on.live(app, version, **asked) for version in versions)
    until_answer(on.get("App", app)["status"]["hostname"], at, versions[1], on.key(app))
    return first, second


def roll_back(load: Load, row: str, left: str, taken: str, *, until: Callable[[str], None] | None = None) -> Rollback:
    """Restores `row`, whose version is `taken`, and returns once that is Live, by `until` where it is given."""
    name = f"{load.app}-back-{len(load.rollbacks) + 1}"
    asked = time.time()
    load.on.deploy(load.app, row=name, restores=row)
    load.rollbacks.append(Rollback(name, asked, left, taken))
    if until is None:
        load.on.until(name, "Live", SWITCHED_WITHIN)
    else:
        until(name)
    return load.rollbacks[-1]


def deploy_again(load: Load, version: str) -> None:
    """Deploys the version that was left, whose pods ended with the rollback; returns once it is Live, and what it took the place of is warm."""
    load.rollbacks[-1] = replace(load.rollbacks[-1], over=time.time())
    row = load.on.live(load.app, version)
    until_serving(load.on, load.app, row)


def until_serving(on: Stage, app: str, row: str, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Waits until all that follows a switch is done: the App says that the row is live and Ready, and the one before is closed."""

    def done() -> bool:
        meanwhile()
        status = on.get("App", app).get("status", {})
        closed = [each["status"]["phase"] for each in on.rows(app) if each["metadata"]["name"] != row]
        ready = on.condition(app, "Ready").get("status") == "True"
        return bool(status.get("live", {}).get("row") == row and ready and set(closed) <= {"Superseded", "Failed"})

    eventually(f"App {app} serves row {row}", done)


def serving(on: Stage, app: str) -> Manifest:
    """The labels that the Service selects."""
    found: Manifest = on.get("Service", names.service(app))["spec"]["selector"]
    return found


def workloads(on: Stage, app: str) -> dict[str, Manifest]:
    """The App's workloads by name."""
    found = on.api.get("Deployment", "", on.namespace, api_version="apps/v1", labelSelector=f"{names.APP_LABEL}={app}").body["items"]
    return {each["metadata"]["name"]: each for each in found}


def until_one_workload(on: Stage, app: str, seconds: float, *, pinned: bool) -> Manifest:
    """The App's only workload, once there is no other one and no pod of another; `pinned`: whether it is one of strategy Switch."""

    def alone() -> Manifest | None:
        found = list(workloads(on, app).values())
        if len(found) != 1 or (names.PINS_LABEL in found[0]["spec"]["selector"]["matchLabels"]) is not pinned:
            return None
        return found[0] if len(on.pods(app)) == found[0]["spec"]["replicas"] else None

    return eventually(f"App {app} has one workload", alone, seconds, 0.2)


def until_alone(on: Stage, app: str) -> None:
    """Waits until no pod of the App is left but those of its newest template, not even one that ends."""
    wanted = on.workload(app)["spec"]["template"]["metadata"]["labels"].items()

    def alone() -> bool:
        found = on.api.get("Pod", "", on.namespace, labelSelector=f"{names.APP_LABEL}={app}").body["items"]
        return all(wanted <= pod["metadata"]["labels"].items() for pod in found)

    eventually(f"App {app} has no pod of the version before", alone)


def told(name: str, times: list[float]) -> str:
    """A line of a log: percentiles of seconds."""
    if not times:
        return f"  {name}: none"
    return f"  {name}: p50 {percentile(times, 0.5):.3f} s, p99 {percentile(times, 0.99):.3f} s, most {times[-1]:.3f} s, of {len(times)}"
