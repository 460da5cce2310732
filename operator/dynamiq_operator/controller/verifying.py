"""Asks the new pods of a row what its verification says, while nobody waits: an observation takes what is known, and news requeue the App.

The pods are asked directly, by a key that only they have heard of; what a workflow answers is its author's to choose, and is read within
limits of time and size. Nothing is kept: an operator that starts anew asks again. No answer is logged, and of one that fails a case only
its beginning is told, without what the App's Secrets hold.
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
"""With it a pod runs a call as a verification, or not at all."""
AT_ONCE, OF_NAMESPACE = 64, 8
"""Calls at a time, of all Apps, and of the Apps of one namespace: they may take ten minutes each."""
OF_POD, OF_APP = 2, 16
"""Calls at a time of one pod, and of one App: what is asked may be slow, and is not to be slow for being asked at once."""
BYTES_MAX = 1 << 20
TRIES = 3
"""Of a call that gets no answer, or one by which the pod says that it is busy or ends."""
PAUSE = 1.0
LOOK_PERIOD, LOOK_WITHIN = 0.2, 2.0
"""Seconds between two questions whether a pod has heard of its key, and for the answer."""
RETRY_FIRST, RETRY_MOST = 0.25, 8.0
TOLD_EVERY = 5.0
"""Seconds between two times that it is told how many cases have passed: each is a write."""
TRY_AGAIN = (429, 503)

log = logging.getLogger(__name__)


class _Failed(Exception):  # noqa: N818 - it is the verification that failed
    """The message says why, as a sentence."""


@dataclass
class Verification:
    """What is known of the verification of one App's row. `key`: by which its pods are asked, empty where it is not known yet; `offered`: the
    one that was made for its Job, whose Secret may not be there yet. `told`: the Job's last word, as it came and as it may be shown.
    """

    reading: Reading | None = None
    key: str = ""
    offered: str = ""
    told: tuple[str, str] = ("", "")
    attempts: int = 0
    task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Asks nothing any more, and knows nothing."""
        if self.task is not None:
            self.task.cancel()
        self.reading, self.key, self.offered, self.attempts, self.task = None, "", "", 0, None

    def made(self, created: Manifest) -> None:
        """Notes an object that this operator has made just now, where it is the Job. With another one everything but the time begins anew."""
        said, meta = self.reading, created["metadata"]
        if created["kind"] != JOB.kind or said is None or (meta.get("labels") or {}).get(names.VERIFICATION_LABEL) != said.row:
            return
        if said.job:
            self.stop()
        self.reading = Reading(said.row, said.pods, said.since, waited=said.waited) if said.job else said
        self.reading = replace(self.reading, job=meta["uid"])

    def keyed(self, problem: str = "") -> None:
        """The Secret has the key that was offered, or there is something in the way."""
        if self.reading is None:
            return
        if not problem:
            self.key = self.offered
        self.reading = replace(self.reading, lacks_key=False, digest=_digest(self.key), problem=problem)


