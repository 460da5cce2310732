"""Fills the journal's disk while a pod executes runs: it refuses new ones, calls are answered, and the runs go on once there is room.

It uses a real store on a separate file system, in memory, so the test needs root.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.background import Caller, lines, pod, steps_flow
from tests.support.journal_program import POD, Process
from tests.support.recorder_stage import RecorderStage
from tests.support.waiting import eventually

SIZE, PIECE = 64 << 20, 1 << 16
"""Bytes of the disk, and of a piece of what fills it."""
ROUNDS, RUNS = int(os.environ.get("BENCH_ROUNDS", "10")), 20
RUN = {"background": True}
FULL_FOR = 8.0
"""Seconds: shorter than a lease, so that no run begins a node again."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.fail("a file system can be mounted by root alone: run this as root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(ballast: Path) -> None:
    """Takes all that is left of a disk."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        for size in (PIECE, 512):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass


@pytest.mark.timeout(900)
def test_runs_go_on_once_the_disk_has_room_again(disk: Path, tmp_path: Path) -> None:
    refused, ended, answered = Counter[str](), Counter[str](), 0
    with RecorderStage(tmp_path) as stage:
        process = Process(stage)
        process.store = disk / "journal.db"
        with process.running(), pod(tmp_path / "pod", steps_flow("a", "b"), process, token=POD) as served:
            caller = Caller(served)
            for number in range(ROUNDS):
                log, gate = tmp_path / f"log-{number}", tmp_path / f"gate-{number}"
                gate.touch()
                given = {"log": str(log), "a": str(gate)}
                first = {**RUN, "input": {"log": str(tmp_path / "first")}}
                eventually("runs are accepted", lambda first=first: caller.ask("POST", "/v1/runs", first).status == 202)  # type: ignore[misc]
                ids = [caller.begin(given) for _ in range(RUNS)]
                eventually("some have begun", lambda log=log: lines(log))  # type: ignore[misc]
                fill(disk / "ballast")
                gate.unlink()
                until = time.monotonic() + FULL_FOR
                while time.monotonic() < until:
                    answer = caller.ask("POST", "/v1/runs", {**RUN, "input": {"log": str(log)}})
                    refused[str(answer.status) if answer.status == 202 else answer.body["error"]["code"]] += 1
                    assert caller.ask("POST", "/", {"input": {"log": str(tmp_path / "calls")}}).body == ["a", "b"]
                    answered += 1
                    time.sleep(0.2)
                (disk / "ballast").unlink()
                ended.update(caller.ended(run_id)["status"] for run_id in ids)
                eventually("each node ran", lambda log=log: Counter(lines(log))["b"] >= RUNS)  # type: ignore[misc]
                assert Counter(lines(log))["a"] - refused["202"] <= RUNS, "no node that had ended ran again"
    print(f"\n{ROUNDS} times a full disk for {FULL_FOR:g} s: {dict(ended)}; new runs {dict(refused)}; {answered} calls answered, 0 failed")
    assert ended == {"completed": ROUNDS * RUNS}
    assert refused.keys() - {"202"}, "it was full"
