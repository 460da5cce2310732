"""Stages tests of the history: one namespace, its manifests in Git, and its history as comparable values."""

from __future__ import annotations

import contextlib
import os
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.model import kinds, names
from local.clusters import Cluster
from tests.support import factories
from tests.support.api import Api, Manifest, fresh_namespace
from tests.support.cluster import Kubectl
from tests.support.factories import Modifier
from tests.support.stage import Stage
from tests.support.waiting import eventually

APP = factories.NAME
BYSTANDER = "bystander"
RELEASES = ("v1", "v2", "v3", "v4")
ADMIN = "system:masters"
RESTORERS = "dynamiq:restorers"
SETTLED_WITHIN = 300.0
SHARE = 10
"""`make test` runs this part of a large count."""
EACH = 3
"""`make test` stops a plan at one point in so many."""


def counted(full: int) -> int:
    """Returns the count of a test: the full count with SOAK=1, a tenth otherwise."""
    return full if in_full() else max(full // SHARE, 2)


def stops(start: int, end: int, shift: int = 0) -> range:
    """Returns the points of a plan at which a test stops it: every one with SOAK=1, otherwise each third, beginning `shift` later."""
    return range(start, end) if in_full() else range(start + shift % EACH, end, EACH)


def in_full() -> bool:
    """Returns True if tests run with their full counts."""
    return bool(os.environ.get("SOAK"))


@dataclass(frozen=True)
class HistoryStage(Stage):
    """A `Stage` without callers: its pods are simulated, and its tests concern rows alone."""

    def as_user(self, user: str, *arguments: str, group: str = ADMIN, **more: Any) -> subprocess.CompletedProcess[str]:
        """Runs kubectl in the namespace as another user."""
        return self.kubectl(f"--as={user}", f"--as-group={group}", *arguments, namespace=self.namespace, **more)

    @property
    def default_runtime(self) -> str:
        return f"{self.namespace}-tiny"

    def manifest(self, *modifiers: Modifier, name: str = APP) -> Manifest:
        """Returns the App as Git has it."""
        return factories.app_manifest(factories.in_namespace(self.namespace), *modifiers, name=name)

    def declared(self, version: str | None, *modifiers: Modifier, name: str = APP, **fields: Any) -> Manifest:
        """Returns the App as Git has it, with a version in `spec.deploy`."""
        deploy = {key: value for key, value in {"workflowVersion": version, "runtime": self.default_runtime, **fields}.items() if value}
        return self.manifest(factories.with_deploy(**deploy), *modifiers, name=name)

    def apply(self, *manifests: Manifest, user: str = "flux", flags: tuple[str, ...] = ()) -> None:
        self.as_user(user, "apply", *flags, "-f", "-", input=list(manifests))

    def served(self, app: str = APP) -> Mapping[str, Any]:
        """Returns the live row in the App's status."""
        live: Mapping[str, Any] = self.get(kinds.APP.kind, app).get("status", {}).get("live", {})
        return live

    def until_told(self, row: str, app: str = APP) -> str:
        """Waits until the App's status names a row as live, which the operator writes after the row's own status; returns the row's name."""
        eventually(f"App {app} says that {row} is live", lambda: self.served(app).get("row") == row)
        return row

    def until_served(self, version: str, app: str = APP, *, rows: int | None = None, seconds: float = SETTLED_WITHIN) -> str:
        """Waits until the App serves `version`, and all its rows are terminal, `rows` of them if set; returns the live row's name."""

        def seen() -> str | None:
            all_rows = self.rows(app)
            done = all("outcome" in row["spec"] for row in all_rows) and (rows is None or len(all_rows) == rows)
            live = self.served(app)
            agree = live.get("row") == _to_be_live(all_rows)
            return live["row"] if done and agree and live.get("workflowVersion") == version else None

        return eventually(
            lambda: f"App {app} serves {version}: {self.lines(app)}, {self.get(kinds.APP.kind, app).get('status')}", seen, seconds
        )

    def versions(self, app: str = APP) -> list[str]:
        """Returns the version of each row, oldest first; `-` for an unpinned one."""
        return [row["spec"].get("pinned", {}).get("workflowVersion", "-") for row in self.rows(app)]

    def lines(self, app: str = APP) -> list[str]:
        """Returns each row as a line to read."""
        return [
            f"#{row['spec'].get('sequence')} {row['metadata']['name']} {row['spec'].get('pinned', {}).get('workflowVersion', '-')} "
            f"{row['spec'].get('outcome', {}).get('result', '-')} {row['status']['phase']} by {row['spec'].get('createdBy')}"
            for row in self.rows(app)
        ]

    def mounted(self, app: str = APP) -> tuple[str, str]:
        """Returns what runs: the name of the flow's ConfigMap, and the label of the template."""
        template = self.workload(app)["spec"]["template"]
        return template["spec"]["volumes"][0]["configMap"]["name"], template["metadata"]["labels"][names.TEMPLATE_LABEL]

    def flows(self, app: str = APP) -> set[str]:
        """Names of the ConfigMaps of flows."""
        selector = f"{names.APP_LABEL}={app},{names.MANAGED_SELECTOR}"
        maps = self.api.get("ConfigMap", "", self.namespace, labelSelector=selector).body["items"]
        return {each["metadata"]["name"] for each in maps}

    def quiet_while_restoring(self, app: str = APP) -> None:
        """Asserts that nobody writes the App or a row, or makes a workload, while the operator acts twice on another App."""

        def now() -> tuple[Any, ...]:
            objects = [self.get(kinds.APP.kind, app), *self.rows(app)]
            return self.find("Workload", app), [each["metadata"]["resourceVersion"] for each in objects]

        self.app(BYSTANDER, factories.public(), workflow=APP)
        # Before that it may not know the App yet, and report to earlier rows that it does not exist.
        eventually("the operator has seen another App", lambda: self.seen(BYSTANDER))
        self.acted_on(BYSTANDER)
        before = now()
        for _ in range(2):
            self.acted_on(BYSTANDER)
        assert now() == before
        assert before[0] is None
        self.delete(kinds.APP.kind, BYSTANDER)
        eventually("the other App is gone", lambda: self.find(kinds.APP.kind, BYSTANDER) is None)

    def seen(self, app: str) -> bool:
        """Returns True if the operator has seen the current App."""
        app_object = self.get(kinds.APP.kind, app)
        return bool(app_object.get("status", {}).get("observedGeneration") == app_object["metadata"]["generation"])

    def acted_on(self, app: str) -> None:
        """Changes a field without any effect, and waits until the operator has acted on the current App, and all earlier changes."""
        self.change(kinds.APP.kind, app, spec={"displayName": f"Looked at {uuid.uuid4().hex[:6]}"})
        eventually(f"App {app} is seen as it is", lambda: self.seen(app))

    def quiet(self, app: str = APP) -> None:
        """Asserts that the operator, once it has seen the current App, acts on it twice without a new row, a write or a new status.

        Before that it acts once: a row is closed after its App's status names it.
        """
        eventually(f"App {app} is seen as it is, and says what its rows do", lambda: self.seen(app) and self._is_told(app))
        rows = specs(self.rows(app))
        self.acted_on(app)
        before = self._state(app)
        assert specs(self.rows(app)) == rows
        for _ in range(2):  # the decisions of one reconcile are written before the next
            self.acted_on(app)
        assert self._state(app) == before

    def _is_told(self, app: str) -> bool:
        """Returns True if the outcomes of rows are in the App's status and the rows' own: outcomes are written before either."""
        ended = [row for row in self.rows(app) if "outcome" in row["spec"]]
        live = _to_be_live(ended)
        return self.served(app).get("row") == live and all(row["status"]["phase"] == _phase(row, live) for row in ended)

    def _state(self, app: str) -> tuple[Any, ...]:
        """Returns the rows and the App's status, without observed generations and recorded settings."""
        app_object = self.get(kinds.APP.kind, app)
        status = {key: value for key, value in app_object["status"].items() if key not in ("observedGeneration", "conditions", "settings")}
        conditions = [
            {key: value for key, value in each.items() if key != "observedGeneration"} for each in app_object["status"]["conditions"]
        ]
        return [(row["metadata"]["name"], row["metadata"]["resourceVersion"]) for row in self.rows(app)], status, conditions


def specs(rows: list[Manifest]) -> list[tuple[str, Manifest]]:
    """Returns what of rows must never change, in order: names and specs."""
    return [(row["metadata"]["name"], row["spec"]) for row in rows]


def _phase(row: Manifest, live: str | None) -> str:
    """Returns the final phase of an ended row."""
    if row["spec"]["outcome"]["result"] == "Failed":
        return "Failed"
    return "Live" if row["metadata"]["name"] == live else "Superseded"


def _to_be_live(rows: list[Manifest]) -> str | None:
    """Returns the name of the newest row that succeeded."""
    return next((row["metadata"]["name"] for row in reversed(rows) if _succeeded(row)), None)


def _succeeded(row: Manifest) -> bool:
    return bool(row["spec"].get("outcome", {}).get("result") == "Succeeded")


@contextlib.contextmanager
def stage(cluster: Cluster, purpose: str, *, leave: bool = True) -> Iterator[HistoryStage]:
    """Makes a namespace with a Runtime of its own, both deleted at the end, and releases v1 to v4. `leave`: see `fresh_namespace`."""
    api = Api.of(cluster)
    with fresh_namespace(api, purpose, leave=leave) as namespace:
        created = HistoryStage(cluster, api, Kubectl(cluster), namespace)
        try:
            created.runtime("tiny", image=factories.IMAGE)
            created.release(*RELEASES, workflow=APP)
            yield created
        finally:
            for runtime in api.get(kinds.RUNTIME.kind, "", "").body["items"]:
                if runtime["metadata"]["name"].startswith(f"{namespace}-"):
                    created.delete(kinds.RUNTIME.kind, runtime["metadata"]["name"])
