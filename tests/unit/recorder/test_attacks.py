"""Tenants that try to use up the recorder, which runs as a process, and another tenant's pod that is served meanwhile.

Nothing is measured here: tests/bench/test_attacks.py measures it.
"""

from __future__ import annotations

import contextlib
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.archived_rows import flows, history
from tests.support.otlp_runs import a_run, request, run_id_of, sdk_runs
from tests.support.recorder_attacks import RIVAL, RIVAL_POD, Attack, Reads, SlowBodies, SlowScores, connected, idle, under, with_a_rival
from tests.support.recorder_process import as_process
from tests.support.recorder_stage import (
    ADMIN,
    APP_UID,
    HOST,
    OPERATOR,
    OTHER_UID,
    STRANGER,
    RecorderStage,
)
from tests.support.waiting import IN_TIME

TIMES = 5
RUNS = f"/v1/apps/{APP_UID}/runs"


MEMORY = 400
"""MiB that a recorder may use under an attack; its pod has 512."""


@pytest.fixture
def attacked(stage: RecorderStage) -> Iterator[RecorderStage]:
    with_a_rival(stage)
    with as_process(stage) as process:
        yield stage
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        assert next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024 < MEMORY


def is_served(stage: RecorderStage) -> None:
    """Asserts that others lose nothing and are not refused: runs, reads, probes, and rows for the archive."""
    sent: list[str] = []
    rows = history(TIMES, app_uid=APP_UID)
    for number in range(TIMES):
        run, from_outside = a_run(seq=number + 1), sdk_runs()
        sent += [run_id_of(run), from_outside[0]["id"]]
        assert stage.send(request(run, instance=str(uuid.uuid4()))).json() == {"partialSuccess": {}}, "each time of a process that is new"
        assert stage.send({"runs": from_outside}, ADMIN, X_Dynamiq_App_Id=APP_UID).status_code == 200
        answer = stage.call("POST", f"/v1/apps/{APP_UID}/archive", OPERATOR, json={"rows": [rows[number]], "flows": flows([rows[number]])})
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["data"]["archived"]) == 1
        assert stage.get(f"/v1/runs/{run_id_of(run)}")["status"] == "succeeded"
        for path in ("healthz", "readyz"):
            assert requests.get(f"http://{HOST}:{stage.health_port}/{path}", timeout=IN_TIME).status_code == 200
    assert {each["id"] for each in stage.get(f"{RUNS}?page_size=100")} == set(sent)


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(idle, id="idle connections"),
        pytest.param(SlowScores(STRANGER), id="slow scores of an account that may do nothing"),
        pytest.param(SlowBodies(RIVAL_POD), id="four slow bodies of a pod"),
        pytest.param(SlowBodies(RIVAL_POD, 1, X_Dynamiq_App_Id=OTHER_UID), id="of whoever has a key of an App"),
    ],
)
def test_a_caller_who_takes_space_takes_none_of_others(attacked: RecorderStage, attack: Attack) -> None:
    with under(attack, attacked.port):
        is_served(attacked)


@pytest.mark.parametrize("path", ["/v1/runs/{run}", "/v1/runs/{run}/trace", f"/v1/apps/{OTHER_UID}/runs.jsonl"])
def test_a_caller_who_reads_much_takes_no_capacity_of_others(attacked: RecorderStage, path: str) -> None:
    large = [a_run(seq=seq, nodes=5000) for seq in range(1, 6)]
    for run in large:
        assert attacked.send(request(run, instance=str(uuid.uuid4())), RIVAL_POD).status_code == 200
    attack = Reads(path.format(run=run_id_of(large[0])), RIVAL, slowly=path.endswith("jsonl"))
    with under(attack, attacked.port):
        is_served(attacked)
        assert attacked.call("GET", f"{RUNS}.jsonl").status_code == 200


def test_heads_that_do_not_end_take_no_memory_to_speak_of(attacked: RecorderStage) -> None:
    """It is so on each of its ports: a short header takes thirty times its bytes, and a thread its stack."""
    head = b"GET / HTTP/1.1\r\nHost: recorder\r\n" + b"a:\r\n" * 8000
    with contextlib.ExitStack() as stack:
        for port in (attacked.port, attacked.health_port, attacked.metrics_port):
            for number in range(250):
                with contextlib.suppress(OSError):
                    stack.enter_context(connected(port, number % 8)).sendall(head)
        is_served(attacked)
        assert "dynamiq_recorder_requests_total" in requests.get(f"http://{HOST}:{attacked.metrics_port}/metrics", timeout=IN_TIME).text


def test_unread_responses_take_little_memory(attacked: RecorderStage) -> None:
    workflow = sdk_runs()[0]
    nodes = [
        workflow | {"id": str(uuid.uuid4()), "parent_run_id": workflow["id"], "type": "node", "input": "x" * 60_000} for _ in range(110)
    ]
    assert attacked.send({"runs": [workflow, *nodes]}, ADMIN, X_Dynamiq_App_Id=APP_UID).status_code == 200
    asked = f"GET /v1/runs/{workflow['id']}?include=content HTTP/1.1\r\nHost: recorder\r\nAuthorization: Bearer {ADMIN}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        for number in range(100):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.bind((f"127.0.0.{2 + number % 8}", 0))
            connection.settimeout(IN_TIME)
            connection.connect((HOST, attacked.port))
            with contextlib.suppress(OSError):
                connection.sendall(asked)
                connection.recv(1)