class VerificationReader(Background):
    """Use it as an async context manager. `requeue`: called with an App of which there is news. `make_key`: makes a new key."""

    def __init__(self, client: Client, now: Callable[[], datetime], requeue: Callable[[AppKey], None], make_key: Callable[[], str]) -> None:
        self._client, self.now, self._requeue, self._make_key = client, now, requeue, make_key
        super().__init__(AT_ONCE, OF_NAMESPACE)
        self._judge = ThreadPoolExecutor(1, "verification")  # answers are a tenant's: one at a time, and none in the loop's way

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await super().__aexit__(kind, error, trace)
        self._judge.shutdown(wait=False, cancel_futures=True)

    def schedule(self, app: App, found: Verification, asked: Asked | None) -> None:
        """Begins to ask, or goes on with it. What was asked of other pods, or of another row, is given up at once."""
        said = found.reading
        if asked is None or said is None or (said.row, said.pods) != (asked.row, asked.uids):
            found.stop()
        if asked is None or self._is_closed:
            return
        if found.reading is None:
            found.key = "" if asked.job else self._make_key()
            found.reading = Reading(asked.row, asked.uids, asked.began or self.now(), digest=_digest(found.key))
        if found.task is None and not found.reading.done and not found.reading.failure:
            found.task = self._start(_Asking(self, app, found, asked).run())

    def news(self, app: App) -> None:
        self._requeue((app.meta.namespace, app.meta.name))

    async def told(self, app: App, found: Verification, jobs: Iterable[EvaluationJob]) -> tuple[EvaluationJob, ...]:
        """The Jobs, each with a last word that may be shown: of the one that counts without what is secret, of others none."""
        said = found.reading
        told = []
        for job in jobs:
            word = ""
            if job.pod is not None and job.pod.last_word and said is not None and job.uid == said.job:
                if found.told[0] != job.pod.last_word:
                    policy = app.spec.runs
                    secrets = None if policy is not None and policy.redact is not None else await self.secrets_of(app)
                    shows = without_secrets(job.pod.last_word, None if secrets is None else (*secrets, found.offered))
                    found.told = (job.pod.last_word, shows)
                word = found.told[1]
            told.append(job if job.pod is None else replace(job, pod=replace(job.pod, last_word=word)))
        return tuple(told)

    async def judged(self, case: Case, answer: Answer) -> Miss | None:
        """What is wrong with an answer, by a thread of their own."""
        return await asyncio.get_running_loop().run_in_executor(self._judge, missed, case.expect, answer)

    async def without(self, text: str, secrets: Iterable[str], fields: Iterable[str]) -> str:
        """A text of an answer without what is secret; one that is too long to be read as JSON shows nothing where fields are."""
        if fields and len(text) > JSON_MAX:
            return HIDDEN
        return await asyncio.get_running_loop().run_in_executor(self._judge, redacted, text, secrets, fields)

    async def secrets_of(self, app: App) -> tuple[str, ...] | None:
        """Values that no message may show: of the App's Access Keys and of what its variables name; None where one of them cannot be read."""
        keys: dict[str, set[str]] = {}
        for each in app.spec.variables:
            if each.secret is not None:
                keys.setdefault(each.secret.name, set()).add(each.secret.key)
        wanted: dict[str, set[str] | None] = {**keys, **({names.access_keys(app.meta.name): None} if app.spec.is_private else {})}
        values: list[str] = []
        for name, of in wanted.items():
            try:
                data = (await self._client.get(SECRETS, app.meta.namespace, name)).get("data") or {}
            except errors.NotFound:
                continue
            except errors.ApiError:
                return None
            values += [_decoded(value).strip() for key, value in data.items() if of is None or key in of]
        return tuple(values)

    async def look(self, pod: Pod, port: int, key: str) -> int:
        """The status by which a pod says whether it has heard of a key; it takes no slot. Raises as `ask` does."""
        address, headers = f"{url(pod.ip, port)}v1/verification", {"Authorization": f"Bearer {key}", HEADER: "true"}
        async with asyncio.timeout(LOOK_WITHIN), self._opened().get(address, headers=headers, allow_redirects=False) as response:
            return response.status

    def slot(self, app: App) -> AbstractAsyncContextManager[None]:
        """Wait for it before `ask`: the time for an answer begins with it."""
        return self._slots.one_of(app.meta.namespace)

    async def ask(self, pod: Pod, port: int, key: str, body: bytes, within: float) -> Answer:
        """One call. Raises TimeoutError, aiohttp.ClientError, OSError, and ValueError for an answer that is too long."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}", HEADER: "true"}
        async with asyncio.timeout(within):
            async with self._opened().post(url(pod.ip, port), data=body, headers=headers, allow_redirects=False) as response:
                return Answer(response.status, await _body(response))

    def _opened(self) -> aiohttp.ClientSession:
        """The session, from the first question on."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A connection that is kept could outlive its pod, whose address another one may get.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),  # of calls the slots are the limit
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # each question has its own
            )
        return self._session


