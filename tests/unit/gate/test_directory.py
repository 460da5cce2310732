"""The gate's directory follows the API server, slice by slice. Unreadable answers do not empty it."""

from __future__ import annotations

import asyncio

import aiohttp

from dynamiq_operator.kube.resources import SLICES
from dynamiq_operator.model import names
from tests.support.gate_stage import HOST, NAMESPACE, GateStage
from tests.support.scripted import Reply, failure


async def answered_by(stage: GateStage, port: int) -> str:
    async with stage.session.post(f"http://{HOST}:{port}/", data=b"{}") as answer:
        assert answer.status == 200
        return str(next(value for name, value in (await answer.json())["headers"] if name == "Host"))


async def test_pods_are_those_of_all_slices_of_the_service(stage: GateStage) -> None:
    port, one, two = stage.asleep(), await stage.pod(2), await stage.pod(3)
    stage.serving("chat", one)
    stage.serving("chat", two, name="chat-second")
    await stage.start()
    for _ in range(20):
        async with stage.session.post(f"http://{HOST}:{port}/", data=b"{}") as answer:
            assert answer.status == 200
    await asyncio.gather(*(answered_by(stage, port) for _ in range(20)))
    assert one.calls
    assert two.calls
    stage.remove("chat-abcde")

    async def forgotten() -> bool:
        before = len(one.calls)  # each time: the gate may not have heard of it when the first call comes
        await asyncio.gather(*(answered_by(stage, port) for _ in range(10)))
        return len(one.calls) == before

    await stage.until("only the other slice's pod is called", forgotten)


async def test_slices_that_somebody_else_keeps_for_the_service_lead_nowhere(stage: GateStage) -> None:
    port, theirs, pod = stage.asleep(), await stage.pod(2), await stage.pod(3)
    stage.serving("chat", theirs, name="chat-theirs", manager="somebody")
    stage.on_wake = lambda _sent: stage.serving("chat", pod, ready=False)
    stage.wakeable()
    await stage.start()
    await answered_by(stage, port)
    assert (len(theirs.calls), len(pod.calls)) == (0, 1)


async def test_an_error_of_a_list_or_a_watch_empties_nothing(stage: GateStage) -> None:
    port, pod = stage.asleep(), await stage.pod()
    stage.serving("chat", pod)
    await stage.start()
    stage.script.on(
        "GET", SLICES.path(), failure(500, "InternalError"), failure(403, "Forbidden"), {"kind": "Nonsense"}, Reply(body=b"half of a te")
    )
    stage.break_watches()

    async def asked() -> bool:
        return len([sent for sent in stage.script.sent if sent.path == SLICES.path()]) > 5

    await stage.until("it was listed in vain", asked)
    await answered_by(stage, port)
    assert stage.endpoints() == ["gate-a"]


async def test_a_version_that_is_too_old_is_listed_anew(stage: GateStage) -> None:
    await stage.start()
    stage.break_watches()
    stage.asleep()

    async def joined() -> bool:
        return stage.endpoints() == ["gate-a"]

    await stage.until("what came in between is found", joined)


async def test_keys_that_change_count_at_once(stage: GateStage) -> None:
    port, pod = stage.asleep(private=True), await stage.pod()
    stage.serving("chat", pod)
    stage.keys("chat", "old")
    await stage.start()
    stage.keys("chat", "new")

    async def status(key: str) -> int:
        async with stage.session.post(f"http://{HOST}:{port}/", headers={"Authorization": f"Bearer {key}"}) as answer:
            return answer.status

    async def taken() -> bool:
        return (await status("new"), await status("old")) == (200, 401)

    await stage.until("the new key opens, and the old one does not", taken)


async def test_an_app_without_a_slice_for_its_pods_is_woken(stage: GateStage) -> None:
    port, pod = stage.asleep(), await stage.pod()
    stage.serving("chat")
    stage.on_wake = lambda _sent: stage.serving("chat", pod)
    stage.wakeable()
    await stage.start()
    await answered_by(stage, port)
    assert stage.wakes()[0].path.endswith(f"/namespaces/{NAMESPACE}/deployments/chat/scale")
    assert stage.wakes()[0].query == {"fieldManager": names.GATE_MANAGER}


async def test_a_connection_stays_with_its_app_when_another_app_gets_the_port(stage: GateStage) -> None:
    pod = await stage.pod()
    port = stage.asleep("one")
    stage.serving("two", pod)
    await stage.start(unbound_after=0.0)
    reader, writer = await asyncio.open_connection(HOST, port)
    stage.remove(names.gate_slice("one"))
    stage.asleep("two", gate_port=port)

    async def is_the_others() -> bool:
        try:
            async with stage.session.get(f"http://{HOST}:{port}/healthz") as answer:
                return bool(await answer.json() != {"status": "asleep"})
        except aiohttp.ClientError:  # it is nobody's for a moment
            return False

    await stage.until("the port is the other App's", is_the_others)
    pod.calls.clear()
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
    assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
    assert not pod.calls
    writer.close()
