"""Runs the recorder of a stage as a separate process, as a cluster does: it shares no interpreter with the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from tests.support import programs
from tests.support.programs import Process
from tests.support.recorder_stage import HOST, OPERATOR_USER, RecorderStage
from tests.support.scripted import kubeconfig


@contextmanager
def as_process(stage: RecorderStage, address: str | None = None) -> Iterator[Process]:
    """Runs it while the block runs; it has to end with exit code 0. `address`: of its store, by default the stage's."""
    path, log = stage.folder / "kubeconfig.yaml", stage.folder / "recorder.log"
    path.write_text(yaml.safe_dump(kubeconfig(stage._server)))
    ports = [f"--port={stage.port}", f"--health-port={stage.health_port}", f"--metrics-port={stage.metrics_port}"]
    options = [
        f"--host={HOST}",
        *ports,
        f"--store={address or stage.store_url}",
        f"--kubeconfig={path}",
        f"--operator-account={OPERATOR_USER}",
    ]
    process = programs.fork("dynamiq_recorder", "serve", *options, log=log)
    with programs.beside(process, "the recorder", log, lambda: stage._answers(ready=True)):
        yield process
