"""Tests failing deploys on real pods: the row has the reason, as soon as the cause allows, and callers still get the live version.

Some last until a deadline: they begin first. For one App, each begins when the previous one has failed. Those that last a minute begin for
the tests that need them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.support.api import Manifest
from tests.support.factories import Modifier, public, with_variables
from tests.support.stage import ONE_POD, Stage, operator, restarts, said, stage, took, uids
from tests.support.waiting import eventually

DEADLINE = 20  # seconds, of those that fail for no other reason
SLACK = 240  # seconds more, on a busy machine: less than the ten minutes that others get
A_MINUTE = pytest.mark.long(
    "these deserve a minute before they fail; a cause that fails at once: test_an_image_whose_name_is_not_valid_fails_at_once, the minute: tests/unit/plan/test_deploys.py"
)
SHOP, LATE = "shop", "late"
"""Apps of several scenarios: of those that fail at once, and at the deadline."""
"""An autoscaler would add a pod if the machine is busy and there are metrics."""
AT_ONCE = 50
"""Seconds from the moment at which the cluster knew the cause: less than the minute of others.

Until then a pod has to start, which is slow on a busy machine.
"""

TOLD_BY = ("Started", "Failed", "InspectFailed")
"""Reasons of the kubelet's Events that prove that a pod cannot run: it ends at its start, or never starts."""
ABSENT = "127.0.0.1:1/absent:9.9"
"""An image of a registry that refuses at once: a name that DNS has to resolve may take a minute by itself."""
MISNAMED = "dynamiq.local/Not-A-Name:1"
OF_ANOTHER_ENGINE = '{"nodes": {"in": {"type": "dynamiq.nodes.utils.Input"}, "ask": {"type": "dynamiq.nodes.llms.OpenAI"}}}'
BROKEN_PYTHON = {"name": "PYTHONHOME", "value": "/nowhere"}
"""Makes Python end at its start, with exit code 1."""
NO_SUCH_KEY = {"name": "TOKEN", "secret": {"name": "tokens", "key": "missing"}}


@dataclass
class Scenario:
    """A failing deploy of an App that serves v1, or, if it is `first`, nothing yet.

    A `short` deadline is set once v1 is live: the many first deploys may take longer.
    """

    app: str
    asked: dict[str, Any]
    modifiers: tuple[Modifier, ...] = ()
    first: bool = False
    short: bool = False
    row: str = ""


def scenarios(on: Stage) -> dict[str, Scenario]:
    """Returns each scenario by its name, in the order of their start."""

    def with_runtime(name: str, **spec: Any) -> dict[str, Any]:
        return {"version": "v2", "runtime": on.runtime(name, **spec)}

    def with_compute(**resources: Manifest) -> dict[str, Any]:
        return {"version": "v2", "config": {"resources": resources}}

    return {
        "unready": Scenario(LATE, with_runtime("unready", probes={"readiness": {"path": "/nowhere", "periodSeconds": 1}}), short=True),
        "crowded": Scenario("crowded", {"version": "v2"}, short=True),
        "newborn": Scenario("newborn", {"version": "v9"}, first=True),
        "keyless": Scenario("keyless", {"version": "v1"}, (with_variables(NO_SUCH_KEY),), first=True),
        "unknown": Scenario(SHOP, {"version": "v9"}),
        "refused": Scenario(SHOP, with_compute(requests={"memory": "2Gi"}, limits={"memory": "1Gi"})),
        "misnamed": Scenario(SHOP, with_runtime("misnamed", image=MISNAMED)),
        "huge": Scenario(LATE, with_compute(requests={"cpu": "64"}), short=True),
    }


def of_a_minute(on: Stage) -> dict[str, Scenario]:
    """Returns the scenarios that last a minute."""
    starved = {"requests": {"memory": "12Mi"}, "limits": {"memory": "12Mi"}}
    return {
        "absent": Scenario(SHOP, {"version": "v2", "runtime": on.runtime("absent", image=ABSENT)}),
        "starved": Scenario("starved", {"version": "v2", "config": {"resources": starved}}),
        "crashing": Scenario("crashing", {"version": "v1"}, (with_variables(BROKEN_PYTHON),), first=True),
    }


