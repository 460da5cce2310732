"""Verifying new pods: cases are sent in the background with their own key, the answers decide, and messages show no secrets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from dynamiq_operator.controller.background import verifying
from dynamiq_operator.controller.background.verifying import OF_NAMESPACE, KeptSmokeTest, VerificationReader
from dynamiq_operator.controller.execute.evaluations import create_evaluation_key
from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import SECRETS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.verification import Verify
from dynamiq_operator.plan.observed.pods import ObservedPod
from dynamiq_operator.plan.observed.verification import EvaluationJob, EvaluationPod, VerificationProgress
from dynamiq_operator.plan.operations import CreateEvaluationKey
from dynamiq_operator.plan.verification import termination_message
from dynamiq_operator.plan.verification.requests import VerificationRequest
from tests.support import factories as given
from tests.support.controller import at
from tests.support.scripted import Script, failure, missing
from tests.unit.support.answering import Answer, saying, served

KEY = "of-the-verification"
CASE = {"name": "refund", "input": '{"q": "how much?"}', "expect": {"contains": "42"}}
WITHIN = 20.0


class Pods:
    """A server in place of an App's new pods. `asked`: bodies of the calls. `knows`: the status for whether they have the key."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.knows = 204
        self.answer: Answer = saying({"answer": "42"})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["X-Dynamiq-Verification"] == "true"
        if request.path == "/v1/verification":
            return web.Response(status=self.knows if request.headers["Authorization"] == f"Bearer {KEY}" else 403)
        self.asked.append(await request.json())
        return await self.answer(len(self.asked))


class Asking:
    """The verification of one App, over two pods at 127.0.0.1."""

    def __init__(self, reader: VerificationReader, port: int, client: Client, news: asyncio.Event) -> None:
        self.reader, self.port, self.client, self.news, self.found = reader, port, client, news, KeptSmokeTest()
        self.app = given.an_app()

    def ask(self, *cases: Manifest, row: str = "row", job: str = "", began: datetime | None = None) -> None:
        pods = tuple(ObservedPod(f"chat-{n}", f"uid-{n}", "1", given.NOW, "", "", False, True, None, None, ip="127.0.0.1") for n in (1, 2))
        made = Verify.model_validate({"cases": cases, **({"job": {"image": "registry.test/judge"}} if job else {})})
        self.reader.schedule(self.app, self.found, VerificationRequest(row, made, pods, self.port, job, began))

    async def until(self, what: Callable[[VerificationProgress], bool]) -> VerificationProgress:
        async with asyncio.timeout(WITHIN):
            while self.found.progress is None or not what(self.found.progress):
                await self.news.wait()
                self.news.clear()
        return self.found.progress

    async def fails(self, *cases: Manifest) -> str:
        self.ask(*cases)
        return (await self.until(lambda said: bool(said.failure))).failure


async def soon(what: Callable[[], bool]) -> None:
    """Waits until the condition is true; nothing signals it."""
    async with asyncio.timeout(WITHIN):
        while not what():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


@pytest.fixture
def pods() -> Pods:
    return Pods()


@pytest.fixture
async def asking(client: Client, script: Script, pods: Pods) -> AsyncIterator[Asking]:
    for name in (names.access_keys(given.NAME), names.callback_key(given.NAME)):
        script.on("GET", at(SECRETS, name), missing("secrets", name))
    news = asyncio.Event()
    async with served(pods.handle) as port, VerificationReader(client, client.now, lambda _: news.set(), lambda: KEY) as reader:
        yield Asking(reader, port, client, news)


async def test_each_case_is_called_as_often_as_it_repeats(asking: Asking, pods: Pods) -> None:
    asking.ask({**CASE, "repeat": 20}, {**CASE, "name": "other", "input": '{"q": 2}'})
    assert asking.found.progress is not None
    assert asking.found.progress.digest == hashlib.sha256(KEY.encode()).hexdigest()
    said = await asking.until(lambda said: said.done)
    assert (said.passed, said.calls, said.failure) == (2, 21, "")
    assert sorted(json.dumps(each) for each in pods.asked) == ['{"input": {"q": "how much?"}}'] * 20 + ['{"input": {"q": 2}}']


async def test_pods_that_do_not_know_the_key_are_not_called(asking: Asking, pods: Pods) -> None:
    pods.knows = 403
    asking.ask(CASE)
    await soon(lambda: asking.found.progress is not None and "has not heard of the key" in asking.found.progress.problem)
    assert pods.asked == []
    pods.knows = 204
    assert (await asking.until(lambda said: said.done)).known


async def test_a_runtime_that_knows_no_verification_fails_it_with_that_sentence(asking: Asking, pods: Pods) -> None:
    pods.knows = 404
    assert await asking.fails(CASE) == "deploy on a newer Runtime: that of pod chat-1 has no smoke tests"


