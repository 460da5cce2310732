"""A call to a sleeping App wakes it, waits, and gets the answer of the pod."""

from __future__ import annotations

import asyncio

import aiohttp

from tests.support.gate_stage import HOST, ME, OTHER, FakePod, GateStage
from tests.support.scripted import Reply, Sent, failure


async def call(stage: GateStage, port: int, path: str = "/", **options: object) -> tuple[int, str]:
    async with stage.session.post(f"http://{HOST}:{port}{path}", **options) as answer:  # type: ignore[arg-type]
        return answer.status, await answer.text()


def appears(stage: GateStage, pod: FakePod, *, ready: bool = False, app: str = "chat") -> None:
    """Adds the pod to its Service's slice after a wake."""

    def woken(_sent: Sent) -> None:
        stage.serving(app, pod, ready=ready)

    stage.on_wake = woken
    stage.wakeable(app)


async def test_twenty_calls_wake_it_once_and_are_all_answered(stage: GateStage) -> None:
    port, pod = stage.asleep(), await stage.pod()
    appears(stage, pod)
    await stage.start()
    found = await asyncio.gather(*(call(stage, port, f"/{number}") for number in range(20)))
    assert [status for status, _ in found] == [200] * 20
    assert len(stage.wakes()) == 1
    assert stage.wakes()[0].body == {"spec": {"replicas": 1}}
    metrics = await stage.metrics()
    assert metrics['dynamiq_gate_woken_total{app="chat",namespace="team"}'] == 1
    assert metrics['dynamiq_gate_forwarded_total{app="chat",namespace="team"}'] == 20
    assert metrics['dynamiq_gate_held{app="chat",namespace="team"}'] == 0
    assert metrics["dynamiq_gate_wake_duration_seconds_count"] == 1


async def test_no_call_is_sent_before_the_pod_is_ready(stage: GateStage) -> None:
    port, pod = stage.asleep(), await stage.pod(ready=False)
    appears(stage, pod)
    await stage.start()
    waiting = asyncio.create_task(call(stage, port))

    async def asked() -> bool:
        return pod.asked > 3

    await stage.until("the pod is asked", asked)
    assert not pod.calls
    pod.ready = True
    assert (await waiting)[0] == 200
    assert len(pod.calls) == 1


async def test_a_pod_that_does_not_listen_yet_is_probed_until_it_does(stage: GateStage) -> None:
    port, pod = stage.asleep(), await stage.pod(started=False)
    appears(stage, pod)
    await stage.start()
    waiting = asyncio.create_task(call(stage, port))

    async def woken() -> bool:
        return bool(stage.wakes())

    await stage.until("it is woken", woken)
    await pod.start()
    assert (await waiting)[0] == 200


async def test_a_caller_who_cannot_be_served_in_time_gets_503(stage: GateStage) -> None:
    port = stage.asleep(holdSeconds=1)
    stage.wakeable()
    await stage.start()
    async with stage.session.post(f"http://{HOST}:{port}/") as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert (await answer.json())["error"]["code"] == "starting"
    assert len(stage.wakes()) == 1


async def test_a_wake_is_tried_again_while_the_api_server_is_away(stage: GateStage) -> None:
    port, pod = stage.asleep(), await stage.pod()
    tries: list[Sent] = []

    def woken(sent: Sent) -> Reply | None:
        tries.append(sent)
        if len(tries) < 4:
            return Reply(cut=True)
        stage.serving("chat", pod, ready=False)
        return None

    stage.on_wake = woken
    stage.wakeable()
    await stage.start()
    assert (await call(stage, port))[0] == 200
    assert len(tries) == 4


async def test_an_app_that_somebody_else_woke_is_waited_for(stage: GateStage) -> None:
    port = stage.asleep(holdSeconds=1)
    stage.on_wake = lambda _sent: failure(422, "Invalid", "denied request: the gate scales from 0 to 1")
    stage.wakeable()
    await stage.start()
    assert (await call(stage, port))[0] == 503
    assert len(stage.wakes()) == 1
    assert "dynamiq_gate_woken_total" not in "".join(await stage.metrics())


