"""Requests that try to break the API, and odd objects: other callers and objects are not affected."""

from __future__ import annotations

import asyncio
import functools
import json
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from dynamiq_operator.actions.idempotency import NOTED_MOST
from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS, WORKFLOWS
from dynamiq_operator.model import names
from dynamiq_operator.rest.http import body, middleware
from dynamiq_operator.rest.kube import client, id_index
from dynamiq_operator.serving.lanes import Lane
from tests.support import factories as make
from tests.support.rest_stage import UNKNOWN, Answered, RestStage, created, encoded
from tests.support.scripted import Reply, Sent, failure
from tests.support.waiting import IN_TIME

PATIENCE = IN_TIME
TRIES = 6
"""Number of tries: whatever stops all others does so each time."""


def _path(stage: RestStage, more: str = "") -> str:
    return f"/v1/apps/{stage.uid(APPS, 'chat')}{more}"


def _body(stage: RestStage, **fields: Any) -> dict[str, Any]:
    return {"workflow_id": stage.uid(WORKFLOWS, "chat"), **fields}


@pytest.mark.parametrize("body", [b"7", b"7.5", b"true", b'"flow"', b'["flow"]', b"null", b"0"])
def test_a_body_that_is_no_object_is_refused(stage: RestStage, body: bytes) -> None:
    assert list(stage.call("POST", _path(stage, "/deploy"), body).error(422)["details"]) == ["body"]


# Requests that would block all others, or their own answer.


def _longest_stop(stage: RestStage, method: str, path: str, body: Any = None) -> tuple[Answered, float]:
    """Returns the answer, and the longest pause of the event loop, as a multiple of the time to parse as much JSON.

    Both are processor time of all threads of this process, so other programs do not count. It repeats the measurement if the machine gets
    slower in between.
    """
    raw = encoded(body)  # not on the loop that is measured

    async def scenario() -> tuple[Answered, float]:
        longest, over = 0.0, asyncio.Event()

        async def tick() -> None:
            nonlocal longest
            while not over.is_set():
                before = time.process_time()
                await asyncio.sleep(0)
                longest = max(longest, time.process_time() - before)

        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0)  # it ticks before the request begins
        answered = await stage.ask(method, path, raw)
        over.set()
        await ticking
        return answered, longest

    def parse() -> float:
        began = time.process_time()
        json.loads(json.dumps({f"field{number}": 1 for number in range(150_000)}))
        return time.process_time() - began

    answers, least = list[Answered](), math.inf
    for _ in range(TRIES):
        unit = min(parse() for _ in range(3))
        answered, longest = stage.run(scenario())
        answers.append(answered)
        least = min(least, longest / unit)
        if least < 1:
            break
    return answers[0], least


def _once(stage: RestStage, method: str, path: str, body: Any = None) -> Answered:
    return stage.call(method, path, body)


def _stopping_nobody(stage: RestStage, method: str, path: str, body: Any = None) -> Answered:
    answered, stop = _longest_stop(stage, method, path, body)
    assert stop < 1
    return answered


@pytest.fixture(
    params=[
        pytest.param(_once, id="told"),
        pytest.param(
            _stopping_nobody,
            id="stopping nobody",
            marks=pytest.mark.long("compares times of a processor, twenty seconds of it; that all of it is refused is shown by `told`"),
        ),
    ]
)
def ask(request: pytest.FixtureRequest, stage: RestStage) -> Callable[..., Answered]:
    """Returns a function that sends a request, and in one variant checks that the event loop serves others meanwhile."""
    return functools.partial(request.param, stage)


