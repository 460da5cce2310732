"""Measures what it costs a preview to name the callers that a version may break, with 10,000 recorded runs, and with the recorder away."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dynamiq_operator.model.recorder import RECORDER_NAMESPACE, RECORDER_SERVICE
from local.clusters import Cluster
from tests.api.support import breaking, rest_rehearsal
from tests.api.support.recorded_app import APP, recorded
from tests.support.cluster import Kubectl
from tests.support.measured import MEASURED, kept
from tests.support.operator import install_account
from tests.support.plugin import Plugin

RUNS, CALLERS, ROUNDS = 10_000, 20, 15
READS, DEFAULTS = "v10", "v11"


def test_a_preview_with_callers_beside_one_without(cluster: Cluster, tmp_path: Path) -> None:
    account = install_account(cluster, tmp_path)
    with recorded(cluster, account, tmp_path, "previews") as at:
        breaking.release(at, READS, breaking.READS)
        breaking.release(at, DEFAULTS, breaking.DEFAULTS)
        for number in range(CALLERS):
            breaking.send(at, f"key-{number}", RUNS // CALLERS, message="string", **({"question": "string"} if number % 2 else {}))
        login = rest_rehearsal.login(at.stage, at.token("editor"), tmp_path / "kubeconfig")
        plugin = Plugin(at.stage.cluster, at.stage.namespace, tmp_path, more={"KUBECONFIG": str(login)})

        def preview(version: str) -> str:
            return plugin.said("deploy", APP, "--version", version, "--preview")

        assert "of the last 10,000 runs" in preview(READS)
        assert "reads" not in preview(DEFAULTS)
        counted, without = _in_turn(lambda: preview(READS), lambda: preview(DEFAULTS))
        with silent(cluster):
            assert "is unknown: the recorder does not answer" in preview(READS)
            away, again = _in_turn(lambda: preview(READS), lambda: preview(DEFAULTS))
    with kept(MEASURED / "preview-callers.txt") as say:
        say(
            f"a preview with {RUNS:,} recorded runs of {CALLERS} callers, load {os.getloadavg()[0]:.1f}: {counted:.0f} ms, "
            f"{without:.0f} ms without a count, {counted - without:.0f} ms more"
        )
        say(
            f"with a recorder that accepts a connection and is silent: {away:.0f} ms, {again:.0f} ms without a count, {away - again:.0f} ms more"
        )


@contextlib.contextmanager
def silent(cluster: Cluster) -> Iterator[None]:
    """Puts a port that answers nothing in place of the recorder."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = [{"op": "replace", "path": "/ports/0/port", "value": server.getsockname()[1]}]
        Kubectl(cluster)("patch", "endpointslice", RECORDER_SERVICE, "--type=json", "-p", json.dumps(port), namespace=RECORDER_NAMESPACE)
        yield


def _in_turn(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Returns the median milliseconds of two calls that take turns."""
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for call, into in zip((first, second), took, strict=True):
            began = time.perf_counter()
            call()
            into.append((time.perf_counter() - began) * 1000)
    return statistics.median(took[0]), statistics.median(took[1])
