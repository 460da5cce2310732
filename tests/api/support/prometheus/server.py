"""Runs a Prometheus for a test, which scrapes every second and is queried by HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.support import programs
from tests.support.prometheus import rules
from tests.support.prometheus.programs import PACKAGE
from tests.support.waiting import IN_TIME

READY_WITHIN = IN_TIME
EVERY = "1s"


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Returns the series of an instant query. Raises AssertionError with the error of the query."""
        answer = requests.get(f"{self.url}/api/v1/query", {"query": query}, timeout=30).json()
        assert answer["status"] == "success", f"{answer.get('error')}: {query}"
        data = answer["data"]
        return [{"value": data["result"]}] if data["resultType"] == "scalar" else list(data["result"])

    def targets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(f"{self.url}/api/v1/targets", {"state": "active"}, timeout=30).json()["data"][
            "activeTargets"
        ]
        return found

    def rules(self) -> list[dict[str, Any]]:
        groups = requests.get(f"{self.url}/api/v1/rules", timeout=30).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@contextlib.contextmanager
def running(folder: Path, port: int, jobs: Sequence[Mapping[str, Any]]) -> Iterator[Prometheus]:
    """Runs Prometheus with these jobs and our alerts, until the block ends."""
    config = {
        "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
        "rule_files": [str(rules.written(folder))],
        "scrape_configs": list(jobs),
    }
    file, log = folder / "prometheus.yaml", folder / "prometheus.log"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    command = [PACKAGE.program("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{url}/-/ready", timeout=5).status_code == 200
        return False

    with programs.running(command, log, is_ready, seconds=READY_WITHIN):
        yield Prometheus(url)
