"""Rolls Apps of strategy Switch back under load on real pods, one after another, and measures each by the API server's clock."""

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
"""Seconds after the patch of the Service from which the old version must not answer any more."""
SWITCHED_WITHIN = IN_TIME
SHARE_OF_CPU = {"requests": {"cpu": "150m", "memory": "32Mi"}}
"""Resources of a pod that has to answer on a busy machine, too."""


def switching(**keep_warm: Any) -> factories.Modifier:
    """Sets strategy Switch."""
    return factories.with_spec(rollout={"strategy": "Switch", **({"keepWarm": keep_warm} if keep_warm else {})})


@dataclass(frozen=True)
class Rollback:
    """One rollback: its request, timed just before it was sent; its old and new version; and until when the new version served."""

    row: str
    asked: float
    left: str
    taken: str
    over: float = float("inf")


@dataclass
class Load:
    """Both callers of an App, the API server's events meanwhile, and the rollbacks."""

    on: Stage
    app: str
    audit: Audit
    watched: Watched
    heard: Heard
    by_service: Heard
    rollbacks: list[Rollback] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)

    def patched_after(self, moment: float) -> float | None:
        """Returns when the API server had carried out the first change of the Service after `moment`."""
        return next((write.answered for write in self.writes if write.received >= moment), None)

    def first_answers(self) -> list[float]:
        """Returns seconds from the request to the first answer of the version that is rolled back to, ascending."""
        calls = [(self.heard.first_of(each.taken, each.asked), each.asked) for each in self.rollbacks]
        return sorted(call.answered - sent for call, sent in calls if call is not None)

    def left_behind(self, answers: Heard) -> list[Call]:
        """Returns calls sent `LEFT_AFTER` or later that the old version answered, before it is deployed again."""
        late = []
        for each in self.rollbacks:
            patched = self.patched_after(each.asked)
            assert patched is not None, f"no change of the Service for {each}"
            late += [call for call in answers.said(each.left) if patched + LEFT_AFTER < call.sent and call.answered < each.over]
        return late

    def pods_created(self) -> list[str]:
        """Returns the names of pods created while the version of a rollback served."""
        labels = {names.APP_LABEL: self.app}
        return [name for each in self.rollbacks for name in self.watched.pods_created(each.asked, each.over, labels)]


@contextlib.contextmanager
def under_load(on: Stage, app: str, rate: float) -> Iterator[Load]:
    """Calls with `rate` new connections a second, and as often on kept ones, through the gateway; and a few times by the Service's address."""
    host, key = on.get("App", app)["status"]["hostname"], on.key(app)
    address = on.get("Service", names.service(app))["spec"]["clusterIP"]
    audit = Audit(on.cluster, on.namespace)
    with (
        watching(on.api, on.namespace) as watched,
        calling(on.cluster, host, key, new=rate, kept=rate) as answers,
        calling(on.cluster, host, key, new=10, kept=10, at=(address, 80)) as by_service,
    ):
        load = Load(on, app, audit, watched, answers, by_service)
        yield load
    load.writes = [write for write in audit.writes("services", names.service(app)) if _selector(write) is not None]


def _selector(write: Write) -> Manifest | None:
    """Returns the selector in a write of a Service; None if it has none."""
    if not isinstance(write.sent, dict):
        return None
    selector: Manifest | None = (write.sent.get("spec") or {}).get("selector")
    return selector


def live_on_both(on: Stage, at: Gateway, app: str, versions: tuple[str, str], **request: Any) -> tuple[str, str]:
    """Deploys one version and then the other, so that the first one is on standby; returns their rows."""
    first, second = (on.live(app, version, **request) for version in versions)
    until_answer(on.get("App", app)["status"]["hostname"], at, versions[1], on.key(app))
    return first, second


def roll_back(load: Load, row: str, left: str, taken: str, *, until: Callable[[str], None] | None = None) -> Rollback:
    """Rolls back to `row`, whose version is `taken`, and returns once it is Live, or once `until` returns."""
    name = f"{load.app}-back-{len(load.rollbacks) + 1}"
    sent = time.time()
    load.on.deploy(load.app, row=name, restores=row)
    load.rollbacks.append(Rollback(name, sent, left, taken))
    if until is None:
        load.on.until(name, "Live", SWITCHED_WITHIN)
    else:
        until(name)
    return load.rollbacks[-1]


def deploy_again(load: Load, version: str) -> None:
    """Deploys the old version again, whose pods ended with the rollback; returns once it is Live, and the replaced one is on standby."""
    load.rollbacks[-1] = replace(load.rollbacks[-1], over=time.time())
    row = load.on.live(load.app, version)
    until_serving(load.on, load.app, row)


def until_serving(on: Stage, app: str, row: str, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Waits until a switch is complete: the App's status has the row as live and Ready, and the previous one is closed."""

    def done() -> bool:
        meanwhile()
        status = on.get("App", app).get("status", {})
        closed = [each["status"]["phase"] for each in on.rows(app) if each["metadata"]["name"] != row]
        ready = on.condition(app, "Ready").get("status") == "True"
        return bool(status.get("live", {}).get("row") == row and ready and set(closed) <= {"Superseded", "Failed"})

    eventually(f"App {app} serves row {row}", done)


def serving(on: Stage, app: str) -> Manifest:
    """Returns the labels that the Service selects."""
    selector: Manifest = on.get("Service", names.service(app))["spec"]["selector"]
    return selector


def workloads(on: Stage, app: str) -> dict[str, Manifest]:
    """Returns the App's workloads by name."""
    items = on.api.get("Deployment", "", on.namespace, api_version="apps/v1", labelSelector=f"{names.APP_LABEL}={app}").body["items"]
    return {each["metadata"]["name"]: each for each in items}


def until_one_workload(on: Stage, app: str, seconds: float, *, pinned: bool) -> Manifest:
    """Returns the App's only workload, once no other one and no pod of another exists; `pinned`: True for strategy Switch."""

    def alone() -> Manifest | None:
        items = list(workloads(on, app).values())
        if len(items) != 1 or (names.PINS_LABEL in items[0]["spec"]["selector"]["matchLabels"]) is not pinned:
            return None
        return items[0] if len(on.pods(app)) == items[0]["spec"]["replicas"] else None

    return eventually(f"App {app} has one workload", alone, seconds, 0.2)


def until_alone(on: Stage, app: str) -> None:
    """Waits until the App has only pods of its newest template, not even terminating others."""
    labels = on.workload(app)["spec"]["template"]["metadata"]["labels"].items()

    def alone() -> bool:
        pods = on.api.get("Pod", "", on.namespace, labelSelector=f"{names.APP_LABEL}={app}").body["items"]
        return all(labels <= pod["metadata"]["labels"].items() for pod in pods)

    eventually(f"App {app} has no pod of the version before", alone)


def told(name: str, times: list[float]) -> str:
    """Returns a line of a log: percentiles of seconds."""
    if not times:
        return f"  {name}: none"
    return f"  {name}: p50 {percentile(times, 0.5):.3f} s, p99 {percentile(times, 0.99):.3f} s, most {times[-1]:.3f} s, of {len(times)}"
