"""OpenTelemetry's own collector, built here, with a receiver behind it that keeps what it passes on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from local import builds, components
from tests.support.collector import Collector, collecting
from tests.support.ports import free_port
from tests.support.waiting import eventually

STARTS_WITHIN = 60.0  # seconds


@contextmanager
def passing_on(folder: Path) -> Iterator[tuple[Collector, str]]:
    """What is kept behind the collector, and the collector's endpoint. It refuses what is no OTLP, and says of what it lost."""
    program = builds.ensure([components.OTELCOL])["otelcol"]
    with collecting() as (collector, behind), (folder / "otelcol.log").open("w") as log:
        endpoint = f"127.0.0.1:{free_port()}"
        configuration = folder / "otelcol.yaml"
        configuration.write_text(yaml.safe_dump(_configuration(endpoint, behind)))
        process = subprocess.Popen([program, f"--config=file:{configuration}"], stdout=log, stderr=log)
        try:
            eventually("the collector listens", lambda: process.poll() is not None or _listens(endpoint), STARTS_WITHIN)
            assert process.poll() is None, Path(log.name).read_text()
            yield collector, f"http://{endpoint}"
        finally:
            process.terminate()
            process.wait()


def _configuration(endpoint: str, behind: str) -> dict[str, object]:
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": endpoint}}}},
        "exporters": {"otlp_http": {"endpoint": behind, "compression": "none"}},
        "service": {
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlp_http"]}},
            "telemetry": {"metrics": {"level": "none"}},
        },
    }


def _listens(endpoint: str) -> bool:
    try:
        urlopen(f"http://{endpoint}/", timeout=1).close()
    except URLError as error:
        return hasattr(error, "code")  # it answers
    return True