async def test_a_wrong_answer_is_reported_with_its_case_its_input_and_the_expectation(asking: Asking, pods: Pods) -> None:
    async def flaky(number: int) -> web.StreamResponse:
        if number > 20:
            await asyncio.Event().wait()  # until nobody asks any more: else all may be answered before one answer is read
        return web.json_response({"answer": "41" if number == 3 else "42"})

    pods.answer = flaky
    reading = await asking.fails({**CASE, "repeat": 50})
    assert reading.startswith("case refund failed at call ")
    assert reading.endswith('of 50: input {"q": "how much?"}; expected an answer that contains "42"; got {"answer": "41"}')
    assert len(pods.asked) < 50, "the first is enough"


async def test_an_error_and_a_late_answer_fail_it(asking: Asking, pods: Pods) -> None:
    pods.answer = saying({"error": {"message": "no"}}, 500)
    assert (await asking.fails(CASE)).endswith('expected status 2xx; got status 500 {"error": {"message": "no"}}')

    async def late(_number: int) -> web.StreamResponse:
        await asyncio.sleep(WITHIN)
        return web.Response()

    pods.answer = late
    asking.ask({**CASE, "seconds": 1}, row="another")
    said = await asking.until(lambda said: bool(said.failure))
    assert said.failure.endswith('expected an answer that contains "42" within 1 s; got no answer within 1 s')


async def test_a_busy_or_silent_pod_is_called_again(asking: Asking, pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "PAUSE", 0.01)

    async def busy(number: int) -> web.StreamResponse:
        return web.json_response({"answer": "42"}, status=[503, 429, 200][(number - 1) % 3])

    pods.answer = busy
    asking.ask(CASE)
    assert (await asking.until(lambda said: said.done)).calls == 1


async def test_too_long_an_answer_is_none(asking: Asking, pods: Pods) -> None:
    pods.answer = saying(b"42" * (1 << 20))
    assert (await asking.fails(CASE)).endswith("got an answer of more than 1 MiB")


async def test_no_message_shows_what_is_secret(asking: Asking, pods: Pods, script: Script) -> None:
    variables = [{"name": "MODEL_KEY", "secret": {"name": "model", "key": "key"}}]
    asking.app = given.an_app(given.with_spec(variables=variables, runs={"content": True, "redact": {"fields": ["iban"]}}))
    data = {"key": base64.b64encode(b"sk-very-secret").decode(), "other": base64.b64encode(b"wrong").decode()}
    script.on("GET", at(SECRETS, "model"), {"metadata": {"name": "model"}, "data": data})
    key = {"key": base64.b64encode(b"whsec_c2lnbg==").decode()}
    script.on("GET", at(SECRETS, names.callback_key(given.NAME)), {"metadata": {"name": "signs"}, "data": key})
    pods.answer = saying({"answer": "wrong: sk-very-secret, whsec_c2lnbg==", "iban": "DE123"})
    assert (await asking.fails(CASE)).endswith('got {"answer": "wrong: [redacted], [redacted]", "iban": "[redacted]"}')
    script.on("GET", at(SECRETS, "model"), failure(403, "Forbidden"))
    asking.ask(CASE, row="another")
    said = await asking.until(lambda said: bool(said.failure))
    assert said.failure.endswith("; got [redacted]"), "where secrets cannot be read, nobody knows what of it is one"


async def test_a_smoke_test_is_cancelled_at_once_for_another_row(asking: Asking, pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "REPORT_PERIOD", 0.0)
    never, cancelled = asyncio.Event(), asyncio.Event()

    async def waits(number: int) -> web.StreamResponse:
        if number == 1:
            return web.json_response({"answer": "42"})
        try:
            await never.wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return web.Response()

    pods.answer = waits
    asking.ask(CASE, {**CASE, "name": "other"})
    assert not (await asking.until(lambda said: said.passed == 1)).done
    assert not cancelled.is_set()
    await soon(lambda: len(pods.asked) == 2)
    asking.reader.schedule(asking.app, asking.found, None)
    async with asyncio.timeout(WITHIN):
        await cancelled.wait()
    assert asking.found.progress is None


