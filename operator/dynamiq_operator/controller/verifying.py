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
import logging
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

from dynamiq_operator.controller.background import Background
from dynamiq_operator.controller.cache import AppKey
from dynamiq_operator.desired.base import JOB
from dynamiq_operator.desired.evaluation import url
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import SECRETS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.verification import CASE_SECONDS, Case
from dynamiq_operator.plan.observed.pods import Pod
from dynamiq_operator.plan.observed.verification import EvaluationJob, Reading
from dynamiq_operator.plan.verification.asking import Asked
from dynamiq_operator.plan.verification.expectations import JSON_MAX, Answer, Miss, in_words, missed
from dynamiq_operator.plan.verification.last_word import without_secrets
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
LOOK_PERIOD, LOOK_WITHIN = 0.2, 2.0
"""Seconds between two checks whether a pod knows its key, and seconds for the answer."""
RETRY_FIRST, RETRY_MOST = 0.25, 8.0
TOLD_EVERY = 5.0
"""Seconds between two reports of how many cases have passed: each is a write."""
TRY_AGAIN = (429, 503)

log = logging.getLogger(__name__)


class _Failed(Exception):  # noqa: N818 - it is the verification that failed
    """A failed smoke test. The message is the reason, as a sentence."""


@dataclass
class Verification:
    """The smoke test of one App's row, as far as it is known. `key`: for its pods; empty if unknown. `offered`: the key that was made for
    its Job, whose Secret may be missing. `told`: the Job's final message, as it came and as it may be shown.
    """

    reading: Reading | None = None
    key: str = ""
    offered: str = ""
    told: tuple[str, str] = ("", "")
    attempts: int = 0
    task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Ends all calls, and drops what is known."""
        if self.task is not None:
            self.task.cancel()
        self.reading, self.key, self.offered, self.attempts, self.task = None, "", "", 0, None

    def made(self, created: Manifest) -> None:
        """Notes an object that this operator has just created, if it is the Job. A new Job begins everything anew but the time."""
        reading, meta = self.reading, created["metadata"]
        if created["kind"] != JOB.kind or reading is None or (meta.get("labels") or {}).get(names.VERIFICATION_LABEL) != reading.row:
            return
        if reading.job:
            self.stop()
        self.reading = Reading(reading.row, reading.pods, reading.since, waited=reading.waited) if reading.job else reading
        self.reading = replace(self.reading, job=meta["uid"])

    def keyed(self, problem: str = "") -> None:
        """Notes that the Secret has the key that was offered, or what prevents that."""
        if self.reading is None:
            return
        if not problem:
            self.key = self.offered
        self.reading = replace(self.reading, lacks_key=False, digest=_digest(self.key), problem=problem)


class VerificationReader(Background):
    """A background runner of smoke tests. Use it as an async context manager. `requeue`: called with an App that has news. `make_key`:
    makes a key.
    """

    def __init__(self, client: Client, now: Callable[[], datetime], requeue: Callable[[AppKey], None], make_key: Callable[[], str]) -> None:
        self._client, self.now, self._requeue, self._make_key = client, now, requeue, make_key
        super().__init__(AT_ONCE, OF_NAMESPACE)
        self._judge = ThreadPoolExecutor(1, "verification")  # answers are a tenant's: one at a time, and none in the loop's way

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await super().__aexit__(kind, error, trace)
        self._judge.shutdown(wait=False, cancel_futures=True)

    def schedule(self, app: App, verification: Verification, request: Asked | None) -> None:
        """Begins or continues a smoke test. Calls to other pods, or for another row, end at once."""
        reading = verification.reading
        if request is None or reading is None or (reading.row, reading.pods) != (request.row, request.uids):
            verification.stop()
        if request is None or self._is_closed:
            return
        if verification.reading is None:
            verification.key = "" if request.job else self._make_key()
            verification.reading = Reading(request.row, request.uids, request.began or self.now(), digest=_digest(verification.key))
        if verification.task is None and not verification.reading.done and not verification.reading.failure:
            verification.task = self._start(_SmokeTest(self, app, verification, request).run())

    def news(self, app: App) -> None:
        self._requeue((app.meta.namespace, app.meta.name))

    async def told(self, app: App, verification: Verification, jobs: Iterable[EvaluationJob]) -> tuple[EvaluationJob, ...]:
        """Returns the Jobs with final messages that may be shown: the current Job's without secrets, of others none."""
        reading = verification.reading
        results = []
        for job in jobs:
            message = ""
            if job.pod is not None and job.pod.last_word and reading is not None and job.uid == reading.job:
                if verification.told[0] != job.pod.last_word:
                    policy = app.spec.runs
                    secrets = None if policy is not None and policy.redact is not None else await self.secrets_of(app)
                    shows = without_secrets(job.pod.last_word, None if secrets is None else (*secrets, verification.offered))
                    verification.told = (job.pod.last_word, shows)
                message = verification.told[1]
            results.append(job if job.pod is None else replace(job, pod=replace(job.pod, last_word=message)))
        return tuple(results)

    async def judged(self, case: Case, answer: Answer) -> Miss | None:
        """Returns what is wrong with an answer, or None. A thread of its own finds that."""
        return await asyncio.get_running_loop().run_in_executor(self._judge, missed, case.expect, answer)

    async def without(self, text: str, secrets: Iterable[str], fields: Iterable[str]) -> str:
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
        secrets: dict[str, set[str] | None] = {**keys, **({names.access_keys(app.meta.name): None} if app.spec.is_private else {})}
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

    async def look(self, pod: Pod, port: int, key: str) -> int:
        """Returns the status by which a pod shows whether it knows a key. It takes no slot. Raises the same as `ask`."""
        address, headers = f"{url(pod.ip, port)}v1/verification", {"Authorization": f"Bearer {key}", HEADER: "true"}
        async with asyncio.timeout(LOOK_WITHIN), self._opened().get(address, headers=headers, allow_redirects=False) as response:
            return response.status

    def slot(self, app: App) -> AbstractAsyncContextManager[None]:
        """Returns a slot, to be taken before `ask`: the time for an answer begins with it."""
        return self._slots.one_of(app.meta.namespace)

    async def ask(self, pod: Pod, port: int, key: str, body: bytes, within: float) -> Answer:
        """Makes a call. Raises TimeoutError, aiohttp.ClientError, OSError, and ValueError for an answer that is too long."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}", HEADER: "true"}
        async with asyncio.timeout(within):
            async with self._opened().post(url(pod.ip, port), data=body, headers=headers, allow_redirects=False) as response:
                return Answer(response.status, await _body(response))

    def _opened(self) -> aiohttp.ClientSession:
        """Returns the HTTP session, which the first call opens."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A reused connection could outlive its pod, whose address another pod may get.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),  # the slots limit calls
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # each call has its own
            )
        return self._session


