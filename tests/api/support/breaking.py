"""Makes versions that read a new field, and sends runs with and without it, of an App on a real API server with a recorder."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.api.support.recorded_app import APP, Recorded
from tests.api.support.recorder_process import a_pod, runs_of
from tests.support import flows, history_stage
from tests.support.waiting import eventually

AT_ONCE = 500
READS = "inputs.get('question')"
DEFAULTS = "inputs.get('question', 'Hello?')"


def release(at: Recorded, version: str, answer: str) -> None:
    """Releases a version whose answer is this expression of its `inputs`."""
    text = flows.a_flow(f"def run(inputs):\n    return {answer}\n", answer="answer")
    at.stage.release(version, workflow=history_stage.APP, text=text)


def send(at: Recorded, key: str, runs: int, **fields: str) -> None:
    """Sends runs of a caller to the recorder, with the types of its fields, and waits until they are counted."""
    pod, before = a_pod(at.stage.api, at.stage.namespace, APP, "v2"), counted(at)
    for first in range(0, runs, AT_ONCE):
        count = min(AT_ONCE, runs - first)
        of_caller: dict[str, Any] = {"dynamiq__key": key, "dynamiq__run__shape": json.dumps(fields)}
        at.recorder.send(pod, *runs_of(count, first=1, milliseconds=20.0, **of_caller), instance=str(uuid.uuid4()))
    eventually(f"{runs} runs of {key} are counted", lambda: counted(at) == before + runs)


def counted(at: Recorded) -> int:
    """Returns how many runs have a shape."""
    number: int = at.recorder.get(f"/v1/apps/{at.app}/shapes", at.token("viewer"))["data"]["runs"]
    return number
