"""Reads from pods, in the background, how many calls they have, at their metrics port. It decides nothing: an observation takes the latest
answers. Each round of answers requeues the App.

The author of a workflow controls the answers of its pods. An answer counts only within limits of size and time, and if it fits the
question. A pod without such an answer is unknown, and is asked less and less often.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import aiohttp
from yarl import URL

from dynamiq_operator.controller.background.reader import BackgroundReader, Kept
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.desired.exposure import METRICS_PORT
from dynamiq_operator.kube.bodies import body_of
from dynamiq_operator.kube.errors import backoff
from dynamiq_operator.plan.observed.activity import Activity
from dynamiq_operator.plan.observed.pods import ObservedPod

PATH = "/activity"
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
WITHIN = 1.0
"""Seconds for one answer, from the connection to its last byte."""
AT_ONCE, OF_NAMESPACE = 32, 8
"""Requests at a time: of all Apps, and of the Apps of one namespace. A tenant may make its pods answer slowly."""
BYTES_MAX = 4096
RETRY_FIRST, RETRY_MOST = 2.0, 8.0
"""Seconds until a pod that gave no answer is asked again: the first pause, and the longest."""
RETRY_LATE, LATE = 60.0, 12
"""Seconds of the pause after `LATE` requests without an answer, which is after a minute and a half.

The runtime of such a pod may never answer, and each request requeues its App.
"""
SILENT_TIMES = 3
"""Consecutive requests without an answer after which the pod is reported."""
TOGETHER = timedelta(seconds=0.1)
"""Pods that are due within this time are read together with those that are due now."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Request:
    """A request to a pod. `at`: when it is due."""

    pod: str
    ip: str
    at: datetime


@dataclass
class KeptActivity(Kept):
    """The answers of one App's pods, by pod uid.

    `silent`: how often in a row a pod gave no answer, and the time of the last request. `requests`: requests to be made.
    """

    answers: dict[str, Activity] = field(default_factory=dict)
    silent: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    requests: dict[str, _Request] = field(default_factory=dict)

    def of(self, pods: Iterable[ObservedPod]) -> Mapping[str, Activity]:
        """Returns the last answers of `pods`, and drops those of other pods."""
        uids = {pod.uid for pod in pods}
        self.answers = {uid: activity for uid, activity in self.answers.items() if uid in uids}
        self.silent = {uid: silence for uid, silence in self.silent.items() if uid in uids}
        return dict(self.answers)

    @property
    def unanswering(self) -> frozenset[str]:
        """The pods that gave no answer several times in a row."""
        return frozenset(uid for uid, (times, _) in self.silent.items() if times >= SILENT_TIMES)

    def note(self, uid: str, activity: Activity | None, now: datetime) -> None:
        """Keeps an answer. None counts as a failure and drops the pod's last answer, which may no longer be true."""
        if activity is not None:
            self.answers[uid] = activity
            self.silent.pop(uid, None)
        else:
            self.answers.pop(uid, None)
            self.silent[uid] = (self.silent.get(uid, (0, now))[0] + 1, now)

    def retry_at(self, uid: str, due: datetime) -> datetime:
        """Returns when to ask a pod that is due at `due`: later if it gave no answer."""
        if uid not in self.silent:
            return due
        times, asked_at = self.silent[uid]
        pause = backoff(times, RETRY_FIRST, RETRY_MOST) if times < LATE else RETRY_LATE
        return max(due, asked_at + timedelta(seconds=pause))


class ActivityReader(BackgroundReader):
    """A background reader of pods' activity. `now`: the time."""

    def __init__(self, now: Callable[[], datetime], requeue: Callable[[AppKey], None], port: int = METRICS_PORT) -> None:
        super().__init__(requeue, AT_ONCE, OF_NAMESPACE)
        self._now, self._port = now, port

    def schedule(self, app: AppKey, kept: KeptActivity, pods: Iterable[ObservedPod], due: Mapping[str, datetime]) -> None:
        """Schedules reading the pods in `due`, by uid, at their times."""
        kept.requests = {
            pod.uid: _Request(pod.name, pod.ip, kept.retry_at(pod.uid, due[pod.uid])) for pod in pods if pod.uid in due and _is_ip(pod.ip)
        }
        if kept.requests:
            seconds = (min(request.at for request in kept.requests.values()) - self._now()).total_seconds()
            self._schedule(app, kept, partial(self._read_all, app, kept), seconds)
        else:
            kept.unschedule()

    async def _read_all(self, app: AppKey, kept: KeptActivity) -> bool:
        until = self._now() + TOGETHER
        requests = {uid: each for uid, each in kept.requests.items() if each.at <= until}
        answers = await asyncio.gather(*(self._read(app, each) for each in requests.values()))
        for (uid, each), answer in zip(requests.items(), answers, strict=True):
            newest = kept.requests.get(uid)
            if newest is not None and newest.ip == each.ip:  # else the pod may be deleted, and its address another pod's
                kept.note(uid, answer, self._now())
        return True  # a pause after a failure is that of a pod

    async def _read(self, app: AppKey, request: _Request) -> Activity | None:
        url = URL.build(scheme="http", host=request.ip, port=self._port, path=PATH)
        try:
            async with self._slots.one_of(app[0]):
                at = self._now()
                async with self._opened().get(
                    url, headers=HEADERS, allow_redirects=False, auto_decompress=False, timeout=aiohttp.ClientTimeout(total=WITHIN)
                ) as response:
                    return Activity.of(await body_of(response, BYTES_MAX), request.pod, at) if response.status == 200 else None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            log.debug("App %s/%s: pod %s does not report its calls: %s", *app, request.pod, type(error).__name__)
            return None


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
