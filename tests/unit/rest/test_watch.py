"""Streams of events: changes are sent at once, read with the caller's token. At rest nothing is requested, and each stream ends."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Any

import pytest

from dynamiq_operator.desired.base import SERVICE, WORKLOAD
from dynamiq_operator.kube.resources import APPS, BY_KIND, NAMESPACES, ROWS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.http import middleware, sessions
from dynamiq_operator.rest.watch import feed
from tests.support import factories as make
from tests.support.console import a_jwt
from tests.support.event_stream import Reading, reading
from tests.support.rest_stage import ANNA, TOKEN, UNKNOWN, RestStage, of_user, row
from tests.support.scripted import Reply, Sent, failure, listed
from tests.support.waiting import IN_TIME
from tests.unit.support.workloads import of_pins, service

SERVICES, WORKLOADS = BY_KIND[SERVICE.kind], BY_KIND[WORKLOAD.kind]


def watch(stage: RestStage, app: str = "chat") -> str:
    return f"/v1/apps/{stage.uid(APPS, app)}/watch"


def version(number: int) -> make.Modifier:
    return make.with_meta(resourceVersion=str(number))


def change_app(stage: RestStage, number: int, *modifiers: make.Modifier, name: str = "chat") -> Manifest:
    live = {"row": "chat-b", "sequence": 2, "workflowVersion": "v2", "runtime": "1.0.0"}
    return stage.put(make.app_manifest(make.with_status(live=live), version(number), *modifiers, name=name))


async def begun(stream: Reading) -> None:
    assert await stream.event() == ("ready", {})


# Events.


def test_an_event_of_an_app_has_the_shape_of_the_app(stage: RestStage) -> None:
    async def scenario() -> Any:
        async with reading(stage, watch(stage)) as stream:
            assert stream.status == 200
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert (stream.headers["x-accel-buffering"], stream.headers["cache-control"]) == ("no", "no-store")
            await begun(stream)
            change_app(stage, 2, make.with_spec(description="told\n\nevent: deleted\ndata: {}\r\n\r\n\u2028"))
            return await stream.event()

    assert stage.run(scenario()) == ("app", stage.get(f"/v1/apps/{stage.uid(APPS, 'chat')}"))


def test_an_event_of_a_row_has_the_shape_of_the_history(stage: RestStage) -> None:
    async def scenario() -> Any:
        async with reading(stage, watch(stage)) as stream:
            await begun(stream)
            stage.put(row("chat-c", version(3), make.created(5)))
            return await stream.event()

    kind, data = stage.run(scenario())
    assert (kind, data.pop("ready")) == ("deployment", None)
    assert data == stage.get(f"/v1/apps/{stage.uid(APPS, 'chat')}/deployments")[0]
    assert (data["name"], data["app_id"]) == ("chat-c", stage.uid(APPS, "chat"))


def test_everything_is_read_with_the_callers_token(stage: RestStage) -> None:
    async def scenario() -> None:
        async with reading(stage, watch(stage)) as stream:
            await begun(stream)
            before = len(stage.script.sent)
            change_app(stage, 2)
            stage.put(row("chat-c", version(3)))
            assert {(await stream.event())[0], (await stream.event())[0]} == {"app", "deployment"}
            assert {sent.headers["Authorization"] for sent in stage.script.sent[before:]} == {f"Bearer {TOKEN}"}

    stage.run(scenario())


def test_a_stream_has_no_event_of_other_apps(stage: RestStage) -> None:
    async def scenario() -> Any:
        async with reading(stage, watch(stage)) as stream:
            await begun(stream)
            stage.put(make.app_manifest(name="other"))
            stage.put(make.row_manifest("other-a", make.with_spec(app="other")))
            stage.put(make.app_manifest(make.with_meta(namespace="prod", uid=UNKNOWN)))
            change_app(stage, 2)
            return await stream.event()

    kind, data = stage.run(scenario())
    assert (kind, data["id"]) == ("app", stage.uid(APPS, "chat"))


def test_a_deleted_row_is_a_removed_event(stage: RestStage) -> None:
    uid = stage.uid(ROWS, "chat-a")

    async def scenario() -> Any:
        async with reading(stage, watch(stage)) as stream:
            await begun(stream)
            stage.context.index.of(ROWS).remove(uid)
            return await stream.event()

    assert stage.run(scenario()) == ("removed", {"id": uid})


def test_many_changes_are_few_reads(stage: RestStage) -> None:
    async def scenario() -> int:
        async with reading(stage, watch(stage)) as stream:
            await begun(stream)
            before = len(stage.script.sent)
            for number in range(2, 40):
                change_app(stage, number, make.with_spec(description=f"change {number}"))
            while (await stream.until("app"))["description"] != "change 39":
                pass
            return len([sent for sent in stage.script.sent[before:] if sent.path == APPS.path("demo", "chat")])

    assert stage.run(scenario()) <= 3


def test_a_reader_who_is_too_far_behind_reads_everything_anew(stage: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "UNREAD_MOST", 5)
    monkeypatch.setattr(feed, "ANEW_EVERY", 0.02)

    async def scenario() -> None:
        async with reading(stage, watch(stage)) as stream:
            await begun(stream)
            for number in range(6):
                stage.put(row(f"chat-{number}", make.superseded(3 + number)))
            await begun(stream)
            change_app(stage, 9)
            assert (await stream.event())[0] == "app"

    stage.run(scenario())


# At rest, and in between.


def test_a_stream_at_rest_sends_no_request(stage: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PING_EVERY", 0.02)

    async def scenario() -> None:
        async with reading(stage, watch(stage)) as stream:
            await begun(stream)
            before = len(stage.script.sent)
            assert [await stream.event() for _ in range(5)] == [("", ": ping")] * 5
            assert stage.script.sent[before:] == []

    stage.run(scenario())


def test_a_rollout_has_an_event_for_pods_that_become_ready(stage: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "CHECK_EVERY", 0.02)
    monkeypatch.setattr(feed, "PING_EVERY", 0.1)

    def pods(ready: int) -> Manifest:
        return listed(of_pins("v1", 3, ready), of_pins("v2", 2, 2, serves=True))

    async def scenario() -> list[Any]:
        stage.script.on("GET", SERVICES.path("demo", names.service("chat")), service("v2"))
        stage.script.on("GET", WORKLOADS.path("demo"), pods(1))
        async with reading(stage, watch(stage)) as stream:
            await begun(stream)
            stage.put(row("chat-c", make.progressing(3, "v1"), version(5)))
            ready = [(await stream.until("deployment"))["ready"]]
            stage.script.on("GET", WORKLOADS.path("demo"), pods(2))
            ready.append((await stream.until("deployment"))["ready"])
            stage.put(row("chat-c", make.live(3, "v1"), version(6)))
            assert (await stream.until("deployment"))["status"] == "Live"
            before = len(stage.script.sent)
            for _ in range(3):
                await stream.until("")
            assert stage.script.sent[before:] == [], "it is at rest again"
            return ready

    assert stage.run(scenario()) == [{"ready": 1, "wanted": 3, "serving": "v2"}, {"ready": 2, "wanted": 3, "serving": "v2"}]


def test_an_object_that_cannot_be_read_is_read_later(stage: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "RETRY_FIRST", 0.01)

    async def scenario() -> Any:
        async with reading(stage, watch(stage)) as stream:
            await begun(stream)
            changed = change_app(stage, 2, make.with_spec(description="later"))
            stage.script.on("GET", APPS.path("demo", "chat"), failure(503, "ServiceUnavailable"), failure(429, "TooManyRequests"), changed)
            change_app_in_the_index_alone(stage, changed, 3)
            return await stream.until("app")

    assert stage.run(scenario())["description"] == "later"


def change_app_in_the_index_alone(stage: RestStage, made: Manifest, number: int) -> None:
    stage.context.index.of(APPS).put({**made, "metadata": {**made["metadata"], "resourceVersion": str(number)}})


# Callers without the right, or who lost it.


def test_a_caller_who_may_not_read_an_app_gets_no_stream_of_it(stage: RestStage) -> None:
    assert stage.call("GET", f"/v1/apps/{UNKNOWN}/watch").error(404)["code"] == "not_found"
    path = watch(stage)
    assert stage.call("GET", path, token="nobody").error(401)["code"] == "unauthorized"
    stage.script.on("GET", APPS.path("demo", "chat"), failure(403, "Forbidden"))
    assert stage.call("GET", path).error(404)["code"] == "not_found"


@pytest.mark.parametrize(("status", "ends"), [(401, "expired"), (403, "deleted"), (404, "deleted")])
def test_a_caller_who_loses_the_right_gets_no_further_event(stage: RestStage, status: int, ends: str) -> None:
    async def scenario() -> Any:
        async with reading(stage, watch(stage)) as stream:
            await begun(stream)
            changed = change_app(stage, 2)
            await stream.until("app")
            stage.script.on("GET", APPS.path("demo", "chat"), failure(status, "No"))
            change_app_in_the_index_alone(stage, changed, 3)
            return await stream.rest()

    assert stage.run(scenario()) == [(ends, {})]


def test_a_row_that_may_not_be_read_is_passed_over(stage: RestStage) -> None:
    async def scenario() -> Any:
        async with reading(stage, watch(stage)) as stream:
            await begun(stream)
            stage.script.on("GET", ROWS.path("demo", "chat-c"), failure(403, "Forbidden"))
            made = make.stored(row("chat-c", version(3)))
            stage.context.index.of(ROWS).put(made)
            stage.put(row("chat-d", version(4)))
            return await stream.event()

    kind, data = stage.run(scenario())
    assert (kind, data["name"]) == ("deployment", "chat-d")


# Ends.


def test_an_app_that_is_deleted_ends_it(stage: RestStage) -> None:
    async def scenario() -> Any:
        async with reading(stage, watch(stage)) as stream:
            await begun(stream)
            stage.context.index.of(APPS).remove(stage.uid(APPS, "chat"))
            return await stream.rest()

    assert stage.run(scenario()) == [("deleted", {})]


def test_it_ends_with_the_token(stage: RestStage) -> None:
    stage.script.on("POST", sessions.REVIEWS, of_user(ANNA))

    async def scenario() -> tuple[Any, float]:
        ends = time.time() + 5
        async with reading(stage, watch(stage), a_jwt(exp=ends)) as stream:
            await begun(stream)
            return await stream.rest(), time.time() - ends

    events, late = stage.run(scenario())
    assert events == [("expired", {})]
    assert 0 <= late < 60


def test_a_process_that_stops_ends_every_stream(stage: RestStage) -> None:
    async def scenario() -> list[Any]:
        project = f"/v1/projects/{stage.uid(NAMESPACES, 'demo')}/watch"
        async with reading(stage, watch(stage)) as one, reading(stage, project) as other:
            await begun(one)
            await begun(other)
            await asyncio.to_thread(stage.context.streams.end)
            found = [await one.rest(), await other.rest()]
        async with reading(stage, watch(stage)) as late:
            return [*found, await late.rest()]

    assert stage.run(scenario()) == [[("ending", {})]] * 3


def test_a_read_that_hangs_does_not_hold_up_the_end(stage: RestStage) -> None:
    requested, may_answer = threading.Event(), threading.Event()

    def hang(_: Sent) -> Reply:
        requested.set()
        may_answer.wait(IN_TIME)
        return failure(503, "ServiceUnavailable")

    async def scenario() -> Any:
        async with reading(stage, watch(stage)) as stream:
            await begun(stream)
            changed = change_app(stage, 2)
            await stream.until("app")
            stage.script.on("GET", APPS.path("demo", "chat"), hang)
            change_app_in_the_index_alone(stage, changed, 3)
            assert await asyncio.to_thread(requested.wait, IN_TIME)
            stage.context.streams.end()
            return await stream.rest()

    try:
        assert stage.run(scenario()) == [("ending", {})]
    finally:
        may_answer.set()


def test_a_closed_stream_frees_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "STREAMS_EACH", 2)

    async def scenario() -> None:
        for _ in range(5):
            async with reading(stage, watch(stage)) as one, reading(stage, watch(stage)) as two, reading(stage, watch(stage)) as three:
                assert (one.status, two.status, three.status) == (200, 200, 429)
                change_app(stage, 2)

    with RestStage() as stage:
        stage.run(scenario())


def test_streams_take_no_slot_and_no_thread_of_requests(stage: RestStage) -> None:
    before = threading.active_count()  # other tests may have left some

    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as opened:
            streams = [await opened.enter_async_context(reading(stage, watch(stage))) for _ in range(3 * middleware.EACH)]
            for each in streams:
                await begun(each)
            assert threading.active_count() - before < len(streams)
            assert (await stage.ask("GET", "/v1/me")).status == 200
            change_app(stage, 2)
            for each in streams:
                assert (await each.event())[0] == "app"

    stage.run(scenario())


# A project.


def test_a_stream_has_the_events_of_a_projects_apps(stage: RestStage) -> None:
    uid = stage.uid(APPS, "chat")

    async def scenario() -> list[Any]:
        async with reading(stage, f"/v1/projects/{stage.uid(NAMESPACES, 'demo')}/watch") as stream:
            await begun(stream)
            stage.put(make.app_manifest(make.with_meta(namespace="prod", uid=UNKNOWN)))
            new = stage.put(make.app_manifest(name="new"))
            found = [await stream.event()]
            stage.put(row("chat-c", version(3), make.created(5)))
            found.append(await stream.event())
            stage.context.index.of(APPS).remove(uid)
            found.append(await stream.event())
            assert found[0][1]["id"] == new["metadata"]["uid"]
            return found

    new, changed, removed = stage.run(scenario())
    assert (new[0], changed[0], changed[1]["id"]) == ("app", "app", uid)
    assert removed == ("removed", {"id": uid})


def test_a_caller_who_may_not_list_the_apps_of_a_project_gets_no_stream_of_it(stage: RestStage) -> None:
    stage.script.on("GET", APPS.path("demo"), failure(403, "Forbidden"))
    for project in (stage.uid(NAMESPACES, "demo"), UNKNOWN):
        assert stage.call("GET", f"/v1/projects/{project}/watch").error(404)["code"] == "not_found"


def test_an_app_of_a_project_that_may_not_be_read_is_passed_over(stage: RestStage) -> None:
    async def scenario() -> Any:
        async with reading(stage, f"/v1/projects/{stage.uid(NAMESPACES, 'demo')}/watch") as stream:
            await begun(stream)
            stage.script.on("GET", APPS.path("demo", "hidden"), failure(403, "Forbidden"))
            hidden = make.stored(make.app_manifest(name="hidden"))
            stage.context.index.of(APPS).put(hidden)
            stage.context.index.of(APPS).remove(hidden["metadata"]["uid"])
            change_app(stage, 2)
            return await stream.event()

    kind, data = stage.run(scenario())
    assert (kind, data["id"]) == ("app", stage.uid(APPS, "chat"))


# Every project.


def test_a_stream_of_all_projects_has_the_events_of_listable_ones(stage: RestStage) -> None:
    async def scenario() -> list[Any]:
        async with reading(stage, "/v1/apps/watch") as stream:
            await begun(stream)
            stage.script.on("GET", APPS.path("secret"), failure(403, "Forbidden"))
            stage.script.on("GET", APPS.path("prod"), listed())
            for namespace in ("secret", "prod"):
                stage.put(make.app_manifest(make.with_meta(namespace=namespace, uid=f"{namespace}-{UNKNOWN}"), name=namespace))
            found = [await stream.event()]
            change_app(stage, 2)
            found.append(await stream.event())
            stage.context.index.of(APPS).remove(f"prod-{UNKNOWN}")
            found.append(await stream.event())
            return found

    other, own, removed = stage.run(scenario())
    assert (other[0], other[1]["id"]) == ("app", f"prod-{UNKNOWN}")
    assert own[1]["id"] == stage.uid(APPS, "chat")
    assert removed == ("removed", {"id": f"prod-{UNKNOWN}"})


def test_an_unlistable_project_costs_one_request(stage: RestStage) -> None:
    async def scenario() -> list[Any]:
        async with reading(stage, "/v1/apps/watch") as stream:
            await begun(stream)
            stage.script.on("GET", APPS.path("secret"), failure(403, "Forbidden"))
            for number in (1, 2, 3):
                stage.put(make.app_manifest(make.with_meta(namespace="secret", uid=UNKNOWN), version(number)))
                change_app(stage, number + 1)
                await stream.event()
            return [sent for sent in stage.script.sent if "/namespaces/secret/" in sent.path]

    requests = stage.run(scenario())
    assert len([each for each in requests if each.path.endswith("/apps")]) == 1