@pytest.mark.parametrize("pieces", [body.SMALL // 2 - 1, body.BODY_MAX // 2 - 1])
def test_an_unclosed_quote_blocks_no_caller(stage: RestStage, ask: Callable[..., Answered], pieces: int) -> None:
    answered = ask("POST", _path(stage, "/deploy"), b'"' + b'\\"' * pieces)
    assert "not JSON" in answered.error(422)["message"]


@pytest.mark.parametrize("where", ["", "deployment_config", "confirmed"])
def test_a_body_of_a_hundred_thousand_wrong_fields_blocks_no_caller(stage: RestStage, ask: Callable[..., Answered], where: str) -> None:
    many = {f"field{number}": 1 for number in range(120_000)}
    body = _body(stage, **({where: many} if where else many))
    assert "more than 1000 fields" in ask("POST", _path(stage, "/deploy"), body).error(422)["message"]


@pytest.mark.parametrize("piece", [b'"",', b'"" , ', b"1 , ", b"{},"], ids=["texts", "texts apart", "numbers apart", "objects"])
def test_a_layout_of_very_many_values_blocks_no_caller(stage: RestStage, ask: Callable[..., Answered], piece: bytes) -> None:
    many = piece * ((body.BODY_MAX - 100) // len(piece) if b"{" not in piece else body.CONTAINERS_MAX - 10)
    answered = ask("POST", _path(stage, "/deploy"), b'{"flow_ui": [' + many + b"0]}")
    assert "does not exist" in answered.error(422)["message"]


def test_only_the_first_wrong_fields_are_named_and_each_is_cut(stage: RestStage) -> None:
    body = _body(stage, **{f"{'x' * 10_000}{number}": 1 for number in range(100)})
    answered = stage.call("POST", _path(stage, "/deploy"), body)
    error = answered.error(422)
    assert len(answered.content) < 20_000
    assert "80 more" in error["message"]


def test_a_query_parameter_that_occurs_thousands_of_times_blocks_no_caller(ask: Callable[..., Answered]) -> None:
    answered = ask("GET", "/v1/apps?" + "&".join(["page"] * 6400))
    assert answered.error(422)["details"] == {"page": "this query parameter occurs twice"}


@pytest.mark.parametrize("token", [None, "token-of-anna"])
def test_a_length_of_thousands_of_digits_is_a_length(stage: RestStage, token: str | None) -> None:
    length = {"Content-Length": f"{'0' * 5000}2", "Content-Type": "application/json"}
    answered = stage.call("POST", _path(stage, "/deploy"), b"{}", headers=length, token=token)
    assert answered.status == (401 if token is None else 422)
    endless = stage.call("POST", _path(stage, "/deploy"), b"{}", headers={**length, "Content-Length": "9" * 5000})
    assert endless.status in (413, 422)


def test_a_turn_that_is_cancelled_while_another_caller_leaves_ends_as_any_other() -> None:
    async def scenario() -> tuple[list[Any], list[str]]:
        lane, served = Lane(total=1, each=1, waiting=4, patience=PATIENCE), list[str]()

        async def use(caller: str) -> None:
            async with lane.slot(caller):
                served.append(caller)

        leave = asyncio.Event()

        async def hold() -> None:
            async with lane.slot("first"):
                await leave.wait()

        first = asyncio.create_task(hold())
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(use(caller)) for caller in ("gone", "stays")]
        await asyncio.sleep(0)
        leave.set()  # who holds the slot leaves in the next turn of the loop
        waiting[0].cancel()  # and meets one who has gone by then, and has not been told yet
        ended = await asyncio.gather(first, *waiting, return_exceptions=True)
        await use("after")
        return ended, served

    ended, served = asyncio.run(scenario())
    assert served == ["stays", "after"]
    assert isinstance(ended[1], asyncio.CancelledError), ended


# Idempotency keys.


def test_another_confirmation_under_a_used_key_is_refused(stage: RestStage) -> None:
    first = _body(stage, confirmed={"version": "v2"})
    assert stage.call("POST", _path(stage, "/deploy"), first, key="a key").status == 201
    (made,) = stage.created(ROWS)
    stage.put(made)
    stage.script.on("POST", ROWS.path("demo"), failure(409, "AlreadyExists"))
    for other in ({"version": "v1"}, {"version": "v2", "runtime": "1.0.0"}):
        assert (
            "another request"
            in stage.call("POST", _path(stage, "/deploy"), {**first, "confirmed": other}, key="a key").error(422)["message"]
        )
    assert "another request" in stage.call("POST", _path(stage, "/deploy"), _body(stage), key="a key").error(422)["message"]
    again = stage.call("POST", _path(stage, "/deploy"), first, key="a key")
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("inner", ["x", "resources", 7, True, ["resources"], [["resources", {}]], {"resources": "x"}, {"autoscaling": [1]}])
@pytest.mark.parametrize("beside", [{}, {"resources": {}}])
@pytest.mark.parametrize("way", ["deploy", "promote"])
def test_a_confirmed_config_of_another_shape_is_another_one(stage: RestStage, inner: Any, beside: dict[str, Any], way: str) -> None:
    given = {"config": {"deployment_type": "server_based", "config": inner}, **beside}
    body = _body(stage, confirmed=given) if way == "deploy" else {"confirmed": given}
    assert stage.call("POST", _path(stage, f"/{way}"), body).error(409)["details"]["config"]["confirmed"]["config"] is not None
    assert stage.script.bodies("POST", ROWS.path("demo")) == stage.script.bodies("POST", ROWS.path("prod")) == []


@pytest.mark.parametrize(
    "there",
    [
        "[" * 100_000,
        "not JSON",
        json.dumps([1, 2]),
        json.dumps({f"{number:016x}": "f" * 64 for number in range(5000)}),
        json.dumps({"key": {"much": "x" * 100_000}, "f" * 16: ["x" * 100_000]}),
    ],
)
def test_the_notes_of_promotions_stay_few_whatever_stands_there(stage: RestStage, there: str) -> None:
    app = stage.object(APPS, "chat")
    app["metadata"].setdefault("annotations", {})[names.PROMOTIONS_ANNOTATION] = there
    stage.script.on("POST", APPS.path("prod"), lambda sent: Reply(201, stage.put(sent.body)))
    stage.script.on("PATCH", APPS.path("demo", "chat"), {})
    assert stage.call("POST", _path(stage, "/promote"), {}, key="a key").status == 201
    (patch,) = stage.script.bodies("PATCH", APPS.path("demo", "chat"))
    noted = json.loads(patch["metadata"]["annotations"][names.PROMOTIONS_ANNOTATION])
    assert 1 <= len(noted) <= NOTED_MOST
    assert len(json.dumps(noted)) < 4000


# Odd objects.


def test_an_unreadable_app_is_listed_and_hides_no_other(stage: RestStage) -> None:
    odd = stage.put(make.app_manifest(name="odd"))
    odd["spec"]["access"] = {"type": "by-invitation"}
    apps = {each["name"]: each for each in stage.get("/v1/apps")}
    assert set(apps) == {"chat", "odd"}
    assert apps["odd"]["access_control"]["access_type"] == "private", "what is not known to be public is not"
    path = f"/v1/apps/{odd['metadata']['uid']}"
    assert stage.call("GET", path).status == 200
    error = stage.call("POST", f"{path}/deploy/preview", _body(stage)).error(409)
    assert "access.type" in error["message"]
    assert stage.call("POST", _path(stage, "/deploy/preview"), _body(stage)).status == 200


def test_an_unreadable_row_is_a_conflict_and_no_internal_error(stage: RestStage) -> None:
    stage.object(ROWS, "chat-b")["spec"]["pinned"]["config"] = {"type": "quantum"}
    error = stage.call("POST", _path(stage, "/deploy/preview"), _body(stage)).error(409)
    assert "chat-b" in error["message"]
    assert "config" in error["message"]


def test_a_runtime_that_this_version_cannot_read_is_not_chosen(stage: RestStage) -> None:
    odd = stage.put(make.runtime_manifest(name="runtime-9"))
    odd["spec"].update(version="9.0.0", engine="quantum")
    assert stage.call("GET", "/v1/agent-builder/nodes").json["runtime"] == "1.0.0"


# Filters.


def test_a_workflow_of_another_project_is_no_empty_list(stage: RestStage) -> None:
    query = f"project_id={stage.uid(NAMESPACES, 'prod')}&workflow_id={stage.uid(WORKFLOWS, 'chat')}"
    assert set(stage.call("GET", f"/v1/apps?{query}").error(422)["details"]) == {"workflow_id"}
    stage.allow(lambda _verb, _resource, namespace: namespace != "demo")
    assert set(stage.call("GET", f"/v1/apps?{query}").error(404)["details"]) == {"workflow_id"}, "who may not see it is told nothing of it"


# The API's own rights, and time.


@pytest.mark.parametrize(("status", "reason"), [(401, "Unauthorized"), (403, "Forbidden")])
def test_a_missing_right_of_the_api_itself_is_not_reported_as_the_callers(stage: RestStage, status: int, reason: str) -> None:
    stage.script.on("GET", APPS.path(), failure(status, reason, "not you"))
    error = stage.call("GET", f"/v1/apps/{UNKNOWN}").error(503)
    assert "this API itself" in error["message"]


def _kept(stage: RestStage, reply: Reply, monkeypatch: pytest.MonkeyPatch) -> int:
    """Returns the status of readiness after lists and watches have got this answer for long enough."""
    tried, ends = threading.Semaphore(0), threading.Event()

    def answer(_: Sent) -> Reply:
        tried.release()
        return reply

    monkeypatch.setattr(id_index, "REJECTED_AFTER", 0.0)
    stage.script.on("GET", APPS.path(), answer)
    keeping = threading.Thread(target=stage.context.index.of(APPS).run, args=(ends,), daemon=True)
    keeping.start()
    assert all(tried.acquire(timeout=PATIENCE) for _ in range(2))
    status = stage.call("GET", "/readyz", token=None).status
    ends.set()
    keeping.join(PATIENCE)
    return status


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(cut=True), 200),
        (failure(503, "ServiceUnavailable"), 200),
        (failure(403, "Forbidden"), 200),
        (failure(401, "Unauthorized"), 503),
    ],
)
def test_a_replica_is_not_ready_where_another_may_do_better_and_ready_where_none_would(
    stage: RestStage, monkeypatch: pytest.MonkeyPatch, reply: Reply, status: int
) -> None:
    assert _kept(stage, reply, monkeypatch) == status


