"""Runs OpenTelemetry's own collector, built here, with a receiver behind it that keeps its exports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from local import builds, components
from tests.support import programs
from tests.support.collector import Collector, collecting
from tests.support.ports import free_port

STARTS_WITHIN = 60.0  # seconds


@contextmanager
def passing_on(folder: Path) -> Iterator[tuple[Collector, str]]:
    """Yields the receiver behind the collector, and the collector's endpoint. It refuses requests that are no OTLP, and reports losses."""
    program = builds.ensure([components.OTELCOL])["otelcol"]
    endpoint, configuration = f"127.0.0.1:{free_port()}", folder / "otelcol.yaml"
    with collecting() as (collector, behind):
        configuration.write_text(yaml.safe_dump(_configuration(endpoint, behind)))
        command: list[str | Path] = [program, f"--config=file:{configuration}"]
        with programs.running(command, folder / "otelcol.log", lambda: programs.listens(endpoint), seconds=STARTS_WITHIN):
            yield collector, f"http://{endpoint}"


def _configuration(endpoint: str, behind: str) -> dict[str, object]:
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": endpoint}}}},
        "exporters": {"otlp_http": {"endpoint": behind, "compression": "none"}},
        "service": {
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlp_http"]}},
            "telemetry": {"metrics": {"level": "none"}},
        },
    }
