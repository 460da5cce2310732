"""Changes variables and access of a live App: the change is served without a row, without a failed call, and only once it can be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.clusters import Cluster
from tests.support.api import Manifest
from tests.support.factories import with_variables
from tests.support.flows import answering
from tests.support.stage import Stage, operator, restarts, said, stage, uids
from tests.support.waiting import IN_TIME, eventually

GREETS = "greets"
"""A workflow that answers with the variable GREETING."""

SECRET_VALUE = "a-greeting-that-is-secret"
DOLLARS = "hi $(PORT) $$(PORT) $$"
"""A value that a kubelet would expand and shorten unless it is escaped."""
GOES_ON_WITHIN = IN_TIME  # seconds, on a busy machine: it checks every 3


@dataclass(frozen=True)
class Greeting:
    on: Stage
    folder: Path

    def serve(self, app: str) -> str:
        """Makes a live App that answers `hello`; returns its row."""
        self.on.app(app, with_variables(greeting(value="hello")), workflow=GREETS)
        return self.on.live(app, "v1")

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.folder.iterdir())


def greeting(**source: object) -> Manifest:
    return {"name": "GREETING", **source}


def of_secret(app: str) -> Manifest:
    return greeting(secret={"name": f"{app}-secret", "key": "greeting"})


@pytest.fixture(scope="module")
def greets(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Greeting]:
    folder = tmp_path_factory.mktemp("variables")
    with stage(cluster, "variables") as on, operator(on, folder=folder):
        on.release("v1", workflow=GREETS, text=answering("${oc.env:GREETING}"))
        on.runtime("fast", by_default=True)
        yield Greeting(on, folder)


@pytest.fixture(autouse=True)
def ends_its_apps(greets: Greeting) -> Iterator[None]:
    yield
    greets.on.end_apps()


def test_a_change_of_variables_and_one_of_access_are_served_without_a_row_and_fail_no_call(greets: Greeting) -> None:
    on, app = greets.on, "changed"
    row = on.row(greets.serve(app))
    key = on.key(app)
    on.until_reached(app)
    on.create(on.named("ConfigMap", "greetings") | {"data": {"long": "good morning"}})
    with on.load(app) as calls:
        on.change("App", app, spec={"variables": [greeting(value=DOLLARS)]})
        on.until_answer(app, DOLLARS, key)
        on.change("App", app, spec={"variables": [greeting(configMap={"name": "greetings", "key": "long"})]})
        on.until_answer(app, "good morning", key)
        on.until_settled(app)
        assert on.call(app)[0] == 401
        on.change("App", app, spec={"access": {"type": "public"}})
        on.until_answer(app, "good morning")
        on.until_settled(app)
        on.change("App", app, spec={"access": {"type": "private"}})
        eventually("a caller without a key is refused", lambda: on.call(app)[0] == 401)
        on.until_settled(app)
    assert calls["failed"] == 0, calls["errors"]
    assert set(calls["by_output"]) == {'{"answer":"hello"}', f'{{"answer":"{DOLLARS}"}}', '{"answer":"good morning"}'}
    assert [each["spec"] for each in on.rows(app)] == [row["spec"]]
    assert on.row(row["metadata"]["name"])["status"]["phase"] == "Live"
    on.until_condition(app, "VariablesResolved", "True")


def test_a_missing_key_is_reported_and_old_pods_keep_serving(greets: Greeting) -> None:
    on, app = greets.on, "missing"
    greets.serve(app)
    key, before, template = on.key(app), uids(on.until_settled(app)), on.workload(app)["spec"]["template"]
    on.change("App", app, spec={"variables": [of_secret(app)]})
    lacks = on.until_condition(app, "VariablesResolved", "False", reason="VariableMissing")["message"]
    assert lacks.startswith(f"variable GREETING takes key greeting of Secret {app}-secret, which does not exist")
    eventually("the user is told", lambda: on.events(app).get("VariableMissing") == lacks)
    on.create(on.named("Secret", f"{app}-secret") | {"stringData": {"other": SECRET_VALUE}})
    eventually("the key is named", lambda: "which has no such key" in on.condition(app, "VariablesResolved")["message"])
    assert on.condition(app, "Ready")["status"] == "True"
    assert on.workload(app)["spec"]["template"] == template
    on.until_answer(app, "hello", key)
    failed = on.until(on.deploy(app, "v1"), "Failed")
    assert "takes key greeting" in said(failed)
    assert uids(on.pods(app)) == before
    assert restarts(on.pods(app)) == 0
    on.change("Secret", f"{app}-secret", stringData={"greeting": SECRET_VALUE})
    eventually("new pods are made", lambda: on.workload(app)["spec"]["template"] != template, GOES_ON_WITHIN)
    on.until_answer(app, SECRET_VALUE, key)
    on.until_condition(app, "VariablesResolved", "True")
    template = on.workload(app)["spec"]["template"]
    on.change("Secret", f"{app}-secret", stringData={"greeting": "another"})
    on.change("App", app, spec={"description": "seen with it"})
    eventually("it was seen", lambda: on.get("App", app)["status"]["observedGeneration"] == on.get("App", app)["metadata"]["generation"])
    assert on.workload(app)["spec"]["template"] == template, "a Secret's new content reaches pods that begin after it"
    on.kubectl("rollout", "restart", f"deployment.apps/{app}", namespace=on.namespace)
    on.until_answer(app, "another", key)
    everything = [on.get("App", app), *on.rows(app), on.workload(app), on.events(app), greets.logs()]
    assert SECRET_VALUE not in str(everything)
