"""What pods say of their calls, read at their metrics port while nobody waits: an observation takes what is known, and an answer requeues its App.

What a pod answers is its author's to choose: it is taken only within limits, and where it fits what was asked. A pod that says nothing,
or something else, is not known of; it is asked again, less and less often.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import aiohttp
from yarl import URL

from dynamiq_operator.controller.background import Background, body_of
from dynamiq_operator.controller.cache import AppKey
from dynamiq_operator.desired.exposure import METRICS_PORT
from dynamiq_operator.plan.observed.activity import Activity
from dynamiq_operator.plan.observed.pods import Pod

PATH = "/activity"
WITHIN = 1.0
"""Seconds for one answer, from the connection to its last byte."""
AT_ONCE, OF_NAMESPACE = 32, 8
"""Requests at a time, of all Apps, and of the Apps of one namespace: how late a pod answers is its author's choice."""
BYTES_MAX = 4096
RETRY_FIRST, RETRY_MOST = 2.0, 8.0
"""Seconds after which a pod that gave no answer is asked again, at first and then."""
RETRY_LATE, LATE = 60.0, 12
"""The same after so many questions, in a minute and a half: its runtime may never say anything, and each question has its App looked at."""
SILENT_TIMES = 3
"""Questions without an answer after which it is said that a pod gives none."""
TOGETHER = timedelta(seconds=0.1)
"""What is due so soon is read with what is due now."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Asked:
    """A pod that is to be asked, and when."""

    pod: str
    ip: str
    at: datetime


@dataclass
class Readings:
    """What is known of one App's pods, by their uids. `silent`: how often in a row a pod gave no answer, and when it was asked last."""

    answers: dict[str, Activity] = field(default_factory=dict)
    silent: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    wanted: dict[str, _Asked] = field(default_factory=dict)
    reading: set[str] = field(default_factory=set)
    timer: asyncio.TimerHandle | None = None

    def of(self, pods: Iterable[Pod]) -> Mapping[str, Activity]:
        """What those of `pods` that have answered said last; of others it is dropped."""
        there = {pod.uid for pod in pods}
        self.answers = {uid: said for uid, said in self.answers.items() if uid in there}
        self.silent = {uid: since for uid, since in self.silent.items() if uid in there}
        return dict(self.answers)

    @property
    def unanswering(self) -> frozenset[str]:
        """The pods that were asked several times in vain."""
        return frozenset(uid for uid, (times, _) in self.silent.items() if times >= SILENT_TIMES)

    def note(self, uid: str, said: Activity | None, now: datetime) -> None:
        """Keeps an answer. Where there was none, what the pod said before is not true any more."""
        if said is not None:
            self.answers[uid] = said
            self.silent.pop(uid, None)
        else:
            self.answers.pop(uid, None)
            self.silent[uid] = (self.silent.get(uid, (0, now))[0] + 1, now)

    def not_before(self, uid: str, due: datetime) -> datetime:
        """When a pod that is due at that time is asked."""
        if uid not in self.silent:
            return due
        times, asked_at = self.silent[uid]
        pause = min(RETRY_FIRST * 2.0 ** min(times - 1, 8), RETRY_MOST) if times < LATE else RETRY_LATE
        return max(due, asked_at + timedelta(seconds=pause))


class ActivityReader(Background):
    """Reads what pods say. Use it as an async context manager. `now`: the time; `requeue`: called with an App of which there is news."""

    def __init__(self, now: Callable[[], datetime], requeue: Callable[[AppKey], None], port: int = METRICS_PORT) -> None:
        self._now, self._requeue, self._port = now, requeue, port
        super().__init__(AT_ONCE, OF_NAMESPACE)

    def schedule(self, app: AppKey, readings: Readings, pods: Iterable[Pod], due: Mapping[str, datetime]) -> None:
        """Reads, when it is due, what the pods with these uids say. It takes the place of what was scheduled for the App before."""
        readings.wanted = {
            pod.uid: _Asked(pod.name, pod.ip, readings.not_before(pod.uid, due[pod.uid]))
            for pod in pods
            if pod.uid in due and _is_ip(pod.ip)
        }
        if readings.timer is not None:
            readings.timer.cancel()
            readings.timer = None
        first = min((asked.at for uid, asked in readings.wanted.items() if uid not in readings.reading), default=None)
        if first is not None:
            seconds = max((first - self._now()).total_seconds(), 0.0)
            readings.timer = asyncio.get_running_loop().call_later(seconds, self._begin, app, readings)

    def _begin(self, app: AppKey, readings: Readings) -> None:
        if self._is_closed:
            return
        until = self._now() + TOGETHER
        asked = {uid: each for uid, each in readings.wanted.items() if each.at <= until and uid not in readings.reading}
        readings.timer = None
        readings.reading |= asked.keys()
        self._start(self._read_all(app, readings, asked))

    async def _read_all(self, app: AppKey, readings: Readings, asked: Mapping[str, _Asked]) -> None:
        try:
            said = await asyncio.gather(*(self._read(app, each) for each in asked.values()))
        finally:
            readings.reading -= asked.keys()
        for (uid, each), answer in zip(asked.items(), said, strict=True):
            wanted = readings.wanted.get(uid)
            if wanted is not None and wanted.ip == each.ip:  # else the pod may be gone, and its address another one's
                readings.note(uid, answer, self._now())
        self._requeue(app)

    async def _read(self, app: AppKey, asked: _Asked) -> Activity | None:
        """What a pod says; None where it says nothing that can be taken."""
        url = URL.build(scheme="http", host=asked.ip, port=self._port, path=PATH)
        try:
            async with self._slots.one_of(app[0]):
                at = self._now()
                async with self._opened().get(url, allow_redirects=False) as response:
                    return Activity.of(await body_of(response, BYTES_MAX), asked.pod, at)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            log.debug("App %s/%s: pod %s says nothing of its calls: %s", *app, asked.pod, type(error).__name__)
            return None

    def _opened(self) -> aiohttp.ClientSession:
        """The session, from the first question on."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A connection that is kept could outlive its pod, whose address another one may get.
                connector=aiohttp.TCPConnector(limit=AT_ONCE, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=WITHIN),
                auto_decompress=False,
            )
        return self._session


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