def test_an_app_is_deleted_again_though_its_request_has_timed_out(stage: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(sent: Sent) -> Any:
        if "dryRun" in sent.query:
            return created(sent)
        over.wait(PATIENCE)
        return Reply(cut=True)

    stage.script.on("POST", ROWS.path("demo"), hang)
    stage.script.on("DELETE", APPS.path("demo", "new"), {})
    stage.call("GET", "/v1/apps")
    monkeypatch.setattr(client, "ANSWERED_WITHIN", 5.0)
    body = {"name": "new", "project_id": stage.uid(NAMESPACES, "demo"), "workflow_id": stage.uid(WORKFLOWS, "chat")}
    error = stage.call("POST", "/v1/apps", body).error(503)
    over.set()
    assert "may have been done" in error["message"]
    assert len(stage.script.bodies("DELETE", APPS.path("demo", "new"))) == 1
    assert "app_id" not in error["details"], "nothing is left of it"


def test_a_promotion_is_done_though_what_is_read_after_it_is_not_answered(stage: RestStage) -> None:
    stage.put(make.app_manifest(make.in_namespace("prod")))
    stage.put(make.version_manifest("v2", make.in_namespace("prod")))
    is_made = False

    def make_row(sent: Sent) -> Reply:
        nonlocal is_made
        is_made = is_made or "dryRun" not in sent.query
        return created(sent)

    app = stage.object(APPS, "chat", "prod")
    stage.script.on("POST", ROWS.path("prod"), make_row)
    stage.script.on("GET", APPS.path("prod", "chat"), lambda _: failure(503, "ServiceUnavailable") if is_made else app)
    answer = stage.call("POST", _path(stage, "/promote"), {}).data
    assert answer["app_id"] == app["metadata"]["uid"]
    assert len(stage.created(ROWS, "prod")) == 1


@pytest.mark.parametrize("twice", ['"message": "a", "message": "b"', '"confirmed": {"version": "v1", "version": "v2"}'])
def test_a_duplicate_key_of_a_body_is_refused(stage: RestStage, twice: str) -> None:
    body = f'{{"workflow_id": "{stage.uid(WORKFLOWS, "chat")}", {twice}}}'.encode()
    error = stage.call("POST", _path(stage, "/deploy"), body, headers={"Content-Type": "application/json"}).error(422)
    assert "twice" in error["message"]
    assert stage.created(ROWS) == []


def test_bodies_that_do_not_come_are_a_callers_own_and_few(stage: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "ARRIVING_EACH", 2)
    monkeypatch.setattr(middleware, "WAITING", 1)
    monkeypatch.setattr(body, "SILENT_MOST", 0.5)

    async def scenario() -> list[int]:
        stalled = [
            stage.ask("POST", _path(stage, "/deploy"), b"{", headers={"Content-Type": "application/json"}, stalls=True) for _ in range(5)
        ]
        return [answered.status for answered in await asyncio.gather(*stalled)]

    assert sorted(stage.run(scenario())) == [408, 408, 408, 429, 429]