async def test_an_app_that_is_awake_is_not_woken(stage: GateStage) -> None:
    port, pod = stage.asleep(), await stage.pod()
    stage.serving("chat", pod)
    await stage.start()
    assert (await call(stage, port))[0] == 200
    assert not stage.wakes()


async def test_pods_that_end_get_no_call(stage: GateStage) -> None:
    port, old, new = stage.asleep(), await stage.pod(2), await stage.pod(3)
    stage.serving("chat", old, terminating=True)
    appears(stage, new)
    await stage.start()
    assert (await call(stage, port))[0] == 200
    assert (len(old.calls), len(new.calls)) == (0, 1)


async def test_a_caller_who_leaves_frees_its_place(stage: GateStage) -> None:
    port = stage.asleep(holdSeconds=600)
    stage.wakeable()
    await stage.start()
    waiting = [asyncio.create_task(call(stage, port)) for _ in range(3)]

    async def held(count: int) -> bool:
        return (await stage.metrics()).get('dynamiq_gate_held{app="chat",namespace="team"}') == count

    await stage.until("three are held", lambda: held(3))
    for task in waiting:
        task.cancel()
    await stage.until("none is held", lambda: held(0))


async def test_one_who_leaves_in_the_middle_of_a_large_body_frees_its_place(stage: GateStage) -> None:
    port = stage.asleep(holdSeconds=600)
    stage.wakeable()
    await stage.start()
    _, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"POST / HTTP/1.1\r\nHost: chat\r\nContent-Length: 900000\r\n\r\n" + b"x" * 100_000)

    async def held(count: int) -> bool:
        return (await stage.metrics()).get('dynamiq_gate_held{app="chat",namespace="team"}') == count

    await stage.until("it is held", lambda: held(1))
    writer.transport.abort()
    await stage.until("it is held no longer", lambda: held(0))


async def test_beyond_the_limit_of_an_app_callers_get_429_and_other_apps_are_served(stage: GateStage) -> None:
    from dynamiq_operator.gate.limits import Limits

    slow, quick, pod = stage.asleep("slow"), stage.asleep("quick"), await stage.pod()
    stage.wakeable("slow")
    stage.serving("quick", pod)
    await stage.start(limits=Limits(held=5))
    waiting = [asyncio.create_task(call(stage, slow)) for _ in range(5)]

    async def held() -> bool:
        return (await stage.metrics()).get('dynamiq_gate_held{app="slow",namespace="team"}') == 5

    await stage.until("five are held", held)
    async with stage.session.post(f"http://{HOST}:{slow}/") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (429, "too_many_requests")
        assert "Retry-After" in answer.headers
    assert (await call(stage, quick))[0] == 200
    assert (await stage.metrics())['dynamiq_gate_refused_total{app="slow",code="too_many_requests",namespace="team"}'] == 1
    for task in waiting:
        task.cancel()


async def test_a_namespace_whose_apps_never_wake_takes_no_call_from_another(stage: GateStage) -> None:
    from dynamiq_operator.gate.limits import Limits

    never = [stage.asleep(f"never-{number}", namespace="evil", holdSeconds=3600) for number in range(5)]
    for number in range(5):
        stage.wakeable(f"never-{number}", namespace="evil")
    port, pod = stage.asleep(), await stage.pod(ready=False)
    appears(stage, pod)
    await stage.start(limits=Limits(held=10, under_way=40))
    waiting = [asyncio.create_task(call(stage, each)) for each in never * 10]

    async def held(count: int, label: str) -> bool:
        metrics = await stage.metrics()
        return sum(value for name, value in metrics.items() if name.startswith("dynamiq_gate_held") and label in name) == count

    await stage.until("half of all are held", lambda: held(20, 'namespace="evil"'))
    refused = {(status, "busy" in body) for status, body in [task.result() for task in waiting if task.done()]}
    assert refused == {(503, True)}
    beside = [asyncio.create_task(call(stage, port)) for _ in range(10)]
    await stage.until("all of the other namespace are held", lambda: held(10, 'namespace="team"'))
    pod.ready = True
    assert [status for status, _ in await asyncio.gather(*beside)] == [200] * 10
    for task in waiting:
        task.cancel()