class _SmokeTest:
    """A smoke test that is under way."""

    def __init__(self, reader: VerificationReader, app: App, verification: Verification, request: Asked) -> None:
        self._reader, self._app, self._verification, self._request = reader, app, verification, request
        self._calls = iter(_calls_of(request.verify.cases))
        self._needed = {case.name: case.repeat or 1 for case in request.verify.cases}
        self._made: Counter[str] = Counter()
        self._reported_at = monotonic()
        self._waiting = self._under_way = 0

    async def run(self) -> None:
        try:
            if await self._has_key():
                for pod in self._request.pods:
                    await self._until_known(pod)
                self._note(known=True, problem="")
                self._reader.news(self._app)
                await self._ask_all()
        except _Failed as failed:
            self._note(failure=str(failed))
        except errors.ApiError as error:
            self._note(problem=f"its key cannot be read: {shown(str(error))}")
            await asyncio.sleep(RETRY_MOST)
        except Exception:
            log.exception("App %s/%s: its smoke test starts again", self._app.meta.namespace, self._app.meta.name)
            await asyncio.sleep(RETRY_MOST)
        finally:
            if self._verification.task is asyncio.current_task():
                self._verification.task = None
        self._reader.news(self._app)

    async def _has_key(self) -> bool:
        """Returns True if there is a key. Otherwise it requests the Secret of the Job's key, later after each time."""
        if self._verification.key:
            return True
        if self._verification.attempts:
            await asyncio.sleep(min(RETRY_FIRST * 2 ** min(self._verification.attempts - 1, 8), RETRY_MOST))
        self._verification.attempts += 1
        if self._verification.key:
            return True  # it was made meanwhile
        self._note(lacks_key=True)
        return False

    async def _until_known(self, pod: Pod) -> None:
        """Waits until a pod knows the key. Raises _Failed if its runtime knows no smoke tests."""
        while True:
            try:
                status = await self._reader.look(pod, self._request.port, self._verification.key)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                self._note(problem=f"pod {pod.name} gave no answer: {type(error).__name__}")
            else:
                if status == 204:
                    return
                if status in (404, 405):
                    raise _Failed(f"deploy on a newer Runtime: that of pod {pod.name} has no smoke tests")
                self._note(problem=f"pod {pod.name} has not heard of the key of its verification yet")
            await asyncio.sleep(LOOK_PERIOD)

    async def _ask_all(self) -> None:
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
            if self._made[case.name] == self._needed[case.name] and monotonic() - self._reported_at >= TOLD_EVERY:
                self._reported_at = monotonic()
                passed = sum(self._made[name] == needed for name, needed in self._needed.items())
                self._note(passed=passed, calls=self._made.total())
                self._reader.news(self._app)

    async def _miss(self, case: Case, place: int) -> Miss | None:
        """Returns what is wrong with one answer; None if it is as expected."""
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
                    return await self._reader.judged(case, answer)
            await asyncio.sleep(PAUSE)
        return Miss(in_words(case), why)

    async def _answer(self, pod: Pod, body: bytes, seconds: float) -> Answer:
        """Returns the answer of a pod that knows the key. If the key was removed from the pod, it is added again, and the call repeated."""
        while True:
            async with self._slot():
                answer = await self._reader.ask(pod, self._request.port, self._verification.key, body, seconds)
            if answer.status != 403 or b'"not_verified"' not in answer.body:
                return answer
            self._reader.news(self._app)
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
        is_waiting, reading, now = self._waiting > 0 and not self._under_way, self._verification.reading, self._reader.now()
        if reading is not None and is_waiting and reading.waits_since is None:
            self._note(waits_since=now)
        elif reading is not None and not is_waiting and reading.waits_since is not None:
            self._note(waits_since=None, waited=reading.waited + (now - reading.waits_since).total_seconds())

    async def _reason_of(self, case: Case, number: int, miss: Miss) -> str:
        """Returns why a case has failed, in a sentence without secrets."""
        secrets, policy = await self._reader.secrets_of(self._app), self._app.spec.runs
        rules = policy.redact if policy is not None else None
        got = (
            HIDDEN
            if secrets is None or (rules is not None and rules.patterns)
            else await self._reader.without(miss.got, secrets, rules.fields or () if rules else ())
        )
        sent, expected = redacted(case.input, secrets or ()), redacted(miss.expected, secrets or ())
        often = f" at call {number} of {case.repeat}" if (case.repeat or 1) > 1 else ""
        return f"case {case.name} failed{often}: input {shown(sent)}; expected {shown(expected)}; got {shown(got)}"

    def _note(self, **changes: Any) -> None:
        """Updates the reading, if it is still that of this smoke test."""
        reading = self._verification.reading
        if reading is not None and (reading.row, reading.pods) == (self._request.row, self._request.uids):
            self._verification.reading = replace(reading, **changes)


def _calls_of(cases: tuple[Case, ...]) -> Iterator[tuple[int, Case, int]]:
    """Yields every call: its place among all, its case, and its number in the case."""
    place = 0
    for case in cases:
        for number in range(1, (case.repeat or 1) + 1):
            yield place, case, number
            place += 1


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > BYTES_MAX:
            raise ValueError("the answer is too long")
    return bytes(body)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest() if key else ""


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return ""