@dataclass
class Failing:
    """The scenarios that have begun; the pods `before`, by App, serve v1 the whole time."""

    begun: dict[str, Scenario]
    stages: dict[str, Stage]
    before: dict[str, set[str]] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)
    """The scenario that began last, by App."""

    def on(self, name: str) -> Stage:
        return self.stages.get(name, self.stages[""])

    @property
    def good(self) -> str:
        """Returns the Runtime of the live version."""
        return f"{self.stages[''].namespace}-good"

    def bring_to_v1(self, *names: str) -> None:
        """Makes the missing Apps of these scenarios."""
        rows = {}
        for name in names:
            on, scenario = self.on(name), self.begun[name]
            if on.find("App", scenario.app) is None:
                on.app(scenario.app, public(), *scenario.modifiers)
                if not scenario.first:
                    rows[name] = on.deploy(scenario.app, "v1", runtime=self.good, config=ONE_POD)
        for name, row in rows.items():
            self.on(name).until(row, "Live")
            self.before[self.begun[name].app] = uids(self.on(name).pods(self.begun[name].app))

    def begin(self, *names: str) -> None:
        """Begins these, each once the previous one of its App has failed."""
        for name in names:
            on, scenario = self.on(name), self.begun[name]
            if scenario.app in self.last:
                self.row(self.last[scenario.app])
            self.last[scenario.app] = name
            if scenario.short:
                on.change("App", scenario.app, spec={"rollout": {"progressDeadlineSeconds": DEADLINE}})
            scenario.row = on.deploy(scenario.app, **{"runtime": self.good} | scenario.asked)

    def row(self, name: str) -> Manifest:
        """Returns the scenario's row once it has failed."""
        return self.on(name).until(self.begun[name].row, "Failed", 240)

    def fails_at_once(self, name: str) -> Manifest:
        """Returns the scenario's row, which must have failed soon after a pod showed the cause; without pods, soon after its start."""
        row = self.row(name)
        ended, began = (datetime.fromisoformat(row["spec"][part][key]) for part, key in (("outcome", "at"), ("pinned", "createdAt")))
        seconds = (ended - (self._known(name, began, ended) or began)).total_seconds()
        print(f"{name}: Failed after {took(row):.0f} s, {seconds:.0f} s after it was known")
        assert seconds < AT_ONCE
        return row

    def _known(self, name: str, since: datetime, until: datetime) -> datetime | None:
        on, app = self.on(name), self.begun[name].app
        events = on.api.get("Event", "", on.namespace, fieldSelector="involvedObject.kind=Pod").body["items"]
        times = [
            datetime.fromisoformat(event["firstTimestamp"])
            for event in events
            if event["involvedObject"]["name"].startswith(f"{app}-")
            and event["involvedObject"]["uid"] not in self.before.get(app, ())
            and event["reason"] in TOLD_BY
        ]
        return min((each for each in times if since <= each <= until), default=None)

    def serves_as_before(self, name: str) -> None:
        """Asserts that the App is Ready and answers as before, from pods that never stopped."""
        on, app = self.on(name), self.begun[name].app
        eventually("only the pods from before are left", lambda: uids(on.pods(app)) == self.before[app])
        assert restarts(on.pods(app)) == 0
        on.until_condition(app, "Ready", "True")
        if on is self.stages[""]:
            on.until_answer(app, "v1")


@pytest.fixture(scope="module")
def failing(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failing]:
    """Begins every scenario but those of a minute; the crowded one in a separate namespace, since a quota belongs to a namespace."""
    folder = tmp_path_factory.mktemp("failures")
    with stage(cluster, "failures") as on, stage(cluster, "crowded") as crowded, operator(on, crowded, folder=folder):
        for each in (on, crowded):
            each.release("v1", "v2")
        on.release("v9", text=OF_ANOTHER_ENGINE)
        on.runtime("good")
        at_once = scenarios(on)
        failing_deploys = Failing(at_once, {"": on, "crowded": crowded})
        failing_deploys.bring_to_v1(*at_once)
        crowded.create(crowded.named("ResourceQuota", "few") | {"spec": {"hard": {"pods": "1"}}})
        eventually("the quota counts", lambda: crowded.get("ResourceQuota", "few").get("status", {}).get("used") == {"pods": "1"})
        failing_deploys.begin(*at_once)
        failing_deploys.begun |= of_a_minute(on)
        yield failing_deploys


@pytest.fixture(scope="module")
def absent(failing: Failing) -> Failing:
    """Begins the deploy of an image that cannot be pulled."""
    failing.begin("absent")
    return failing


@pytest.fixture(scope="module")
def lasting(failing: Failing) -> Failing:
    """Begins the deploys whose pods keep crashing."""
    failing.bring_to_v1("starved", "crashing")
    failing.begin("starved", "crashing")
    return failing


# At once.


def test_a_flow_that_the_engine_cannot_run_fails_at_once(failing: Failing) -> None:
    row = failing.fails_at_once("unknown")
    assert "ask" in said(row)
    assert "dynamiq.nodes.llms.OpenAI" in said(row)
    assert "tiny" in said(row)
    assert "\n" not in said(row)
    failing.serves_as_before("unknown")


def test_an_image_whose_name_is_not_valid_fails_at_once(failing: Failing) -> None:
    row = failing.fails_at_once("misnamed")
    assert said(row) == f"image name {MISNAMED} is not valid"
    failing.serves_as_before("misnamed")


def test_a_variable_whose_secret_is_missing_fails_at_once(failing: Failing) -> None:
    row = failing.fails_at_once("keyless")
    assert said(row) == "variable TOKEN takes key missing of Secret tokens, which does not exist"
    assert failing.on("keyless").find("Workload", "keyless") is None


