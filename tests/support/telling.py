"""Makes a namespace whose policy names receivers, and an operator that notifies them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import requests

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from tests.support import factories as given
from tests.support import receivers
from tests.support.api import Manifest
from tests.support.history_stage import HistoryStage
from tests.support.operator import Operator
from tests.support.ports import free_port
from tests.support.receivers import WELL, Receivers
from tests.support.waiting import eventually

KEY = "a key of at least 16 bytes"
TRIED_FOR = 20
"""Seconds after which these operators give a notification up."""
ENDED_WITHIN = 900.0
API_SERVER, METADATA, BY_NAME = "api-server", "metadata", "by-name"
"""Sinks whose addresses must receive nothing."""


class Telling:
    """The stage, its receivers and its operator, whose metrics are at `port`."""

    def __init__(self, stage: HistoryStage, receivers: Receivers, operator: Operator, port: int) -> None:
        self.stage, self.receivers, self.operator, self._port = stage, receivers, operator, port

    def counted(self, metric: str, sink: str, **labels: str) -> float:
        """Returns the sum of the series of `dynamiq_notifications_<metric>` with these labels, of a sink of the policy."""
        expected = labels | {"sink": f"{self.stage.namespace}/{sink}"}
        text = requests.get(f"http://127.0.0.1:{self._port}/metrics", timeout=60).text
        samples = re.findall(rf"^dynamiq_notifications_{metric}{{(.*)}} (\S+)$", text, re.MULTILINE)
        return sum(
            float(value) for labels_text, value in samples if expected.items() <= dict(re.findall(r'(\w+)="([^"]*)"', labels_text)).items()
        )

    def until_told(self, sink: str) -> None:
        """Waits until no notification for a sink is pending."""
        eventually(f"nothing waits for {sink}", lambda: self.counted("waiting", sink) == 0, ENDED_WITHIN, 0.5)

    def deploy(self, name: str) -> str:
        """Makes an App and deploys it; returns the row's name, once it has ended."""
        self.stage.app(name, given.public(), workflow=given.NAME)
        row = self.stage.deploy(name, "v1", row=f"{name}-v1", runtime=self.stage.default_runtime)
        self.until_ended([row])
        return row

    def deploy_many(self, deploys: int, apps: int) -> list[str]:
        """Deploys Apps one after the other, again and again; returns the names of the rows, once all have ended."""
        names = [f"app-{number}" for number in range(apps)]
        for name in names:
            self.stage.app(name, given.public(), workflow=given.NAME)
        rows: list[str] = []
        for number in range(deploys):
            app, version = names[number % apps], ("v1", "v2")[number // apps % 2]
            rows.append(self.stage.deploy(app, version, row=f"row-{number}", runtime=self.stage.default_runtime))
            if number % apps == apps - 1:
                self.until_ended(rows)
        self.until_ended(rows)
        return rows

    def until_ended(self, rows: Sequence[str]) -> None:
        def ended() -> bool:
            rows_by_name = {each["metadata"]["name"]: each for each in self._rows()}
            return all("outcome" in rows_by_name[name]["spec"] for name in rows)

        eventually("every row has ended", ended, ENDED_WITHIN, 0.3)

    def live(self) -> set[str]:
        """Returns the rows that went live."""
        return {each["metadata"]["name"] for each in self._rows() if each["spec"].get("outcome", {}).get("result") == "Succeeded"}

    def _rows(self) -> list[Manifest]:
        items: list[Manifest] = self.stage.api.get(kinds.ROW.kind, "", self.stage.namespace).body["items"]
        return items


@contextlib.contextmanager
def telling(stage: HistoryStage, account: Path, folder: Path, sinks: Sequence[str], home: str = OPERATOR_NAMESPACE) -> Iterator[Telling]:
    """Runs the operator with a policy that names these sinks; deletes all other objects than the stage's at the end.

    `home`: the namespace of its Lease.
    """
    created: list[Manifest] = []
    port = free_port()
    options = [f"--metrics-port={port}", "--notify-http", "--notify-allow-networks=127.0.0.0/8", f"--notify-try-for={TRIED_FOR}"]
    with receivers.receiving() as served:
        urls = {name: served.url(name) for name in receivers.ALL} | {
            API_SERVER: stage.api.client.configuration.host,
            METADATA: "http://169.254.169.254/latest",
            BY_NAME: f"http://localhost:{served.port}/{WELL}",
        }
        try:
            for each in (*(_secret(stage, name, urls[name]) for name in sinks), _policy(stage, sinks)):
                created.append(each)
                stage.create(each)
            with Operator(account, folder, [stage.namespace], options, home) as operator:
                yield Telling(stage, served, operator, port)
        finally:
            served.ended.set()
            for each in created:
                stage.api.delete(each)


def _secret(stage: HistoryStage, name: str, url: str) -> Manifest:
    meta = {"name": f"{stage.namespace}-{name}", "namespace": OPERATOR_NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"url": url, "key": KEY}}


def _policy(stage: HistoryStage, sinks: Sequence[str]) -> Manifest:
    spec: Manifest = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}}}
    if sinks:
        spec["notifications"] = [{"name": name, "secretName": f"{stage.namespace}-{name}"} for name in sinks]
    return {"apiVersion": API_VERSION, "kind": kinds.DEPLOY_POLICY.kind, "metadata": {"name": stage.namespace}, "spec": spec}