class _Asking:
    """One verification that is under way."""

    def __init__(self, reader: VerificationReader, app: App, found: Verification, asked: Asked) -> None:
        self._reader, self._app, self._found, self._asked = reader, app, found, asked
        self._calls = iter(_calls_of(asked.verify.cases))
        self._left = {case.name: case.repeat or 1 for case in asked.verify.cases}
        self._made: Counter[str] = Counter()
        self._told_at = monotonic()
        self._waiting = self._under_way = 0

    async def run(self) -> None:
        try:
            if await self._has_key():
                for pod in self._asked.pods:
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
            log.exception("App %s/%s: its verification is begun anew", self._app.meta.namespace, self._app.meta.name)
            await asyncio.sleep(RETRY_MOST)
        finally:
            if self._found.task is asyncio.current_task():
                self._found.task = None
        self._reader.news(self._app)

    async def _has_key(self) -> bool:
        """Whether there is a key; where there is a Job, not before its Secret is made, which is asked for here."""
        if self._found.key:
            return True
        if self._found.attempts:
            await asyncio.sleep(min(RETRY_FIRST * 2 ** min(self._found.attempts - 1, 8), RETRY_MOST))
        self._found.attempts += 1
        if self._found.key:
            return True  # it was made meanwhile
        self._note(lacks_key=True)
        return False

    async def _until_known(self, pod: Pod) -> None:
        """Until a pod says that it has heard of the key. Raises _Failed where its runtime never will."""
        while True:
            try:
                status = await self._reader.look(pod, self._asked.port, self._found.key)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                self._note(problem=f"pod {pod.name} gave no answer: {type(error).__name__}")
            else:
                if status == 204:
                    return
                if status in (404, 405):
                    raise _Failed(f"it cannot be verified: the runtime of pod {pod.name} knows no verification: take a newer Runtime")
                self._note(problem=f"pod {pod.name} has not heard of the key of its verification yet")
            await asyncio.sleep(LOOK_PERIOD)

    async def _ask_all(self) -> None:
        """Every case as often as it says, several calls at a time. Raises _Failed for the first that does not hold."""
        workers = min(OF_POD * len(self._asked.pods), OF_APP)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work())
        except ExceptionGroup as group:
            raise next((each for each in group.exceptions if isinstance(each, _Failed)), group.exceptions[0]) from None
        self._note(done=True, passed=len(self._left), calls=self._made.total())

    async def _work(self) -> None:
        for place, case, number in self._calls:
            miss = await self._miss(case, place)
            if miss is not None:
                raise _Failed(await self._told(case, number, miss))
            self._made[case.name] += 1
            if self._made[case.name] == self._left[case.name] and monotonic() - self._told_at >= TOLD_EVERY:
                self._told_at = monotonic()
                passed = sum(self._made[name] == left for name, left in self._left.items())
                self._note(passed=passed, calls=self._made.total())
                self._reader.news(self._app)

    async def _miss(self, case: Case, place: int) -> Miss | None:
        """What is wrong with one answer; None where it is as expected."""
        seconds, pods, why = case.seconds or CASE_SECONDS, self._asked.pods, ""
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
        """Of a pod that has heard of the key; where that was taken off it meanwhile, it is put back and asked once more."""
        while True:
            async with self._slot():
                answer = await self._reader.ask(pod, self._asked.port, self._found.key, body, seconds)
            if answer.status != 403 or b'"not_verified"' not in answer.body:
                return answer
            self._reader.news(self._app)
            await self._until_known(pod)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """A slot for a call. While this verification waits and has none, its time stands still."""
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
        stands, said, now = self._waiting > 0 and not self._under_way, self._found.reading, self._reader.now()
        if said is not None and stands and said.waits_since is None:
            self._note(waits_since=now)
        elif said is not None and not stands and said.waits_since is not None:
            self._note(waits_since=None, waited=said.waited + (now - said.waits_since).total_seconds())

    async def _told(self, case: Case, number: int, miss: Miss) -> str:
        """Why a case has failed, in a sentence that shows nothing secret."""
        secrets, policy = await self._reader.secrets_of(self._app), self._app.spec.runs
        rules = policy.redact if policy is not None else None
        got = (
            HIDDEN
            if secrets is None or (rules is not None and rules.patterns)
            else await self._reader.without(miss.got, secrets, rules.fields or () if rules else ())
        )
        asked, expected = redacted(case.input, secrets or ()), redacted(miss.expected, secrets or ())
        often = f" at call {number} of {case.repeat}" if (case.repeat or 1) > 1 else ""
        return f"case {case.name} failed{often}: input {shown(asked)}; expected {shown(expected)}; got {shown(got)}"

    def _note(self, **what: Any) -> None:
        """Of the verification that this still is."""
        said = self._found.reading
        if said is not None and (said.row, said.pods) == (self._asked.row, self._asked.uids):
            self._found.reading = replace(said, **what)


def _calls_of(cases: tuple[Case, ...]) -> Iterator[tuple[int, Case, int]]:
    """Every call: its place among all, its case, and its number in that."""
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