def test_compute_that_the_api_server_refuses_fails_at_once(failing: Failing) -> None:
    row = failing.fails_at_once("refused")
    assert "memory limit" in said(row)
    failing.serves_as_before("refused")


# The first deploy.


def test_a_first_deploy_that_fails_leaves_the_service_and_no_workload(failing: Failing) -> None:
    on, row = failing.on("newborn"), failing.row("newborn")
    eventually("the workload is gone", lambda: on.find("Workload", "newborn") is None and not on.pods("newborn"))
    service = on.get("Service", "newborn")
    ready = on.until_condition("newborn", "Ready", "False", reason="DeployFailed")
    assert failing.begun["newborn"].row in ready["message"]
    assert said(row) in ready["message"]
    on.live("newborn", "v1", runtime=failing.good)
    on.until_condition("newborn", "Ready", "True")
    on.until_answer("newborn", "v1")
    assert on.get("Service", "newborn")["metadata"]["uid"] == service["metadata"]["uid"]
    assert "failed" not in on.get("App", "newborn")["status"]


# At the deadline.


def test_a_readiness_probe_that_never_succeeds_fails_at_the_deadline(failing: Failing) -> None:
    row = failing.row("unready")
    assert DEADLINE <= took(row) < DEADLINE + SLACK
    assert re.search(r"the readiness probe of pod late-\S+ does not succeed", said(row)), said(row)
    failing.serves_as_before("unready")


def test_pods_that_no_node_can_take_fail_at_the_deadline(failing: Failing) -> None:
    row = failing.row("huge")
    assert DEADLINE <= took(row) < DEADLINE + SLACK
    assert "Insufficient cpu" in said(row)
    failing.serves_as_before("huge")


def test_pods_that_a_quota_refuses_fail_at_the_deadline(failing: Failing) -> None:
    row = failing.row("crowded")
    assert DEADLINE <= took(row) < DEADLINE + SLACK
    assert "exceeded quota: few" in said(row)
    failing.serves_as_before("crowded")


# Everybody can see it.


def test_kubectl_shows_the_failure(failing: Failing) -> None:
    on, name = failing.on("misnamed"), failing.begun["misnamed"].row
    failing.row("misnamed")
    listed = on.kubectl("get", "deployments.dynamiq", name, namespace=on.namespace).stdout
    assert "Failed" in listed
    described = on.kubectl("describe", "deployments.dynamiq", name, namespace=on.namespace).stdout
    assert f"image name {MISNAMED} is not valid" in described
    failed = eventually("the row's Event is there", lambda: on.events(name).get("Failed"))
    assert failed.endswith(said(on.row(name)))
    eventually("it is told of the App, too", lambda: failed in on.told(SHOP, "Failed"))
    eventually("the App says it", lambda: MISNAMED in on.condition(SHOP, "Progressing")["message"])
    progressing = on.condition(SHOP, "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "DeployFailed")


def test_the_workload_is_again_that_of_the_live_row(failing: Failing) -> None:
    on = failing.on("misnamed")
    failing.serves_as_before("misnamed")
    live = next(row for row in on.rows(SHOP) if row["status"]["phase"] == "Live")
    volumes = on.workload(SHOP)["spec"]["template"]["spec"]["volumes"]
    flows = [volume["configMap"]["name"] for volume in volumes if "configMap" in volume]
    assert flows == [names.flow(SHOP, live["spec"]["pinned"]["workflowHash"])]


# After a minute.


def test_a_row_reports_the_obstacle_before_it_fails(absent: Failing) -> None:
    on = absent.on("absent")
    eventually("the row names the image", lambda: ABSENT in said(on.row(absent.begun["absent"].row)))
    on.until_answer(SHOP, "v1")


@A_MINUTE
def test_an_image_that_cannot_be_pulled_fails_after_a_minute(absent: Failing) -> None:
    row = absent.row("absent")
    assert 60 <= took(row) < 60 + SLACK
    assert f"image {ABSENT} cannot be pulled" in said(row)
    absent.serves_as_before("absent")


@A_MINUTE
def test_a_runtime_that_keeps_crashing_fails_after_a_minute(lasting: Failing) -> None:
    on, row = lasting.on("crashing"), lasting.row("crashing")
    assert 60 <= took(row) < 60 + SLACK
    assert re.search(r"the runtime of pod crashing-\S+ ends with exit code 1: ", said(row)), said(row)
    on.until_condition("crashing", "Ready", "False", reason="DeployFailed")


@A_MINUTE
def test_a_runtime_that_needs_more_memory_than_its_limit_fails_after_a_minute(lasting: Failing) -> None:
    row = lasting.row("starved")
    assert 60 <= took(row) < 60 + SLACK
    assert "memory" in said(row)
    lasting.serves_as_before("starved")
