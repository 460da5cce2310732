"""Measures how long a caller waits until a background run is stored: beside a bare commit, and while the recorder is flooded. No cluster.

Journal, pod, recorder and all that burns a processor are processes of their own, on the same cores and the same disk.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

import pytest

from tests.bench.beside import beside
from tests.bench.flood import flooding, prepared
from tests.bench.journal_calls import Accepts, Calls, at, journal_and_pod, paced, shown
from tests.support.recorder_process import as_process
from tests.support.recorder_stage import RecorderStage

RATE, SECONDS = 50, int(os.environ.get("BENCH_SECONDS", "60"))
WARM = 100
ROW = 1600
"""Bytes of a row of the bare commit: what a run of this bench has when it is accepted, by the journal's own count."""
COMMIT_MOST = 4.0
TURNS = 5
TURN_SECONDS = max(SECONDS // TURNS, 1)
FLOOD_RATE = 10.0
"""Bodies of 200 runs a second that the sender tries to send."""
FLOOD_MOST = (1.1, 1.3)
"""The ratios of the median and of p95. Both stores are on one disk here, so a commit of one delays one of the other."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory


@pytest.mark.timeout(900)
def test_a_run_is_accepted_within_a_few_bare_commits(tmp_path: Path) -> None:
    with RecorderStage(tmp_path) as stage, journal_and_pod(tmp_path, stage) as (_, served):
        accept = Accepts(served.port)
        paced(RATE, WARM, accept)
        with beside("commit", tmp_path / "bare.db", RATE, ROW) as bare:
            took = paced(RATE, RATE * SECONDS, accept)
            calls = paced(RATE, RATE * SECONDS, Calls(served.port))
    (commits,) = bare.what
    ratios = [at(took, share) / at(commits, share) for share in (0.5, 0.95)]
    beyond = (at(took, 0.5) - at(calls, 0.5)) / at(commits, 0.5)
    print(
        f"\naccept at a pod, {RATE}/s for {SECONDS} s, load {os.getloadavg()[0]:.1f}: {shown(took)}; a bare commit of {ROW} bytes beside it: "
        f"{shown(commits)}; ratios {ratios[0]:.2f} and {ratios[1]:.2f}; a call that is waited for, at the same rate: {shown(calls)}; what the "
        f"median accept takes beyond it: {beyond:.2f} bare commits; failed 0"
    )
    assert ratios[1] <= COMMIT_MOST
    assert beyond <= COMMIT_MOST, "a median of the whole is the pod's own time, where a disk commits within half a millisecond"


@pytest.mark.timeout(1800)
def test_a_flood_at_the_recorder_costs_an_accept_no_more_than_any_other_use_of_the_processor(tmp_path: Path) -> None:
    """Beside it a recorder that the journal does not know takes the same flood into memory: the same work, and no write to the disk."""
    bodies = prepared(int(FLOOD_RATE * (TURN_SECONDS + 2)) * TURNS * 2)
    flooded, burned, rates = list[float](), list[float](), list[float]()
    with (
        tempfile.TemporaryDirectory(dir=MEMORY) as memory,
        RecorderStage(tmp_path) as stage,
        RecorderStage(Path(memory)) as other,
        as_process(stage) as recorder,
        as_process(other) as burner,
        journal_and_pod(tmp_path, stage) as (_, served),
    ):
        accept = Accepts(served.port)
        paced(RATE, WARM, accept)
        for turn in range(2 * TURNS):
            flooding_ours = turn % 2 == 0
            pid, port, into = (recorder.pid, stage.port, flooded) if flooding_ours else (burner.pid, other.port, burned)
            with flooding(pid, port, bodies[turn :: 2 * TURNS], FLOOD_RATE) as flood:
                into += paced(RATE, RATE * TURN_SECONDS, accept)
            rates.append(flood.runs_per_second)
    ratios = [at(flooded, share) / at(burned, share) for share in (0.5, 0.95)]
    print(
        f"\naccept at a pod, {RATE}/s, {TURNS} turns of {TURN_SECONDS} s, load {os.getloadavg()[0]:.1f}: while the recorder takes "
        f"{statistics.mean(rates):,.0f} runs/s {shown(flooded)}; beside a process that burns the same ({flood.burned / flood.seconds:.2f} cores) "
        f"and writes to no disk {shown(burned)}; ratios {ratios[0]:.2f} and {ratios[1]:.2f}; failed 0"
    )
    assert all(ratio <= most for ratio, most in zip(ratios, FLOOD_MOST, strict=True))
