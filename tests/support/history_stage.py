"""A stage for tests of the ledger: one namespace, what Git holds of it, and its history as values that two moments can be compared by."""

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
    """How often a test does what its full count says: all of it with SOAK=1, a tenth otherwise."""
    return full if in_full() else max(full // SHARE, 2)


def stops(start: int, end: int, shift: int = 0) -> range:
    """Returns the points of a plan at which a test stops it: every one with SOAK=1, otherwise each third, beginning `shift` later."""
    return range(start, end) if in_full() else range(start + shift % EACH, end, EACH)


def in_full() -> bool:
    """Whether tests do all of what their full counts say."""
    return bool(os.environ.get("SOAK"))


@dataclass(frozen=True)
class HistoryStage(Stage):
    """A `Stage` without callers: its pods are simulated, and every question is about rows."""

    def as_user(self, user: str, *arguments: str, group: str = ADMIN, **more: Any) -> subprocess.CompletedProcess[str]:
        """Runs kubectl in the namespace as another user."""
        return self.kubectl(f"--as={user}", f"--as-group={group}", *arguments, namespace=self.namespace, **more)

    @property
    def default_runtime(self) -> str:
        return f"{self.namespace}-tiny"

    def manifest(self, *modifiers: Modifier, name: str = APP) -> Manifest:
        """The App as Git has it."""
        return factories.app_manifest(factories.in_namespace(self.namespace), *modifiers, name=name)

    def declared(self, version: str | None, *modifiers: Modifier, name: str = APP, **asked: Any) -> Manifest:
        """The App as Git has it, asking for a version."""
        deploy = {key: value for key, value in {"workflowVersion": version, "runtime": self.default_runtime, **asked}.items() if value}
        return self.manifest(factories.with_deploy(**deploy), *modifiers, name=name)

    def apply(self, *manifests: Manifest, user: str = "flux", flags: tuple[str, ...] = ()) -> None:
        self.as_user(user, "apply", *flags, "-f", "-", input=list(manifests))

    def served(self, app: str = APP) -> Mapping[str, Any]:
        """What the App's status says is live."""
        live: Mapping[str, Any] = self.get(kinds.APP.kind, app).get("status", {}).get("live", {})
        return live

    def until_told(self, row: str, app: str = APP) -> str:
        """Waits until the App's status says that a row is live, which the operator writes after the row's own; returns the row's name."""
        eventually(f"App {app} says that {row} is live", lambda: self.served(app).get("row") == row)
        return row

    def until_served(self, version: str, app: str = APP, *, rows: int | None = None, seconds: float = SETTLED_WITHIN) -> str:
        """Waits until the App serves `version`, all its rows are terminal and, where given, so many; returns the live row's name."""

        def seen() -> str | None:
            found = self.rows(app)
            done = all("outcome" in row["spec"] for row in found) and (rows is None or len(found) == rows)
            live = self.served(app)
            agree = live.get("row") == _to_be_live(found)
            return live["row"] if done and agree and live.get("workflowVersion") == version else None

        return eventually(f"App {app} serves {version}: {self.lines(app)}", seen, seconds)

    def versions(self, app: str = APP) -> list[str]:
        """The version of each row, oldest first; `-` of one that pins none."""
        return [row["spec"].get("pinned", {}).get("workflowVersion", "-") for row in self.rows(app)]

    def lines(self, app: str = APP) -> list[str]:
        """Each row as a line to read."""
        return [
            f"#{row['spec'].get('sequence')} {row['metadata']['name']} {row['spec'].get('pinned', {}).get('workflowVersion', '-')} "
            f"{row['spec'].get('outcome', {}).get('result', '-')} {row['status']['phase']} by {row['spec'].get('createdBy')}"
            for row in self.rows(app)
        ]

    def mounted(self, app: str = APP) -> tuple[str, str]:
        """What runs: the ConfigMap of the flow, and the label of the template."""
        template = self.workload(app)["spec"]["template"]
        return template["spec"]["volumes"][0]["configMap"]["name"], template["metadata"]["labels"][names.TEMPLATE_LABEL]

    def flows(self, app: str = APP) -> set[str]:
        """Names of the ConfigMaps of flows."""
        selector = f"{names.APP_LABEL}={app},{names.MANAGED_SELECTOR}"
        found = self.api.get("ConfigMap", "", self.namespace, labelSelector=selector).body["items"]
        return {each["metadata"]["name"] for each in found}

    def quiet_while_restoring(self, app: str = APP) -> None:
        """Asserts that nobody writes the App, or a row, or makes a workload, while the operator acts twice on another App."""

        def now() -> tuple[Any, ...]:
            objects = [self.get(kinds.APP.kind, app), *self.rows(app)]
            return self.find("Workload", app), [each["metadata"]["resourceVersion"] for each in objects]

        self.app(BYSTANDER, factories.public(), workflow=APP)
        # Before that it may not know the App yet, and tell rows that came first that there is none.
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
        """Whether the operator has seen the App as it is."""
        found = self.get(kinds.APP.kind, app)
        return bool(found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"])

    def acted_on(self, app: str) -> None:
        """Changes what nothing depends on, and waits until the operator has acted on the App as it is now, all that was before included."""
        self.change(kinds.APP.kind, app, spec={"displayName": f"Looked at {uuid.uuid4().hex[:6]}"})
        eventually(f"App {app} is seen as it is", lambda: self.seen(app))

    def quiet(self, app: str = APP) -> None:
        """Asserts that, once the operator has seen the App as it is, it acts on it twice and makes no row, writes none and says nothing new.

        Before that it acts once: a row is closed after its App's status tells of it.
        """
        eventually(f"App {app} is seen as it is, and says what its rows do", lambda: self.seen(app) and self._is_told(app))
        rows = specs(self.rows(app))
        self.acted_on(app)
        before = self._state(app)
        assert specs(self.rows(app)) == rows
        for _ in range(2):  # what it decides at one look is written before the next
            self.acted_on(app)
        assert self._state(app) == before

    def _is_told(self, app: str) -> bool:
        """Whether what rows have come to is in the App's status and their own: their outcomes are written before either."""
        ended = [row for row in self.rows(app) if "outcome" in row["spec"]]
        live = _to_be_live(ended)
        return self.served(app).get("row") == live and all(row["status"]["phase"] == _phase(row, live) for row in ended)

    def _state(self, app: str) -> tuple[Any, ...]:
        """The rows, and what the App says, but for how much of it has been seen, and recorded."""
        found = self.get(kinds.APP.kind, app)
        said = {key: value for key, value in found["status"].items() if key not in ("observedGeneration", "conditions", "settings")}
        conditions = [{key: value for key, value in each.items() if key != "observedGeneration"} for each in found["status"]["conditions"]]
        return [(row["metadata"]["name"], row["metadata"]["resourceVersion"]) for row in self.rows(app)], said, conditions


def specs(rows: list[Manifest]) -> list[tuple[str, Manifest]]:
    """What of rows must outlive everything, in their order: names and specs."""
    return [(row["metadata"]["name"], row["spec"]) for row in rows]


def _phase(row: Manifest, live: str | None) -> str:
    """What a row that has ended reads in the end."""
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
    """A namespace with a Runtime of its own, gone at the end with it, and releases v1 to v4. `leave`: see `fresh_namespace`."""
    api = Api.of(cluster)
    with fresh_namespace(api, purpose, leave=leave) as namespace:
        made = HistoryStage(cluster, api, Kubectl(cluster), namespace)
        try:
            made.runtime("tiny", image=factories.IMAGE)
            made.release(*RELEASES, workflow=APP)
            yield made
        finally:
            for runtime in api.get(kinds.RUNTIME.kind, "", "").body["items"]:
                if runtime["metadata"]["name"].startswith(f"{namespace}-"):
                    made.delete(kinds.RUNTIME.kind, runtime["metadata"]["name"])
