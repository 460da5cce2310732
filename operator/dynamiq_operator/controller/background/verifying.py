"""Makes the calls of a row's smoke test to its new pods, in the background. An observation takes the results so far, and news requeue the
App.

The pods are called directly, with a key that only they know. A workflow's author controls the answers: they are read within limits of time
and size. Nothing is stored: a restarted operator begins again. No answer is logged, and a failed case shows only the beginning of its
answer, without the values of the App's Secrets.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import Any

import aiohttp
import orjson

from dynamiq_operator.controller.background.reader import BackgroundReader, Kept, Pauses
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.desired.base import JOB
from dynamiq_operator.desired.evaluation import url
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.bodies import body_of
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import SECRETS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.verification import CASE_SECONDS, Case
from dynamiq_operator.plan.observed.pods import ObservedPod
from dynamiq_operator.plan.observed.verification import EvaluationJob, VerificationProgress
from dynamiq_operator.plan.verification.expectations import JSON_MAX, Miss, PodAnswer, in_words, missed
from dynamiq_operator.plan.verification.requests import VerificationRequest
from dynamiq_operator.plan.verification.termination_message import without_secrets
from dynamiq_operator.plan.verification.text import HIDDEN, redacted, shown

HEADER = "X-Dynamiq-Verification"
"""With this header a pod runs a call as a smoke test, or not at all."""
AT_ONCE, OF_NAMESPACE = 64, 8
"""Calls at a time: of all Apps, and of the Apps of one namespace. Each may take ten minutes."""
OF_POD, OF_APP = 2, 16
"""Calls at a time: to one pod, and of one App. A slow workflow must not get slower by concurrent calls."""
BYTES_MAX = 1 << 20
TRIES = 3
"""Attempts of a call that gets no answer, or whose pod is busy or about to end."""
PAUSE = 1.0
KEY_CHECK_PERIOD, KEY_CHECK_WITHIN = 0.2, 2.0
"""Seconds between two checks whether a pod knows its key, and seconds for the answer."""
PAUSES = Pauses(first=0.25, most=8.0)
REPORT_PERIOD = 5.0
"""Seconds between two reports of how many cases have passed: each is a write."""
TRY_AGAIN = (429, 503)


class _Failed(Exception):  # noqa: N818 - it is the verification that failed
    """A failed smoke test. The message is the reason, as a sentence."""


@dataclass
class KeptSmokeTest(Kept):
    """The smoke test of one App's row, as far as it is known. `key`: for its pods; empty if unknown. `offered`: the key that was made for
    its Job, whose Secret may be missing. `message`: the Job's final message, as it came and as it may be shown.
    """

    progress: VerificationProgress | None = None
    key: str = ""
    offered: str = ""
    message: tuple[str, str] = ("", "")

    def stop(self) -> None:
        """Ends all calls, and drops what is known."""
        super().stop()
        self.progress, self.key, self.offered = None, "", ""

    def note_created(self, created: Manifest) -> None:
        """Notes an object that this operator has just created, if it is the Job. A new Job begins everything anew but the time."""
        progress, meta = self.progress, created["metadata"]
        if created["kind"] != JOB.kind or progress is None or (meta.get("labels") or {}).get(names.VERIFICATION_LABEL) != progress.row:
            return
        if progress.job:
            self.stop()
        self.progress = (
            VerificationProgress(progress.row, progress.pods, progress.since, waited=progress.waited) if progress.job else progress
        )
        self.progress = replace(self.progress, job=meta["uid"])

    def note_key(self, problem: str = "") -> None:
        """Notes that the Secret has the key that was offered, or what prevents that."""
        if self.progress is None:
            return
        if not problem:
            self.key, self.not_before, self.failures = self.offered, 0.0, 0
        self.progress = replace(self.progress, lacks_key=False, digest=_digest(self.key), problem=problem)


class VerificationReader(BackgroundReader):
    """A background runner of smoke tests. `make_key`: makes a key."""

    def __init__(self, client: Client, now: Callable[[], datetime], requeue: Callable[[AppKey], None], make_key: Callable[[], str]) -> None:
        super().__init__(requeue, AT_ONCE, OF_NAMESPACE, PAUSES)
        self._client, self.now, self._make_key = client, now, make_key
        self._judge = ThreadPoolExecutor(1, "verification")  # answers are a tenant's: one at a time, and none in the loop's way

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await super().__aexit__(kind, error, trace)
        self._judge.shutdown(wait=False, cancel_futures=True)

    def schedule(self, app: App, verification: KeptSmokeTest, request: VerificationRequest | None) -> None:
        """Begins or continues a smoke test. Calls to other pods, or for another row, end at once."""
        progress = verification.progress
        if request is None or progress is None or not progress.is_of(request.row, request.uids):
            verification.stop()
        if request is None or self._is_closed:
            return
        if verification.progress is None:
            verification.key = "" if request.job else self._make_key()
            verification.progress = VerificationProgress(
                request.row, request.uids, request.began or self.now(), digest=_digest(verification.key)
            )
        if not verification.progress.done and not verification.progress.failure:
            self._schedule((app.meta.namespace, app.meta.name), verification, _SmokeTest(self, app, verification, request).run)

    def wake(self, app: App) -> None:
        self._requeue((app.meta.namespace, app.meta.name))

    async def redact_messages(self, app: App, verification: KeptSmokeTest, jobs: Iterable[EvaluationJob]) -> tuple[EvaluationJob, ...]:
        """Returns the Jobs with final messages that may be shown: the current Job's without secrets, of others none."""
        progress = verification.progress
        results = []
        for job in jobs:
            message = ""
            if job.pod is not None and job.pod.message and progress is not None and job.uid == progress.job:
                if verification.message[0] != job.pod.message:
                    policy = app.spec.runs
                    secrets = None if policy is not None and policy.redact is not None else await self.secrets_of(app)
                    shows = without_secrets(job.pod.message, None if secrets is None else (*secrets, verification.offered))
                    verification.message = (job.pod.message, shows)
                message = verification.message[1]
            results.append(job if job.pod is None else replace(job, pod=replace(job.pod, message=message)))
        return tuple(results)

    async def judge(self, case: Case, answer: PodAnswer) -> Miss | None:
        """Returns what is wrong with an answer, or None. A thread of its own finds that."""
        return await asyncio.get_running_loop().run_in_executor(self._judge, missed, case.expect, answer)

    async def redact(self, text: str, secrets: Iterable[str], fields: Iterable[str]) -> str:
        """Returns a text of an answer without secrets. If fields are secret, a text that is too long for JSON is hidden."""
        if fields and len(text) > JSON_MAX:
            return HIDDEN
        return await asyncio.get_running_loop().run_in_executor(self._judge, redacted, text, secrets, fields)

    async def secrets_of(self, app: App) -> tuple[str, ...] | None:
        """Returns the values of the App's Access Keys and variables, which no message may show; None if one cannot be read."""
        keys: dict[str, set[str]] = {}
        for each in app.spec.variables:
            if each.secret is not None:
                keys.setdefault(each.secret.name, set()).add(each.secret.key)
        own = names.access_keys(app.meta.name), names.callback_key(app.meta.name)
        secrets: dict[str, set[str] | None] = {**keys, **dict.fromkeys(own if app.spec.is_private else ())}
        values: list[str] = []
        for name, selected in secrets.items():
            try:
                data = (await self._client.get(SECRETS, app.meta.namespace, name)).get("data") or {}
            except errors.NotFound:
                continue
            except errors.ApiError:
                return None
            values += [_decoded(value).strip() for key, value in data.items() if selected is None or key in selected]
        return tuple(values)

    async def key_status(self, pod: ObservedPod, port: int, key: str) -> int:
        """Returns the status by which a pod shows whether it knows a key. It takes no slot. Raises the same as `call`."""
        address, headers = f"{url(pod.ip, port)}v1/verification", {"Authorization": f"Bearer {key}", HEADER: "true"}
        async with asyncio.timeout(KEY_CHECK_WITHIN), self._opened().get(address, headers=headers, allow_redirects=False) as response:
            return response.status

    def slot(self, app: App) -> AbstractAsyncContextManager[None]:
        """Returns a slot, to be taken before `call`: the time for an answer begins with it."""
        return self._slots.one_of(app.meta.namespace)

    async def call(self, pod: ObservedPod, port: int, key: str, body: bytes, within: float) -> PodAnswer:
        """Makes a call. Raises TimeoutError, aiohttp.ClientError, OSError, and ValueError for an answer that is too long."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}", HEADER: "true"}
        async with asyncio.timeout(within):
            async with self._opened().post(url(pod.ip, port), data=body, headers=headers, allow_redirects=False) as response:
                return PodAnswer(response.status, await body_of(response, BYTES_MAX))


class _SmokeTest:
    """A smoke test that is under way."""

    def __init__(self, reader: VerificationReader, app: App, verification: KeptSmokeTest, request: VerificationRequest) -> None:
        self._reader, self._app, self._verification, self._request = reader, app, verification, request
        self._calls = iter(_calls_of(request.verify.cases))
        self._needed = {case.name: case.repeat or 1 for case in request.verify.cases}
        self._made: Counter[str] = Counter()
        self._reported_at = monotonic()
        self._waiting = self._under_way = 0

    async def run(self) -> bool:
        """Returns False if it has to begin again: the Secret of the Job's key is requested, later after each time."""
        if not self._verification.key:
            self._note(lacks_key=True)
            return False
        try:
            for pod in self._request.pods:
                await self._until_known(pod)
            self._note(known=True, problem="")
            self._reader.wake(self._app)
            await self._call_all()
        except _Failed as failed:
            self._note(failure=str(failed))
        return True

    async def _until_known(self, pod: ObservedPod) -> None:
        """Waits until a pod knows the key. Raises _Failed if its runtime knows no smoke tests."""
        while True:
            try:
                status = await self._reader.key_status(pod, self._request.port, self._verification.key)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                self._note(problem=f"pod {pod.name} gave no answer: {type(error).__name__}")
            else:
                if status == 204:
                    return
                if status in (404, 405):
                    raise _Failed(f"deploy on a newer Runtime: that of pod {pod.name} has no smoke tests")
                self._note(problem=f"pod {pod.name} has not heard of the key of its verification yet")
            await asyncio.sleep(KEY_CHECK_PERIOD)

    async def _call_all(self) -> None:
        """Makes the calls of every case, several at a time. Raises _Failed for the first case that fails."""
        workers = min(OF_POD * len(self._request.pods), OF_APP)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work())
        except ExceptionGroup as group:
            raise next((each for each in group.exceptions if isinstance(each, _Failed)), group.exceptions[0]) from None
        self._note(done=True, passed=len(self._needed), calls=self._made.total())

    async def _work(self) -> None:
        for place, case, number in self._calls:
            miss = await self._miss(case, place)
            if miss is not None:
                raise _Failed(await self._reason_of(case, number, miss))
            self._made[case.name] += 1
            if self._made[case.name] == self._needed[case.name] and monotonic() - self._reported_at >= REPORT_PERIOD:
                self._reported_at = monotonic()
                passed = sum(self._made[name] == needed for name, needed in self._needed.items())
                self._note(passed=passed, calls=self._made.total())
                self._reader.wake(self._app)

    async def _miss(self, case: Case, place: int) -> Miss | None:
        seconds, pods, why = case.seconds or CASE_SECONDS, self._request.pods, ""
        try:
            body = orjson.dumps({"input": orjson.loads(case.input)})
        except orjson.JSONDecodeError:
            return Miss("an input that is JSON", "another text")
        for attempt in range(TRIES):
            pod = pods[(place + attempt) % len(pods)]
            try:
                answer = await self._answer(pod, body, seconds)
            except TimeoutError:
                return Miss(in_words(case), f"no answer within {seconds} s")
            except ValueError:
                return Miss(in_words(case), f"an answer of more than {BYTES_MAX >> 20} MiB")
            except (aiohttp.ClientError, OSError) as error:
                why = f"no answer: {type(error).__name__}"
            else:
                is_last = attempt == TRIES - 1
                if is_last or answer.status not in TRY_AGAIN or answer.status == case.expect.status:
                    return await self._reader.judge(case, answer)
            await asyncio.sleep(PAUSE)
        return Miss(in_words(case), why)

    async def _answer(self, pod: ObservedPod, body: bytes, seconds: float) -> PodAnswer:
        """Returns the answer of a pod that knows the key. If the key was removed from the pod, it is added again, and the call repeated."""
        while True:
            async with self._slot():
                answer = await self._reader.call(pod, self._request.port, self._verification.key, body, seconds)
            if answer.status != 403 or b'"not_verified"' not in answer.body:
                return answer
            self._reader.wake(self._app)
            await self._until_known(pod)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Holds a slot for a call. The time of this smoke test does not run while it only waits for slots."""
        self._count(waiting=1)
        try:
            async with self._reader.slot(self._app):
                self._count(waiting=-1, under_way=1)
                try:
                    yield
                finally:
                    self._count(waiting=1, under_way=-1)
        finally:
            self._count(waiting=-1)

    def _count(self, waiting: int = 0, under_way: int = 0) -> None:
        self._waiting, self._under_way = self._waiting + waiting, self._under_way + under_way
        is_waiting, progress, now = self._waiting > 0 and not self._under_way, self._verification.progress, self._reader.now()
        if progress is not None and is_waiting and progress.waits_since is None:
            self._note(waits_since=now)
        elif progress is not None and not is_waiting and progress.waits_since is not None:
            self._note(waits_since=None, waited=progress.waited + (now - progress.waits_since).total_seconds())

    async def _reason_of(self, case: Case, number: int, miss: Miss) -> str:
        """Returns why a case has failed, in a sentence without secrets."""
        secrets, policy = await self._reader.secrets_of(self._app), self._app.spec.runs
        rules = policy.redact if policy is not None else None
        got = (
            HIDDEN
            if secrets is None or (rules is not None and rules.patterns)
            else await self._reader.redact(miss.got, secrets, rules.fields or () if rules else ())
        )
        sent, expected = redacted(case.input, secrets or ()), redacted(miss.expected, secrets or ())
        often = f" at call {number} of {case.repeat}" if (case.repeat or 1) > 1 else ""
        return f"case {case.name} failed{often}: input {shown(sent)}; expected {shown(expected)}; got {shown(got)}"

    def _note(self, **changes: Any) -> None:
        """Updates the progress, if it is still that of this smoke test."""
        progress = self._verification.progress
        if progress is not None and progress.is_of(self._request.row, self._request.uids):
            self._verification.progress = replace(progress, **changes)


def _calls_of(cases: tuple[Case, ...]) -> Iterator[tuple[int, Case, int]]:
    """Yields every call: its place among all, its case, and its number in the case."""
    place = 0
    for case in cases:
        for number in range(1, (case.repeat or 1) + 1):
            yield place, case, number
            place += 1


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest() if key else ""


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return ""
