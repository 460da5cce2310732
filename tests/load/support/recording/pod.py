"""Simulates a pod that ends so many runs a second and records them: the runtime's own sender, with no HTTP and no engine before it.

    python pod.py LOG RATE COUNT

A line of LOG is the id of a run whose caller has its answer. It is written before the run is recorded: the log thus has all callers of a
killed pod. It ends after COUNT runs, or at SIGTERM, like the runtime: it sends the rest and a goodbye. Its variables are a pod's.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from dynamiq_runtime.engine import NodeRun, Report, Usage
from dynamiq_runtime.fields import RunRequest
from dynamiq_runtime.recorder_client import Recorder
from dynamiq_runtime.recording import Recording
from dynamiq_runtime.run import Run
from dynamiq_runtime.settings import from_environment

NODES = ("input", "retrieve", "model", "rank", "output")
MILLISECOND = 1_000_000  # nanoseconds
STOP = {signal.SIGTERM}


def main(log: Path, rate: float, count: int) -> None:
    """Ends runs until it is stopped; the last line of the log is the number of dropped ones."""
    dropped = [0]
    # Awaited, not handled: a handler that sets an Event deadlocks while this thread is in that Event's `wait`.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    settings = from_environment(os.environ)
    recorder = Recorder(os.environ["DYNAMIQ_RECORDER"], Path(os.environ["DYNAMIQ_RECORDER_TOKEN"]), None)
    recording = Recording(settings, recorder, lambda number: dropped.__setitem__(0, dropped[0] + number))
    recording.start()
    with log.open("a", buffering=1) as lines:
        lines.write(f"instance {recording.instance}\n")
        began = time.monotonic()
        for number in range(count):
            if signal.sigtimedwait(STOP, max(0.0, began + number / rate - time.monotonic())) is not None:
                break
            run = a_run(number)
            lines.write(f"{run.id}\n")
            recording.add(run, None)
        recording.close()
        lines.write(f"dropped {dropped[0]}\n")


def a_run(number: int) -> Run:
    """Returns a run that ended now, of five nodes, one of which called a model."""
    now = time.time_ns()
    run = Run(RunRequest({}, stream=False), {"X-Dynamiq-Session-Id": f"session-{number // 10}"})
    run.began, run.ended = now - 20 * MILLISECOND, now
    run.outcome = "succeeded" if number % 50 else "failed"
    run.report = Report([a_node(name, run.began + place * MILLISECOND) for place, name in enumerate(NODES)])
    return run


def a_node(name: str, began: int) -> NodeRun:
    is_model = name == "model"
    return NodeRun(
        id=name,
        name=name.title(),
        type="dynamiq.nodes.llms.OpenAI" if is_model else "dynamiq.nodes.tools.Python",
        began=began,
        within=name,
        ended=began + MILLISECOND,
        is_model=is_model,
        model="gpt-4o-mini" if is_model else None,
        provider="openai" if is_model else None,
        usage=Usage(1000, 500, 600, None, 0.0004) if is_model else None,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
