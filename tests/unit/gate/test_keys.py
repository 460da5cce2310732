"""Callers of a private sleeping App: nobody without a key of that App wakes it."""

from __future__ import annotations

import pytest

from dynamiq_operator.kube.resources import WORKLOADS
from dynamiq_operator.model import names
from tests.support.gate_stage import HOST, NAMESPACE, GateStage


async def test_without_a_key_or_with_a_wrong_one_it_is_401_and_nothing_wakes(stage: GateStage) -> None:
    port = stage.asleep(private=True)
    stage.keys("chat", "right", "other")
    stage.wakeable()
    await stage.start()
    for header in (None, "Bearer wrong", "Basic right", "Bearer ", "Bearer right2", "right"):
        async with stage.session.post(f"http://{HOST}:{port}/", headers={"Authorization": header} if header else {}) as answer:
            assert answer.status == 401, header
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert (await answer.json())["error"]["code"] == "unauthorized"
    assert not stage.wakes()
    assert (await stage.metrics())['dynamiq_gate_refused_total{app="chat",code="unauthorized",namespace="team"}'] == 6


@pytest.mark.parametrize("header", ["Bearer right", "bearer  other "])
async def test_each_of_its_keys_opens(stage: GateStage, header: str) -> None:
    port, pod = stage.asleep(private=True), await stage.pod()
    stage.keys("chat", "right", "other")
    stage.on_wake = lambda _sent: stage.serving("chat", pod, ready=False)
    stage.wakeable()
    await stage.start()
    async with stage.session.post(f"http://{HOST}:{port}/", headers={"Authorization": header}) as answer:
        assert answer.status == 200
    assert pod.calls[0].headers["Authorization"] == header.rstrip()


async def test_a_private_app_whose_keys_are_not_known_is_not_passed_through(stage: GateStage) -> None:
    """It is so even while its pods exist. No slice lists the gate before it knows the keys."""
    port, pod = stage.asleep(private=True), await stage.pod()
    stage.serving("chat", pod)
    await stage.start()
    async with stage.session.post(f"http://{HOST}:{port}/", headers={"Authorization": "Bearer any"}) as answer:
        assert (answer.status, int(answer.headers["Retry-After"]) > 0) == (503, True)
    assert not pod.calls
    assert stage.endpoints() == []


async def test_an_app_without_keys_refuses_every_caller(stage: GateStage) -> None:
    port = stage.asleep(private=True)
    stage.keys("chat")
    await stage.start()
    async with stage.session.post(f"http://{HOST}:{port}/", headers={"Authorization": "Bearer any"}) as answer:
        assert answer.status == 401


async def test_keys_of_another_namespace_do_not_open(stage: GateStage) -> None:
    port = stage.asleep(private=True)
    stage.keys("chat", "right")
    stage.secrets[0]["metadata"]["name"] = "keys-of-somebody"
    await stage.start()
    async with stage.session.post(f"http://{HOST}:{port}/", headers={"Authorization": "Bearer right"}) as answer:
        assert answer.status == 503


@pytest.mark.parametrize(("uid", "status"), [("uid-of-chat", 200), ("uid-of-one-before", 503)])
async def test_keys_of_an_app_that_had_the_name_before_do_not_open(stage: GateStage, uid: str, status: int) -> None:
    port = stage.asleep(private=True)
    stage.serving("chat", await stage.pod())
    stage.keys("chat", "right")
    stage.secrets[0]["metadata"]["annotations"] = {names.KEYS_OF_ANNOTATION: f"{NAMESPACE}/chat/{uid}"}
    await stage.start()
    async with stage.session.post(f"http://{HOST}:{port}/", headers={"Authorization": "Bearer right"}) as answer:
        assert answer.status == status


async def test_probes_need_no_key_and_wake_nothing(stage: GateStage) -> None:
    port = stage.asleep(private=True)
    stage.keys("chat", "right")
    await stage.start()
    for path in ("/healthz", "/readyz"):
        async with stage.session.get(f"http://{HOST}:{port}{path}") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "asleep"})
    assert not [sent for sent in stage.script.sent if sent.path.startswith(WORKLOADS.path(NAMESPACE))]


async def test_a_probe_just_after_the_last_pod_ended_is_not_queued(stage: GateStage) -> None:
    """A probe that was held would wake the App once Kubernetes reports the pod's end."""
    port, gone = stage.asleep(private=True, holdSeconds=1), await stage.pod(started=False)
    stage.keys("chat", "right")
    stage.serving("chat", gone)
    await stage.start()
    async with stage.session.get(f"http://{HOST}:{port}/readyz") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "asleep"})


async def test_a_wrong_key_is_noted_in_the_slice_once_in_a_while_and_a_missing_one_is_not(stage: GateStage) -> None:
    """The operator, which may not watch Secrets, then checks whether the App has new keys."""
    port = stage.asleep(private=True)
    stage.keys("chat", "right")
    await stage.start()

    async def refused(**headers: str) -> None:
        async with stage.session.post(f"http://{HOST}:{port}/", headers=headers) as answer:
            assert answer.status == 401

    def noted() -> list[str]:
        bodies = [sent.body for sent in stage.script.writes()]
        return [endpoint["hostname"] for body in bodies for endpoint in body["endpoints"] if "hostname" in endpoint]

    async def is_noted() -> bool:
        return bool(noted())

    await refused()
    for _ in range(20):
        await refused(Authorization="Bearer wrong")
    await stage.until("it is noted", is_noted)
    for _ in range(20):
        await refused(Authorization="Bearer wrong")
    assert len(set(noted())) == len(noted()) <= 2  # a new half minute may have begun
    assert all(each.startswith("refused-") for each in noted())
    assert stage.endpoints() == ["gate-a"]