class Made:
    """The executor as far as it is needed: it writes the Secret of the Job's key to the scripted API server."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.client = asking.client
        self.state = SimpleNamespace(verification=asking.found)

    def make_key(self) -> str:
        return KEY

    async def key(self) -> None:
        execution = cast(Execution, self)
        await create_evaluation_key(execution, CreateEvaluationKey(self.asking.app, "judge", "uid-of-judge"))


def a_job(uid: str, row: str = "row") -> Manifest:
    return {"kind": "Job", "metadata": {"name": "judge", "uid": uid, "labels": {names.VERIFICATION_LABEL: row}}}


def a_secret(key: str) -> Manifest:
    return {"metadata": {"name": "judge"}, "data": {"key": base64.b64encode(key.encode()).decode()}}


async def test_pods_are_called_after_the_secret_of_the_jobs_key_was_created(asking: Asking, pods: Pods, script: Script) -> None:
    made = Made(asking)
    script.on("POST", at(SECRETS), a_secret(KEY))
    asking.ask(CASE, job="judge")
    asking.found.note_created(a_job("uid-of-judge"))
    assert (await asking.until(lambda said: said.lacks_key)).digest == ""
    await soon(lambda: asking.found.task is None)
    await made.key()
    asking.ask(CASE, job="judge")
    said = await asking.until(lambda said: said.done)
    assert (said.digest, said.lacks_key, said.known) == (hashlib.sha256(KEY.encode()).hexdigest(), False, True)


async def test_a_secret_that_somebody_else_made_gives_no_key_that_pods_take(asking: Asking, pods: Pods, script: Script) -> None:
    made = Made(asking)
    script.on("POST", at(SECRETS), failure(409, "AlreadyExists"))
    script.on("GET", at(SECRETS, "judge"), a_secret("of-a-tenant"), a_secret(KEY))
    asking.ask(CASE, job="judge")
    asking.found.note_created(a_job("uid-of-judge"))
    await asking.until(lambda said: said.lacks_key)
    await made.key()
    said = asking.found.progress
    assert said is not None
    assert (said.digest, asking.found.key) == ("", "")
    assert said.problem == "delete Secret judge: its key is not the operator's"
    await made.key()  # what was written, and whose answer was lost, is ours
    assert asking.found.key == KEY


async def test_with_a_job_that_is_made_again_its_key_is_another_and_the_time_goes_on(asking: Asking) -> None:
    asking.ask(CASE, job="judge")
    began = asking.found.progress
    assert began is not None
    asking.found.note_created(a_job("one", "another-row"))
    assert asking.found.progress == began
    asking.found.note_created(a_job("one"))
    asking.found.offered = asking.found.key = KEY
    asking.found.note_created(a_job("two"))
    progress = asking.found.progress
    assert progress is not None
    assert (progress.job, progress.digest, progress.since) == ("two", "", began.since)
    assert (asking.found.key, asking.found.offered) == ("", "")


async def test_a_smoke_test_of_another_operator_keeps_its_start(asking: Asking) -> None:
    asking.ask(CASE, began=given.NOW)
    assert asking.found.progress is not None
    assert asking.found.progress.since == given.NOW


async def told(asking: Asking, word: str, uid: str = "judge") -> str:
    asking.found.progress = VerificationProgress("row", frozenset(), given.NOW, job="judge")
    job = EvaluationJob("judge", uid, "row", False, None, "BackoffLimitExceeded", {}, EvaluationPod(1, word))
    (found,) = await asking.reader.redact_messages(asking.app, asking.found, [job])
    assert found.pod is not None
    return found.pod.message


async def test_the_message_of_a_job_shows_no_secret(asking: Asking, script: Script) -> None:
    asking.app = given.an_app(given.with_spec(variables=[{"name": "MODEL_KEY", "secret": {"name": "model", "key": "key"}}]))
    asking.found.offered = KEY
    data = {"key": base64.b64encode(b"sk-very-secret").decode()}
    script.on("GET", at(SECRETS, "model"), {"metadata": {"name": "model"}, "data": data})
    output = f"Traceback\nAssertionError: got sk-very-secret by {KEY}"
    assert termination_message.score_and_message(await told(asking, output)) == (None, "AssertionError: got [redacted] by [redacted]")
    scored = json.dumps({"score": 0.5, "message": "sk\\u002dvery-secret"}).replace("\\\\", "\\")
    assert termination_message.score_and_message(await told(asking, scored)) == (0.5, "[redacted]")
    assert await told(asking, output, uid="of-somebody-else") == ""
    script.on("GET", at(SECRETS, "model"), failure(403, "Forbidden"))
    assert termination_message.score_and_message(await told(asking, '{"score": 0.5, "message": "sk-very-secret!"}')) == (0.5, "[redacted]")


async def test_the_message_of_a_job_is_hidden_if_runs_are_redacted(asking: Asking) -> None:
    asking.app = given.an_app(given.with_spec(runs={"content": True, "redact": {"fields": ["iban"]}}))
    assert termination_message.score_and_message(await told(asking, '{"score": 0.5, "message": "DE123"}')) == (0.5, "[redacted]")


async def test_apps_that_answer_late_take_no_place_of_another_namespace(asking: Asking, pods: Pods) -> None:
    never = asyncio.Event()

    async def slow(_number: int) -> web.StreamResponse:
        if len(pods.asked) <= OF_NAMESPACE:
            await never.wait()
        return web.json_response({"answer": "42"})

    pods.answer = slow
    several = [Asking(asking.reader, asking.port, asking.client, asking.news) for _ in range(8)]
    for number, each in enumerate(several):
        each.ask({**CASE, "repeat": 20, "seconds": 600}, row=f"row-{number}")
    await soon(lambda: len(pods.asked) == OF_NAMESPACE)
    await soon(lambda: any(each.found.progress is not None and each.found.progress.waits_since is not None for each in several))
    assert all(each.found.progress is not None and each.found.progress.known for each in several), "whether a pod knows takes no slot"
    other = Asking(asking.reader, asking.port, asking.client, asking.news)
    other.app = given.an_app(given.in_namespace("other"))
    other.ask(CASE)
    assert (await other.until(lambda said: said.done)).calls == 1
    for each in several:
        asking.reader.schedule(each.app, each.found, None)
