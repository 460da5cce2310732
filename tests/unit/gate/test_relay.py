"""Runs of outside programs of a sleeping App: the gate sends them to the recorder in its own name for that App, and wakes nothing."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dynamiq_operator.gate import relay
from dynamiq_operator.gate.limits import Limits
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.serving.limits import RUNS_MAX
from tests.support.gate_stage import HOST, PATIENCE, FakePod, GateStage
from tests.unit.support.certificates import serving_context

RUNS = b'{"runs": []}'
KEY = {"Authorization": "Bearer right"}


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("of-the-gate\n")
    return path


async def recorded(stage: GateStage, token: Path, answer: Any = None, **options: Any) -> tuple[int, FakePod]:
    """Starts a gate with a sleeping private App and a recorder. Returns the gate's port of that App, and the recorder."""
    port = stage.asleep(private=True)
    stage.keys("chat", "right")
    stage.wakeable()
    recorder = await (stage.pod(9, answer) if answer is not None else stage.pod(9))
    await stage.start(recorder=RecorderAccess(f"http://{recorder.address}:{recorder.port}", token), **options)
    return port, recorder


async def sent(stage: GateStage, port: int, body: Any = RUNS, path: str = "/v1/traces", **headers: str) -> tuple[int, Any, Any]:
    """Posts a body, and returns status, body and headers of the answer."""
    async with stage.session.post(f"http://{HOST}:{port}{path}", data=body, headers={**KEY, **headers}) as answer:
        return answer.status, await answer.json(), answer.headers


async def test_runs_reach_the_recorder_as_the_sleeping_apps_and_nothing_wakes(stage: GateStage, token: Path) -> None:
    port, _ = await recorded(stage, token)
    forged = {"X-Dynamiq-App-Id": "another", "X-Dynamiq-Token": "stolen", "Cookie": "a=b"}
    status, body, _ = await sent(stage, port, **forged, **{"Content-Type": "application/json"})
    assert (status, body["path"], body["body"]) == (200, "/v1/traces", RUNS.decode())
    headers = {name.lower(): value for name, value in body["headers"]}
    assert (headers["authorization"], headers["x-dynamiq-app-id"]) == ("Bearer of-the-gate", "uid-of-chat")
    assert headers["content-type"] == "application/json"
    assert not {"x-dynamiq-token", "cookie"} & headers.keys()
    await asyncio.to_thread(token.write_text, "a-new-one")
    _, body, _ = await sent(stage, port)
    assert ["Authorization", "Bearer a-new-one"] in body["headers"]
    assert not stage.wakes()


@pytest.mark.parametrize("header", ["Bearer wrong", ""])
async def test_a_caller_without_a_key_cannot_send_runs_of_the_app(stage: GateStage, token: Path, header: str) -> None:
    port, recorder = await recorded(stage, token)
    status, body, _ = await sent(stage, port, Authorization=header)
    assert (status, body["error"]["code"], recorder.calls) == (401, "unauthorized", [])


async def test_any_other_call_wakes_as_ever(stage: GateStage, token: Path) -> None:
    port, recorder = await recorded(stage, token)
    pod = await stage.pod()
    stage.on_wake = lambda _sent: stage.serving("chat", pod, ready=True)
    status, _, _ = await sent(stage, port, path="/v1/runs")
    async with stage.session.get(f"http://{HOST}:{port}/v1/traces", headers=KEY) as answer:
        assert answer.status == 200
    assert (status, len(pod.calls), recorder.calls, len(stage.wakes())) == (200, 2, [], 1)


async def test_without_a_recorder_the_response_is_no_recorder(stage: GateStage) -> None:
    port = stage.asleep(private=True)
    stage.keys("chat", "right")
    stage.wakeable()
    await stage.start()
    status, body, _ = await sent(stage, port)
    assert (status, body["error"]["code"]) == (501, "no_recorder")
    assert not stage.wakes()


async def test_runs_of_a_public_app_cannot_be_sent(stage: GateStage, token: Path) -> None:
    """Callers of a public App show no key: anybody could send runs."""
    port = stage.asleep()
    stage.wakeable()
    recorder = await stage.pod(9)
    await stage.start(recorder=RecorderAccess(f"http://{recorder.address}:{recorder.port}", token))
    status, body, _ = await sent(stage, port)
    assert (status, body["error"]["code"], recorder.calls, stage.wakes()) == (403, "public_app", [], [])


def answering(status: int, **headers: str) -> Any:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        async for _ in request.content.iter_any():
            pass
        return web.json_response({"error": {"code": "of_the_recorder"}}, status=status, headers=headers)

    return answer


