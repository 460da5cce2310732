"""Measures what a journal costs a call that waits for its answer: it is there, slow, or away. Beside it an App without a journal. No cluster.

Both Apps have Access Keys. They are called in turn, so that the machine's other work affects both.
"""

from __future__ import annotations

import os
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench.journal_calls import Calls
from tests.support.background import HasUrl, pod
from tests.support.journal import a_run
from tests.support.journal_program import POD, Process
from tests.support.recorder_stage import HOST, RecorderStage
from tests.support.runtime import ECHO
from tests.support.scripted import HttpServer, Reply, Sent

WARM, PAIRS = 500, int(os.environ.get("BENCH_PAIRS", "4000"))
RATIO_MOST = 1.02
SLOW = 1.0
"""Seconds until the slow journal answers."""


class Url:
    """A journal that is no journal, or none at all if the URL is empty."""

    def __init__(self, url: str) -> None:
        self.url = url


@contextmanager
def journal_that_is(state: str, folder: Path) -> Iterator[HasUrl]:
    if state == "up":
        with RecorderStage(folder) as stage, Process(stage).running() as journal:
            # Pods of an App without runs would ask once a minute.
            assert journal.call("POST", "runs", body=a_run(claim=True)).status_code == 201
            yield journal
    elif state == "slow":
        with HttpServer(_slowly) as server:
            yield Url(server.url)
    else:
        with socket.socket() as bound:  # nobody listens there
            bound.bind((HOST, 0))
            yield Url(f"http://{HOST}:{bound.getsockname()[1]}")


def _slowly(_: Sent) -> Reply:
    time.sleep(SLOW)
    return Reply(body={"data": [], "next_seconds": 0})


@pytest.mark.timeout(900)
@pytest.mark.parametrize("state", ["up", "slow", "away"])
def test_a_call_takes_as_long_as_without_a_journal(tmp_path: Path, state: str) -> None:
    with (
        journal_that_is(state, tmp_path) as journal,
        pod(tmp_path / "with", ECHO, journal, token=POD, python=sys.executable) as served,
        pod(tmp_path / "without", ECHO, Url(""), python=sys.executable) as plain,
    ):
        ours, theirs = Calls(served.port), Calls(plain.port)
        for number in range(WARM):
            ours(number), theirs(number)
        pairs = [(ours(number), theirs(number)) if number % 2 else (theirs(number), ours(number))[::-1] for number in range(PAIRS)]
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(
        f"\nPOST /, journal {state}, {PAIRS} pairs, load {os.getloadavg()[0]:.1f}: p50 {mine * 1000:.3f} ms, without a journal "
        f"{other * 1000:.3f} ms, ratio {mine / other:.3f}; failed 0"
    )
    assert mine / other <= RATIO_MOST
