"""Callers while an App is rolled out again and again, by its hostname through the gateway, and what was right to answer when.

Two callers, each a process in a pod of its own: one opens a connection for each call, the other keeps a few. A call is right
when it was answered by a version that ran at some moment between its sending and its answer.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from local.gateway import Gateway
from tests.support.api import Manifest
from tests.support.stage import Stage
from tests.support.waiting import eventually

KEPT = 10
"""Connections of the caller that keeps them."""
NEW_CONNECTIONS, KEEP_ALIVE = "new-connections", "keep-alive"
GONE_WITHIN = 60.0  # seconds


@dataclass(frozen=True)
class Call:
    """One call: when it was sent and when it was answered, in Unix seconds, and what came back."""

    sent: float
    answered: float
    status: str
    body: str

    @classmethod
    def of(cls, line: str) -> Call:
        sent, answered, status, body = line.split(" ", 3)
        return cls(float(sent), float(answered), status, body)

    @property
    def ok(self) -> bool:
        return self.status == "200"

    @property
    def milliseconds(self) -> float:
        return (self.answered - self.sent) * 1000


@dataclass
class Timeline:
    """Which versions may answer, from when on: two while a rollout is under way, one between rollouts."""

    states: list[tuple[float, frozenset[str]]]

    @classmethod
    def of(cls, version: str) -> Timeline:
        return cls([(0.0, frozenset({version}))])

    def begin(self, version: str) -> None:
        """A rollout to `version` is about to begin."""
        self.states.append((time.time(), self.states[-1][1] | {version}))

    def end(self, version: str) -> None:
        """Nothing of the version before is left."""
        self.states.append((time.time(), frozenset({version})))

    def allows(self, call: Call) -> bool:
        """Whether the version of a good answer ran while the call was under way."""
        ends = [since for since, _ in self.states[1:]] + [float("inf")]
        allowed = (
            versions for (since, versions), end in zip(self.states, ends, strict=True) if since <= call.answered and end >= call.sent
        )
        return any(call.body == said(version) for versions in allowed for version in versions)

    @property
    def began(self) -> float:
        return self.states[1][0]

    @property
    def ended(self) -> float:
        return self.states[-1][0]


def said(version: str) -> str:
    """What a version answers."""
    return json.dumps({"answer": version}, separators=(",", ":"))


@dataclass
class Heard:
    """What one caller heard, once it has ended."""

    calls: list[Call] = field(default_factory=list)

    @property
    def failed(self) -> list[Call]:
        return [call for call in self.calls if not call.ok]

    def wrong(self, timeline: Timeline) -> list[Call]:
        """Answers of a version neither old nor new."""
        return [call for call in self.calls if call.ok and not timeline.allows(call)]

    def report(self, timeline: Timeline) -> str:
        """Calls, what was wrong, and the latency while nothing was rolled out beside that of the rollouts, in one line."""
        quiet = [call for call in self.calls if call.answered < timeline.began or call.sent > timeline.ended]
        rolling = [call for call in self.calls if timeline.began <= call.sent <= timeline.ended]
        rate = len(rolling) / (timeline.ended - timeline.began)
        return (
            f"{len(self.calls)} calls, {rate:.0f}/s, {len(self.failed)} failed, {len(self.wrong(timeline))} of a wrong version; "
            f"without a rollout {_latency(quiet)}, during rollouts {_latency(rolling)}"
        )


def _latency(calls: list[Call]) -> str:
    times = sorted(call.milliseconds for call in calls)
    if not times:
        return "no call"
    p50, p99 = (times[int(share * (len(times) - 1))] for share in (0.5, 0.99))
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"


@contextlib.contextmanager
def called(on: Stage, app: str, at: Gateway, rate: float) -> Iterator[dict[str, Heard]]:
    """Both callers, each at `rate` calls a second, while the block runs; what each heard is there when it has ended."""
    host = on.get("App", app)["status"]["hostname"]
    url = f"http://{at.inside}/"
    options = ["--timed", "--host", host]
    heard: dict[str, Heard] = {}
    with (
        on.load(app, every=1 / rate, pod=NEW_CONNECTIONS, url=url, options=options) as fresh,
        on.load(app, every=1 / rate, pod=KEEP_ALIVE, url=url, options=[*options, f"--keep-alive={KEPT}"]) as kept,
    ):
        yield heard
    heard |= {name: Heard([*map(Call.of, found["lines"])]) for name, found in ((NEW_CONNECTIONS, fresh), (KEEP_ALIVE, kept))}


def roll(on: Stage, app: str, timeline: Timeline, version: str, **asked: str) -> str:
    """Deploys and waits until the row is Live and no pod of the version before is left; returns the row's name."""
    timeline.begin(version)
    row = on.live(app, None if "restores" in asked else version, seconds=120, **asked)
    wanted = on.workload(app)["spec"]["template"]["metadata"]["labels"]

    def others() -> list[Manifest]:
        found = on.api.get("Pod", "", on.namespace, labelSelector=_selector(on, app)).body["items"]
        return [pod for pod in found if not wanted.items() <= pod["metadata"]["labels"].items()]

    eventually(f"no pod of the version before {version} is left", lambda: not others(), GONE_WITHIN, 0.2)
    timeline.end(version)
    return row


def _selector(on: Stage, app: str) -> str:
    return ",".join(f"{key}={value}" for key, value in on.workload(app)["spec"]["selector"]["matchLabels"].items())