async def test_a_body_that_is_too_large_is_refused_with_and_without_a_length(stage: GateStage, token: Path) -> None:
    port, _ = await recorded(stage, token, answering(200))
    assert (await sent(stage, port, b"x" * RUNS_MAX))[0] == 200

    async def chunks() -> Any:
        for _ in range(RUNS_MAX // 65536 + 2):
            yield b"x" * 65536

    with contextlib.suppress(OSError):
        status, body, _ = await sent(stage, port, b"x" * (RUNS_MAX + 1))
        assert (status, body["error"]["code"]) == (413, "body_too_large")
    status, body, _ = await sent(stage, port, chunks())
    assert (status, body["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("answer", "status", "code", "retry"),
    [
        (answering(429, **{"Retry-After": "7"}), 429, "of_the_recorder", "7"),
        (answering(400), 400, "of_the_recorder", None),
        (answering(403), 403, "of_the_recorder", None),
        (answering(401), 503, "recorder_away", "5"),
        (answering(500), 503, "recorder_away", "5"),
        (answering(302, Location="http://elsewhere.test/"), 503, "recorder_away", "5"),
    ],
)
async def test_responses_of_the_recorder_are_forwarded_but_for_errors_about_the_gate(
    stage: GateStage, token: Path, answer: Any, status: int, code: str, retry: str | None
) -> None:
    port, _ = await recorded(stage, token, answer)
    found, body, headers = await sent(stage, port)
    assert (found, body["error"]["code"], headers.get("Retry-After")) == (status, code, retry)


async def test_a_recorder_that_is_away_and_a_token_that_is_missing_are_to_be_tried_again(stage: GateStage, token: Path) -> None:
    port, recorder = await recorded(stage, token)
    await recorder.stop()
    assert (await sent(stage, port))[:1] == (503,)
    await recorder.start()
    assert (await sent(stage, port))[:1] == (200,)
    await asyncio.to_thread(token.unlink)
    status, body, headers = await sent(stage, port)
    assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "recorder_away", "5")


async def test_a_body_that_comes_slowly_never_reaches_the_recorder(stage: GateStage, token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "BEGINS_WITHIN", 0.2)
    port, recorder = await recorded(stage, token)

    async def slowly() -> Any:
        yield b"{"
        await asyncio.Event().wait()

    status, body, _ = await sent(stage, port, slowly())
    assert (status, body["error"]["code"], recorder.calls) == (408, "body_too_slow", [])


async def test_one_app_takes_no_room_for_bodies_that_others_need(stage: GateStage, token: Path) -> None:
    """The App has half of its namespace's half. Another namespace has half of the rest, where a whole body fits."""
    port, recorder = await recorded(stage, token, answering(200), limits=Limits(runs=8 * RUNS_MAX))
    beside, apart = stage.asleep("beside", private=True), stage.asleep("apart", private=True, namespace="other")
    stage.keys("beside", "right")
    stage.keys("apart", "right", namespace="other")

    async def unfinished() -> Any:
        for _ in range(64):
            yield b"x" * (RUNS_MAX // 64 - 16)
        await asyncio.Event().wait()

    coming = [asyncio.create_task(sent(stage, port, unfinished())) for _ in range(4)]
    done, _ = await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
    assert {(task.result()[0], task.result()[1]["error"]["code"]) for task in done} == {(429, "too_many_requests")}
    for each in (beside, apart):
        await stage.until("its keys are known", lambda each=each: is_known(stage, each))  # type: ignore[misc]
        assert (await sent(stage, each, b"x" * RUNS_MAX))[0] == 200
    assert {call.headers["X-Dynamiq-App-Id"] for call in recorder.calls} == {"uid-of-beside", "uid-of-apart"}
    for task in coming:
        task.cancel()


async def is_known(stage: GateStage, port: int) -> bool:
    """Returns True if the gate accepts a call with the right key at a port."""
    try:
        return (await sent(stage, port))[0] == 200
    except OSError:
        return False


async def test_a_caller_who_leaves_is_waited_for_no_longer(stage: GateStage, token: Path) -> None:
    reached, left = asyncio.Event(), asyncio.Event()

    async def never(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    port, _ = await recorded(stage, token, never)
    posting = asyncio.create_task(sent(stage, port))
    await reached.wait()
    posting.cancel()
    async with asyncio.timeout(PATIENCE):
        await left.wait()


@pytest.mark.parametrize(("is_trusted", "status"), [(True, 200), (False, 503)])
async def test_a_recorder_of_an_authority_of_ones_own_is_trusted_where_that_is_named(
    stage: GateStage, token: Path, tmp_path: Path, is_trusted: bool, status: int
) -> None:
    context, ca = serving_context(tmp_path)
    runner = web.ServerRunner(web.Server(answering(200)))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    port = stage.asleep(private=True)
    stage.keys("chat", "right")
    stage.wakeable()
    await stage.start(recorder=RecorderAccess(f"https://127.0.0.1:{runner.addresses[0][1]}", token, ca if is_trusted else None))
    assert (await sent(stage, port))[0] == status
    await runner.cleanup()
