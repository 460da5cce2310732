"""Measures a pod's acknowledgements while another tenant tries to use all of the recorder, against the same load at a port that only
listens.

Both run in turn, five times each, since the machine varies; the median of the five ratios of p95 counts. Another test,
tests/unit/recorder/test_attacks.py, tests who is served at all.
"""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Iterator

import pytest

from tests.support.measured import MEASURED, Say, kept
from tests.support.otlp_runs import a_run, request, run_id_of
from tests.support.recorder_attacks import RIVAL, RIVAL_POD, Attack, Reads, SlowBodies, dummy, idle, under, with_a_rival
from tests.support.recorder_process import as_process
from tests.support.recorder_stage import OTHER_UID, RecorderStage

TURNS, RUNS = 5, 100
RATIO_MOST = 1.5


@pytest.fixture(scope="module")
def say() -> Iterator[Say]:
    with kept(MEASURED / "recorder-attacks.txt") as printer:
        yield printer


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RecorderStage, str]]:
    """Provides a recorder as a process, and a rival's run with 5,000 nodes."""
    with RecorderStage(tmp_path_factory.mktemp("attacked")) as stage:
        with_a_rival(stage)
        with as_process(stage):
            for seq in range(1, 6):
                run = a_run(seq=seq, nodes=5000)
                assert stage.send(request(run, instance=str(uuid.uuid4())), RIVAL_POD).status_code == 200
            yield stage, run_id_of(run)


def p95(stage: RecorderStage) -> float:
    took = []
    for _ in range(RUNS):
        body = request(a_run(), instance=str(uuid.uuid4()))
        began = time.perf_counter()
        assert stage.send(body).status_code == 200
        took.append(time.perf_counter() - began)
        time.sleep(0.01)
    return statistics.quantiles(took, n=20)[-1]


def attack_of(name: str, run: str) -> Attack:
    attacks: dict[str, Attack] = {
        "idle connections": idle,
        "slow bodies of a pod": SlowBodies(RIVAL_POD),
        "slow bodies of a key's owner": SlowBodies(RIVAL_POD, X_Dynamiq_App_Id=OTHER_UID),
        "runs of 5,000 nodes": Reads(f"/v1/runs/{run}", RIVAL),
        "traces of 5,000 nodes": Reads(f"/v1/runs/{run}/trace", RIVAL),
        "slow exports": Reads(f"/v1/apps/{OTHER_UID}/runs.jsonl", RIVAL, slowly=True),
    }
    return attacks[name]


@pytest.mark.parametrize(
    "name",
    [
        "idle connections",
        "slow bodies of a pod",
        "slow bodies of a key's owner",
        "runs of 5,000 nodes",
        "traces of 5,000 nodes",
        "slow exports",
    ],
)
def test_an_acknowledgement_takes_as_long_as_beside_any_other_load(attacked: tuple[RecorderStage, str], name: str, say: Say) -> None:
    stage, run = attacked
    attack = attack_of(name, run)
    pairs: list[tuple[float, float]] = []
    with dummy() as port:
        for _ in range(TURNS):
            with under(attack, port):
                beside = p95(stage)
            with under(attack, stage.port):
                pairs.append((beside, p95(stage)))
    ratio = statistics.median(under_it / beside for beside, under_it in pairs)
    shown = ", ".join(f"{beside * 1000:.0f}/{under_it * 1000:.0f}" for beside, under_it in pairs)
    say(f"{name}: p95 of an acknowledgement {ratio:.2f} times that beside the same load at a dummy; ms of each turn: {shown}")
    assert ratio <= RATIO_MOST
