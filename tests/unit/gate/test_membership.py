"""The endpoints in the slices of sleeping Apps: each replica that serves them, and no dead replica."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dynamiq_operator.gate.front import FORGOTTEN_AFTER
from dynamiq_operator.model import names
from tests.support.gate_stage import HOST, ME, NAMESPACE, OTHER, GateStage, member
from tests.support.ports import gate_port
from tests.support.scripted import failure


async def members(stage: GateStage, wanted: list[str], app: str = "chat") -> None:
    async def so() -> bool:
        return stage.endpoints(app) == wanted

    await stage.until(f"{wanted} are in the slice of {app}", so)


async def answers(stage: GateStage, port: int) -> bool:
    try:
        async with stage.session.get(f"http://{HOST}:{port}/readyz") as answer:
            return answer.status == 200
    except OSError:
        return False


async def test_a_replica_joins_once_its_port_answers_and_is_ready_then(stage: GateStage) -> None:
    ports = [stage.asleep(app) for app in ("one", "two", "three")]
    await stage.start()
    for app, port in zip(("one", "two", "three"), ports, strict=True):
        assert stage.endpoints(app) == ["gate-a"]
        assert await answers(stage, port)
    written = stage.script.writes()[0].body
    assert written["endpoints"] == [member(ME)]


async def test_a_slice_that_comes_later_is_joined(stage: GateStage) -> None:
    await stage.start()
    port = stage.asleep()
    await members(stage, ["gate-a"])
    assert await answers(stage, port)


async def test_another_replica_stays(stage: GateStage) -> None:
    stage.asleep(endpoints=[member(OTHER)])
    stage.replicas(ME, OTHER)
    await stage.start()
    await members(stage, ["gate-b", "gate-a"])


async def test_the_address_of_a_dead_replica_is_removed_after_a_while(stage: GateStage) -> None:
    stage.asleep(endpoints=[member(OTHER)])
    stage.replicas(ME, unready=(OTHER,))
    await stage.start(dead_after=2.0)
    await members(stage, ["gate-a"])
    joined, *_ = stage.script.writes()
    assert [each["targetRef"]["name"] for each in joined.body["endpoints"]] == ["gate-b", "gate-a"], "it was not dead for long enough"


async def test_no_address_is_removed_while_no_replica_is_known_to_be_ready(stage: GateStage) -> None:
    stage.asleep(endpoints=[member(OTHER)])
    await stage.start(dead_after=0.1)
    await asyncio.sleep(1)  # longer than a dead one is waited for
    assert stage.endpoints() == ["gate-b", "gate-a"]


async def test_an_address_of_its_own_that_somebody_else_had_is_taken_over(stage: GateStage) -> None:
    """A deleted pod had the address, and left it in the slice."""
    stage.asleep(endpoints=[{**member(ME), "targetRef": member(OTHER)["targetRef"]}])
    await stage.start()
    assert stage.endpoints() == ["gate-a"]


async def test_a_write_that_met_a_newer_version_is_decided_anew(stage: GateStage) -> None:
    await stage.start()
    refusals: list[int] = []

    def conflicting(sent: Any) -> Any:
        if not refusals:
            refusals.append(1)
            return failure(409, "Conflict")
        return stage.patched(sent)

    stage.asleep(patched=conflicting)
    await members(stage, ["gate-a"])
    assert refusals


async def test_a_removed_slice_does_not_give_its_port_back_at_once(stage: GateStage) -> None:
    port, pod = stage.asleep(), await stage.pod()
    stage.serving("chat", pod)
    await stage.start(unbound_after=3600.0)
    stage.remove(names.gate_slice("chat"))
    stage.asleep("later")
    await members(stage, ["gate-a"], "later")  # which it heard of after that
    async with stage.session.post(f"http://{HOST}:{port}/", data=b"{}") as answer:
        assert answer.status == 200  # somebody who has not heard of it


async def test_a_removed_slice_gives_its_port_back(stage: GateStage) -> None:
    port = stage.asleep()
    await stage.start(unbound_after=0.1)
    stage.remove(names.gate_slice("chat"))

    async def unbound() -> bool:
        return not await answers(stage, port)

    await stage.until("the port is unbound", unbound)


async def test_the_series_of_an_app_are_dropped_a_day_after_its_port_was_unbound(stage: GateStage) -> None:
    ports = {app: stage.asleep(app) for app in ("chat", "deleted", "woken")}
    now = [1000.0]
    await stage.start(unbound_after=4.0, clock=lambda: now[0])
    for app, port in ports.items():
        stage.serving(app, await stage.pod())
        async with stage.session.post(f"http://{HOST}:{port}/", data=b"{}") as answer:
            assert answer.status == 200
    stage.remove(names.gate_slice("deleted"))
    stage.remove(names.gate_slice("woken"))

    async def is_alone() -> bool:
        return (await stage.metrics())["dynamiq_gate_apps"] == 1

    async def are_unbound() -> bool:
        return not any([await answers(stage, ports[app]) for app in ("deleted", "woken")])

    async def with_series() -> list[str]:
        return [app for app in ports if f'dynamiq_gate_forwarded_total{{app="{app}",namespace="{NAMESPACE}"}}' in await stage.metrics()]

    async def is_forgotten() -> bool:
        return await with_series() == ["chat", "woken"]

    await stage.until("one App is left", is_alone)
    now[0] += 4.0
    await stage.until("the ports are unbound", are_unbound)
    stage.asleep("woken")
    await members(stage, ["gate-a"], "woken")
    assert await with_series() == ["chat", "deleted", "woken"]
    now[0] += FORGOTTEN_AFTER
    await stage.until("the App that did not come back is forgotten", is_forgotten)


async def test_a_deletion_without_an_event_is_found(stage: GateStage) -> None:
    port = stage.asleep()
    await stage.start(unbound_after=0.1)
    stage.lose(names.gate_slice("chat"))
    stage.break_watches()

    async def unbound() -> bool:
        return not await answers(stage, port)

    await stage.until("the port is unbound", unbound)


async def test_the_older_of_two_slices_with_one_port_is_served(stage: GateStage) -> None:
    port = gate_port()
    stage.asleep("old", gate_port=port, created="2026-01-01T00:00:00Z")
    stage.asleep("young", gate_port=port, created="2026-01-01T00:00:09Z")
    await stage.start()
    assert (stage.endpoints("old"), stage.endpoints("young")) == (["gate-a"], [])


async def test_a_port_that_another_app_had_is_not_given_on_at_once(stage: GateStage) -> None:
    """Callers who still connect to that port are callers of the App that had it."""
    port, one, two = stage.asleep("one"), await stage.pod(2), await stage.pod(3)
    stage.serving("one", one)
    stage.serving("two", two)
    now = [1000.0]
    await stage.start(unbound_after=4.0, clock=lambda: now[0])
    stage.remove(names.gate_slice("one"))
    stage.asleep("two", gate_port=port)
    stage.asleep("later")
    await members(stage, ["gate-a"], "later")  # which it heard of after that
    async with stage.session.post(f"http://{HOST}:{port}/", data=b"{}") as answer:
        assert answer.status == 200
    assert (len(one.calls), len(two.calls)) == (1, 0)
    now[0] += 4.0
    await members(stage, ["gate-a"], "two")
    async with stage.session.post(f"http://{HOST}:{port}/", data=b"{}") as answer:
        assert answer.status == 200
    assert (len(one.calls), len(two.calls)) == (1, 1)


@pytest.mark.parametrize(
    "given",
    [{"gate_port": 8081}, {"holdSeconds": 0}, {"workload": None}, {"readyPath": "/x\r\nHost: y"}],
    ids=["port", "no time", "no workload", "path"],
)
async def test_an_invalid_slice_is_ignored_and_others_are_served(stage: GateStage, given: dict[str, Any]) -> None:
    stage.asleep("odd", **given)
    stage.asleep("chat")
    await stage.start()
    assert (stage.endpoints("odd"), stage.endpoints("chat")) == ([], ["gate-a"])


async def test_one_that_ends_leaves_where_another_is_and_lets_its_calls_end(stage: GateStage) -> None:
    port = stage.asleep(endpoints=[member(OTHER)])
    stage.replicas(ME, OTHER)
    stage.wakeable()
    pod = await stage.pod()
    await stage.start()
    waiting = asyncio.create_task(stage.session.post(f"http://{HOST}:{port}/", data=b"{}").__aenter__())

    async def woken() -> bool:
        return bool(stage.wakes())

    await stage.until("the App is woken", woken)
    stage.begin_stop()
    await members(stage, ["gate-b"])
    assert not await stage.is_ready()
    assert not stage.has_ended
    stage.serving("chat", pod)
    assert (await waiting).status == 200
    await stage.stop()


async def test_the_last_one_stays_until_the_app_is_awake(stage: GateStage) -> None:
    """The gate has to answer until the operator wakes the App and removes the slice."""
    port = stage.asleep()
    await stage.start()
    stage.begin_stop()
    await asyncio.sleep(1)  # in which it would have left
    assert stage.endpoints() == ["gate-a"]
    assert await answers(stage, port)
    stage.remove(names.gate_slice("chat"))
    await stage.stop()


@pytest.mark.parametrize("lingers", [0.0, 5.0], ids=["while they are waited for", "before they are waited for"])
async def test_calls_that_do_not_end_in_time_are_cut_off(stage: GateStage, lingers: float) -> None:
    port = stage.asleep(endpoints=[member(OTHER)])
    stage.replicas(ME, OTHER)
    stage.wakeable()
    await stage.start(finish_within=1.0, lingers=lingers)
    waiting = asyncio.create_task(stage.session.post(f"http://{HOST}:{port}/", data=b"{}").__aenter__())

    async def woken() -> bool:
        return bool(stage.wakes())

    await stage.until("the App is woken", woken)
    await stage.stop()
    with pytest.raises(Exception, match="disconnected"):
        await waiting


async def test_known_slices_stay_while_the_api_server_is_unavailable(stage: GateStage) -> None:
    port, pod = stage.asleep(), await stage.pod()
    stage.serving("chat", pod)
    await stage.start()
    stage.go_away()
    for _ in range(3):
        async with stage.session.post(f"http://{HOST}:{port}/", data=b"{}") as answer:
            assert answer.status == 200
        await asyncio.sleep(0.3)  # meanwhile lists and watches fail


async def test_metrics_have_no_text_of_a_stranger(stage: GateStage) -> None:
    port = stage.asleep("chat", app_label='x"} 1\nevil{a="')
    await stage.start()
    async with stage.session.get(f"http://{HOST}:{port}/readyz") as answer:
        assert answer.status == 200
    stage.wakeable()
    async with stage.session.request("CONNECT", f"http://{HOST}:{port}/") as answer:
        assert answer.status == 405
    metrics = await stage.metrics()
    assert not [name for name in metrics if "evil" in name]
    assert metrics['dynamiq_gate_refused_total{app="other",code="method_not_allowed",namespace="team"}'] == 1
