"""The operator's client: its requests to the API server, and the error for each answer."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import CONNECTIONS, DOWN_AFTER, JSON_PATCH, Client
from dynamiq_operator.kube.credentials import Credentials
from dynamiq_operator.kube.resources import APPS, PODS, ROWS, VERSIONS
from dynamiq_operator.model.names import FIELD_MANAGER, REPLICAS_MANAGER
from tests.support import factories as given
from tests.support.controller import NAMED, Process, at
from tests.support.scripted import Reply, Script, ScriptedServer, Sent, failure, listed
from tests.support.scripted import kubeconfig as kubeconfig_of
from tests.support.waiting import IN_TIME

CHAT = at(APPS, "chat")


async def test_login_is_the_kubeconfigs(client: Client, script: Script) -> None:
    script.on("GET", CHAT, given.app_manifest())
    assert await client.get(APPS, "demo", "chat") == given.app_manifest()
    headers = {name.lower(): value for name, value in script.sent[0].headers.items()}
    assert headers["authorization"] == "Bearer token-of-a-test"


async def test_a_list_is_read_in_pages_and_its_items_have_their_kind(client: Client, script: Script) -> None:
    script.on("GET", at(ROWS), listed({"metadata": {"name": "a"}}, token="next"), listed({"metadata": {"name": "b"}}))
    pages = [page async for page in client.pages(ROWS, "demo", label="x=y", field="spec.app=chat")]
    assert [item["metadata"]["name"] for page in pages for item in page["items"]] == ["a", "b"]
    assert {item["kind"] for page in pages for item in page["items"]} == {"Deployment"}
    selectors = {"limit": "500", "labelSelector": "x=y", "fieldSelector": "spec.app=chat"}
    assert [dict(sent.query) for sent in script.sent] == [selectors, {**selectors, "continue": "next"}]


async def test_pages_of_large_objects_are_small(client: Client, script: Script) -> None:
    large = {"metadata": {"name": "a"}, "spec": {"flow": "x" * 900 * 1024}}
    script.on("GET", at(VERSIONS), listed(large, token="next"), listed(large))
    assert len([page async for page in client.pages(VERSIONS, "demo")]) == 2
    first, second = (int(sent.query["limit"]) for sent in script.sent)
    assert first * 900 * 1024 < 20_000_000, "what the first page may weigh"
    assert second * 900 * 1024 < 6_000_000, "by what the first one weighed"


async def test_a_list_that_comes_at_once_is_parsed_in_parts(client: Client, script: Script) -> None:
    rows = [{"metadata": {"name": f"chat-{number}"}, "spec": {"message": "x" * 1000}} for number in range(2500)]
    script.on("GET", at(ROWS), listed(*rows, version="7"))
    pages = [page async for page in client.pages(ROWS, "demo", field="status.phase!=Failed", at_once=True)]
    assert [dict(sent.query) for sent in script.sent] == [{"fieldSelector": "status.phase!=Failed"}]
    assert [{key: item[key] for key in ("metadata", "spec")} for page in pages for item in page["items"]] == rows
    assert ({page["metadata"]["resourceVersion"] for page in pages}, len(pages)) == ({"7"}, 3)


@pytest.mark.parametrize("names", [[], ["a"]])
@pytest.mark.parametrize("depth", [1, 2000])
async def test_a_list_that_comes_at_once_may_be_empty_or_nested_deeply(
    client: Client, script: Script, names: list[str], depth: int
) -> None:
    items = ",".join(f'{{"metadata": {{"name": "{name}"}}, "spec": {"[" * depth + "]" * depth}}}' for name in names)
    script.on("GET", at(ROWS), Reply(200, f'{{"metadata": {{"resourceVersion": "7"}}, "items": [{items}]}}'.encode()))
    (page,) = [page async for page in client.pages(ROWS, "demo", at_once=True)]
    assert ([item["metadata"]["name"] for item in page["items"]], page["metadata"]["resourceVersion"]) == (names, "7")


async def test_writes_are_by_the_operators_field_manager(client: Client, script: Script) -> None:
    script.on("POST", at(APPS), given.app_manifest()).on("PATCH", CHAT, given.app_manifest()).on("PATCH", f"{CHAT}/scale", NAMED)
    await client.create(APPS, given.app_manifest())
    await client.patch(APPS, "demo", "chat", {"spec": {}})
    await client.patch(APPS, "demo", "chat", [{"op": "test"}], kind=JSON_PATCH)
    await client.patch(APPS, "demo", "chat", {"spec": {}}, subresource="scale", manager=REPLICAS_MANAGER)
    assert [(sent.query["fieldManager"], sent.headers["Content-Type"]) for sent in script.sent] == [
        (FIELD_MANAGER, "application/json"),
        (FIELD_MANAGER, "application/merge-patch+json"),
        (FIELD_MANAGER, "application/json-patch+json"),
        (REPLICAS_MANAGER, "application/merge-patch+json"),
    ]


async def test_apply_takes_fields_back_and_sends_any_character_as_it_is(client: Client, script: Script) -> None:
    manifest = given.app_manifest(given.with_spec(displayName="🦊"))
    script.on("PATCH", CHAT, manifest)
    await client.apply(APPS, manifest)
    (sent,) = script.sent
    assert dict(sent.query) == {"fieldManager": FIELD_MANAGER, "force": "true"}
    assert sent.headers["Content-Type"] == "application/apply-patch+yaml; charset=utf-8"
    assert sent.body == manifest


@pytest.mark.parametrize(
    ("more", "options"),
    [
        ({}, {"preconditions": {"uid": "u"}, "propagationPolicy": "Background"}),
        ({"version": "7"}, {"preconditions": {"uid": "u", "resourceVersion": "7"}, "propagationPolicy": "Background"}),
        ({"keep_dependents": True}, {"preconditions": {"uid": "u"}, "propagationPolicy": "Orphan"}),
    ],
)
async def test_delete_is_of_one_uid(client: Client, script: Script, more: dict[str, bool], options: dict[str, str]) -> None:
    script.on("DELETE", CHAT, NAMED)
    await client.delete(APPS, "demo", "chat", "u", **more)  # type: ignore[arg-type]
    assert script.bodies("DELETE", CHAT) == [options]


@pytest.mark.parametrize("answer", [failure(404, "NotFound"), failure(409, "Conflict")])
async def test_deleting_a_missing_or_replaced_object_succeeds(client: Client, script: Script, answer: Reply) -> None:
    script.on("DELETE", CHAT, answer)
    await client.delete(APPS, "demo", "chat", "u")
    assert len(script.sent) == 1


async def test_a_forbidden_delete_raises(client: Client, script: Script) -> None:
    script.on("DELETE", CHAT, failure(403, "Forbidden"))
    with pytest.raises(errors.Denied):
        await client.delete(APPS, "demo", "chat", "u")


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (failure(409, "AlreadyExists", "apps chat exists"), errors.AlreadyExists, "apps chat exists"),
        (failure(429, "TooManyRequests"), errors.Unavailable, "TooManyRequests"),
        (Reply(200, b"<html>"), errors.Unavailable, "the answer is not JSON"),
        (Reply(cut=True), errors.Unavailable, f"POST {at(APPS)}"),
    ],
)
async def test_answer_is_an_error(client: Client, script: Script, answer: Reply, error: type[Exception], message: str) -> None:
    script.on("POST", at(APPS), answer)
    with pytest.raises(error, match=message):
        await client.create(APPS, given.app_manifest())


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, [1]),
        Reply(200, {}),
        Reply(200, {"metadata": {}}),
        Reply(200, b"<html>Sign in</html>"),
        Reply(200, b'{"metadata": {"name": "p"'),
        Reply(302, b"", {"Location": "https://login.test"}),
    ],
    ids=["a list", "an empty object", "no name", "HTML", "half of it", "a redirect"],
)
async def test_answer_that_is_no_object_is_none(client: Client, script: Script, answer: Reply) -> None:
    script.on("GET", at(PODS, "p"), answer).on("PATCH", at(PODS, "p"), answer).on("POST", at(PODS), answer)
    named = {"metadata": {"name": "p", "namespace": "demo"}}
    for asking in (
        client.get(PODS, "demo", "p"),
        client.patch(PODS, "demo", "p", {}),
        client.apply(PODS, named),
        client.create(PODS, named),
    ):
        with pytest.raises(errors.Unavailable):
            await asking


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_stopped_api_server_is_unavailable(tmp_path: Path, scheme: str) -> None:
    kubeconfig = tmp_path / "kubeconfig.yaml"
    with ScriptedServer(Script()) as server:
        kubeconfig.write_text(yaml.safe_dump(kubeconfig_of(server)).replace("http:", f"{scheme}:"))
    async with await Client.connect(kubeconfig) as client:
        with pytest.raises(errors.Unavailable):
            await client.get(APPS, "demo", "chat")


async def test_login_that_was_rotated_is_read_again_and_the_request_sent_once_more(tmp_path: Path) -> None:
    script = Script()
    script.on(
        "GET", CHAT, lambda sent: given.app_manifest() if sent.headers["Authorization"] == "Bearer new" else failure(401, "Unauthorized")
    )
    with ScriptedServer(script) as server:
        path = tmp_path / "kubeconfig.yaml"
        path.write_text(yaml.safe_dump(kubeconfig_of(server)))
        async with await Client.connect(path) as client:
            with pytest.raises(errors.Unavailable, match="credentials"):
                await client.get(APPS, "demo", "chat")
            assert client.is_refused
            path.write_text(yaml.safe_dump(kubeconfig_of(server)).replace("token-of-a-test", "new"))

            async def read() -> None:
                while client.is_refused:
                    with contextlib.suppress(errors.Unavailable):
                        assert await client.get(APPS, "demo", "chat") == given.app_manifest()
                    await asyncio.sleep(0.05)

            await asyncio.wait_for(read(), IN_TIME)
            path.unlink()
            assert await client.get(APPS, "demo", "chat") == given.app_manifest(), "what cannot be read leaves what was read"


async def test_workers_of_an_api_server_that_is_down_wait_until_it_answers_somebody(client: Client, script: Script) -> None:
    script.on("GET", CHAT, *([failure(503, "ServiceUnavailable")] * DOWN_AFTER), given.app_manifest())
    for _ in range(DOWN_AFTER):
        await asyncio.wait_for(client.until_answered(), IN_TIME)
        with pytest.raises(errors.Unavailable):
            await client.get(APPS, "demo", "chat")
    waiting = asyncio.create_task(client.until_answered())
    await asyncio.sleep(0)
    assert not waiting.done()
    await client.get(APPS, "demo", "chat")
    await asyncio.wait_for(waiting, IN_TIME)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("item", [None, "odd", {}, {"metadata": None}, {"metadata": {"uid": "u"}}])
async def test_list_with_an_item_that_is_no_object_is_no_list(client: Client, script: Script, item: object, at_once: bool) -> None:
    script.on("GET", at(ROWS), Reply(200, {"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": "a"}}, item]}))
    with pytest.raises(errors.Unavailable):
        assert [page async for page in client.pages(ROWS, "demo", at_once=at_once)]


@pytest.mark.parametrize("wrong_by", [timedelta(minutes=10), timedelta(days=-400)])
async def test_a_jump_of_the_local_clock_is_corrected_by_the_api_servers(
    client: Client, script: Script, tmp_path: Path, wrong_by: timedelta
) -> None:
    """With a clock that is minutes ahead, every deploy in progress would have failed."""
    script.on("GET", CHAT, given.app_manifest())
    jumped = timedelta(0)
    async with Client(Credentials.of(tmp_path / "kubeconfig.yaml", None), lambda: datetime.now(UTC) + jumped) as other:
        assert await other.get(APPS, "demo", "chat") == await client.get(APPS, "demo", "chat")
        assert other.now() <= datetime.now(UTC)
        jumped = wrong_by  # no answer has come since
        snapshot = await Process(other, script).observer.observe(("demo", "chat"))
        assert abs(snapshot.now - datetime.now(UTC)) < timedelta(seconds=5)


async def test_requests_that_hang_do_not_keep_the_lease_waiting(client: Client, script: Script) -> None:
    """The allowed number of requests at once waits for answers that never arrive."""
    going_on = threading.Event()

    def hang(_: Sent) -> Reply:
        going_on.wait(300)
        return Reply(200, given.app_manifest())

    script.on("GET", CHAT, hang).on("GET", at(ROWS, "a"), given.row_manifest("a"))
    hanging = [asyncio.create_task(client.get(APPS, "demo", "chat")) for _ in range(CONNECTIONS + 1)]
    try:
        async with client.apart() as apart, asyncio.timeout(240):
            assert await apart.get(ROWS, "demo", "a")
        assert not any(task.done() for task in hanging)
    finally:
        going_on.set()
        await asyncio.gather(*hanging)