async def test_an_app_that_could_not_be_woken_for_long_holds_fewer_calls_until_it_is_awake(stage: GateStage) -> None:
    from dynamiq_operator.gate.limits import Limits

    port, pod = stage.asleep(holdSeconds=600), await stage.pod()
    stage.wakeable()
    now = [1000.0]
    await stage.start(limits=Limits(held=6, failing=2, fails_after=60.0), clock=lambda: now[0])
    waiting = [asyncio.create_task(call(stage, port)) for _ in range(3)]

    async def three() -> bool:
        return (await stage.metrics()).get('dynamiq_gate_held{app="chat",namespace="team"}') == 3

    await stage.until("three are held", three)
    now[0] += 60.0

    async def is_refused() -> bool:
        try:
            async with asyncio.timeout(0.5):
                status, body = await call(stage, port)
        except TimeoutError:
            return False  # it was held
        return status == 429 and "too_many_requests" in body

    await stage.until("one more is refused", is_refused)
    stage.serving("chat", pod)
    assert [status for status, _ in await asyncio.gather(*waiting)] == [200] * 3, "who was held before is held on"
    stage.serving("chat")

    async def three_again() -> bool:
        # A call that comes before the gate sees the pod go is answered: another one takes its place.
        waiting[:] = [task for task in waiting if not task.done()]
        waiting.extend(asyncio.create_task(call(stage, port)) for _ in range(3 - len(waiting)))
        return await three()

    await stage.until("as many as ever are held", three_again)
    for task in waiting:
        task.cancel()


async def test_at_most_as_many_as_a_pod_takes_at_once_are_handed_to_it(stage: GateStage) -> None:
    may_end, most, now = asyncio.Event(), 0, 0

    async def slow(request: aiohttp.web.BaseRequest) -> aiohttp.web.StreamResponse:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await may_end.wait()
        now -= 1
        return aiohttp.web.Response(text="done")

    port, pod = stage.asleep(atOnce=7), await stage.pod(answer=slow)
    stage.serving("chat", pod)
    stage.replicas(ME, OTHER)  # who has the other half
    await stage.start()
    waiting = [asyncio.create_task(call(stage, port)) for _ in range(10)]

    async def full() -> bool:
        return now == 3 and (await stage.metrics()).get('dynamiq_gate_held{app="chat",namespace="team"}') == 7

    await stage.until("three are at the pod and the others wait", full)
    may_end.set()
    assert await asyncio.gather(*waiting) == [(200, "done")] * 10
    assert most == 3


async def test_an_app_whose_pod_is_on_its_way_is_not_woken_again(stage: GateStage) -> None:
    port, pod = stage.asleep(), await stage.pod(ready=False)
    stage.serving("chat", pod, ready=False)
    stage.wakeable()
    await stage.start()
    waiting = asyncio.create_task(call(stage, port))

    async def asked() -> bool:
        return pod.asked > 3

    await stage.until("the pod is asked", asked)
    assert not stage.wakes()
    pod.ready = True
    assert (await waiting)[0] == 200


async def test_a_pod_that_is_no_longer_ready_is_probed_again(stage: GateStage) -> None:
    """Its container may have been restarted at the same address: its earlier readiness does not count."""
    port, pod = stage.asleep(), await stage.pod()
    stage.serving("chat", pod, ready=False)
    await stage.start()
    assert (await call(stage, port))[0] == 200  # it said so itself
    stage.serving("chat", pod)
    assert (await call(stage, port))[0] == 200  # and Kubernetes knows
    pod.ready = False
    stage.serving("chat", pod, ready=False)

    async def refused() -> bool:
        probes, called = pod.asked, len(pod.calls)
        waiting = asyncio.create_task(call(stage, port))
        await asyncio.sleep(0.2)  # in which it would be answered
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return pod.asked > probes and len(pod.calls) == called

    await stage.until("it is asked, and called no more", refused)
