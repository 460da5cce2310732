"""Before the gate is uninstalled no slice may lead to it; otherwise it stays."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dynamiq_operator.gate.retire import retire
from dynamiq_operator.model import names
from tests.support.scripted import Reply, Script, ScriptedServer, failure, kubeconfig, listed, missing
from tests.support.waiting import eventually

GATE = "gates"
SCALE = f"/apis/apps/v1/namespaces/{GATE}/deployments/dynamiq-gate/scale"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
OWN = f"/apis/discovery.k8s.io/v1/namespaces/{GATE}/endpointslices"


def slice_of(service: str, namespace: str, labels: Mapping[str, str] | None = None, *, ready: bool | None = None) -> dict[str, Any]:
    endpoints = [] if ready is None else [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}]
    found = {names.SERVICE_OF_SLICE_LABEL: service, **(labels or {})}
    meta = {"name": f"{service}-x", "namespace": namespace, "resourceVersion": "1", "labels": found}
    return {"metadata": meta, "endpoints": endpoints}


ASLEEP = slice_of("chat", "team", {names.GATE_LABEL: "slice", names.SLICE_MANAGER_LABEL: names.FIELD_MANAGER})
COPIED = slice_of("chat", "team", {names.GATE_LABEL: "slice", names.SLICE_MANAGER_LABEL: "endpointslice-controller.k8s.io"})
"""Kubernetes' own slice of a Service that somebody labelled as the gate's."""


@pytest.fixture
def script() -> Script:
    scaled = {"metadata": {"name": "dynamiq-gate", "resourceVersion": "1"}, "spec": {"replicas": 2}}
    made = Script().on("GET", SCALE, scaled).on("PATCH", SCALE, scaled)
    return made.on("GET", SLICES, listed()).on("GET", OWN, listed(slice_of("dynamiq-gate", GATE)))


@pytest.fixture
def login(script: Script, tmp_path: Path) -> Iterator[Path]:
    with ScriptedServer(script) as server:
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(kubeconfig(server)))
        yield path


def scaled(script: Script) -> list[int]:
    return [sent["spec"]["replicas"] for sent in script.bodies("PATCH", SCALE)]


async def test_retire_waits_until_every_app_is_awake_and_every_pod_of_the_gate_has_ended(script: Script, login: Path) -> None:
    script.on("GET", SLICES, listed(ASLEEP), listed(ASLEEP), listed(COPIED))
    script.on("GET", OWN, *(listed(slice_of("dynamiq-gate", GATE, ready=ready)) for ready in (True, True, True, False)))
    assert await retire(GATE, 30, login, checked_every=0.01)
    assert scaled(script) == [0]
    looks = [sent for sent in script.sent if sent.path == SLICES]
    assert len(looks) == 6, "three with somebody there, and three without"


async def test_an_app_that_falls_asleep_meanwhile_is_waited_for_too(script: Script, login: Path) -> None:
    script.on("GET", SLICES, listed(), listed(ASLEEP), listed())
    assert await retire(GATE, 30, login, checked_every=0.01)
    assert len([sent for sent in script.sent if sent.path == SLICES]) == 5


async def test_the_gate_is_scaled_up_again_if_no_operator_wakes_the_apps(
    script: Script, login: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script.on("GET", SLICES, listed(ASLEEP))
    with caplog.at_level(logging.INFO):
        assert not await retire(GATE, 0.05, login, checked_every=0.01)
    assert scaled(script) == [0, 2]
    assert "the gate is back, with 2 replicas" in caplog.text
    assert "1 Apps still need the gate after 0 s, such as team/chat" in caplog.text


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGINT])
def test_the_gate_is_scaled_up_again_if_the_command_is_ended(script: Script, login: Path, ends: signal.Signals) -> None:
    """The Job's pod is evicted, or the person who ran the command stops it."""
    script.on("GET", SLICES, listed(ASLEEP))
    command = [sys.executable, "-m", "dynamiq_operator", "retire-gate", "--kubeconfig", str(login), "--gate-namespace", GATE]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_heeds_signals) as running:
        eventually("it waits", lambda: [sent for sent in script.sent if sent.path == SLICES])
        running.send_signal(ends)
        output = running.communicate()[1]
    assert (running.returncode, scaled(script)) == (1, [0, 2])
    assert output.splitlines()[-1].endswith("the gate is back, with 2 replicas")


def _heeds_signals() -> None:
    """Restores the handling of SIGINT: a shell's background job ignores it, and so would its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


async def test_a_failed_read_does_not_count_as_awake(script: Script, login: Path) -> None:
    script.on("GET", SLICES, failure(503, "ServiceUnavailable"), listed())
    assert await retire(GATE, 30, login, checked_every=0.01)
    script.on("GET", SLICES, Reply(403, failure(403, "Forbidden").body))
    assert not await retire(GATE, 0.05, login, checked_every=0.01)
    assert scaled(script) == [0, 0, 2]


async def test_without_a_gate_there_is_nothing_to_do(script: Script, login: Path) -> None:
    script.on("GET", SCALE, missing("deployments.apps", "dynamiq-gate"))
    assert await retire(GATE, 30, login)
    assert script.writes() == []
