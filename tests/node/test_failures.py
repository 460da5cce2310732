"""Deploys that fail on real pods: the row says why, at the moment the cause deserves, and callers go on with what was live.

All of them are begun at once, since some have to last until a deadline; those that crash for a minute are begun for the tests that ask for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.support.api import Manifest
from tests.support.factories import Modifier, public, with_variables
from tests.support.stage import Stage, operator, restarts, said, stage, took, uids
from tests.support.waiting import eventually

DEADLINE = 20  # seconds, of those that fail for no other reason
SLACK = 90  # seconds more, on a busy machine
A_MINUTE = pytest.mark.long(
    "these deserve a minute before they fail; a cause that fails at once: test_an_image_whose_name_is_not_valid_fails_at_once, the minute: tests/unit/plan/test_deploys.py"
)
LASTING = ("crashing", "starved")
"""Apps of those whose deploys fail after a minute."""
ONE_POD = {"autoscaling": {"minReplicas": 1, "maxReplicas": 1}}
"""An autoscaler would add a pod where the machine is busy and there are metrics."""
AT_ONCE = 50
"""Seconds from the moment at which the cluster knew it: below the minute that others get. Until then a pod has to start, which takes
its time on a busy machine."""

TOLD_BY = ("Started", "Failed", "InspectFailed")
"""Reasons of the kubelet's Events from which on it is known that a pod cannot run: it ends at its start, or never gets there."""
ABSENT = "127.0.0.1:1/absent:9.9"
"""Of a registry that refuses at once: a name that DNS has to look up may take a minute by itself."""
MISNAMED = "dynamiq.local/Not-A-Name:1"
OF_ANOTHER_ENGINE = '{"nodes": {"in": {"type": "dynamiq.nodes.utils.Input"}, "ask": {"type": "dynamiq.nodes.llms.OpenAI"}}}'
BROKEN_PYTHON = {"name": "PYTHONHOME", "value": "/nowhere"}
"""Makes Python end at its start, with exit code 1."""
NO_SUCH_KEY = {"name": "TOKEN", "secret": {"name": "tokens", "key": "missing"}}


@dataclass
class Scenario:
    """A deploy that fails, of an App that serves v1 from the pods `before`, or, where it is `first`, nothing yet.

    A `short` deadline is set once v1 is live: the many that start at once may take longer.
    """

    asked: dict[str, Any]
    modifiers: tuple[Modifier, ...] = ()
    first: bool = False
    short: bool = False
    row: str = ""
    before: frozenset[str] = frozenset()


def scenarios(on: Stage) -> dict[str, Scenario]:
    """Each by the name of its App."""

    def with_runtime(name: str, **spec: Any) -> dict[str, Any]:
        return {"version": "v2", "runtime": on.runtime(name, **spec)}

    def with_compute(**resources: Manifest) -> dict[str, Any]:
        return {"version": "v2", "config": {"resources": resources}}

    return {
        "absent": Scenario(with_runtime("absent", image=ABSENT)),
        "misnamed": Scenario(with_runtime("misnamed", image=MISNAMED)),
        "unready": Scenario(with_runtime("unready", probes={"readiness": {"path": "/nowhere", "periodSeconds": 1}}), short=True),
        "huge": Scenario(with_compute(requests={"cpu": "64"}), short=True),
        "refused": Scenario(with_compute(requests={"memory": "2Gi"}, limits={"memory": "1Gi"})),
        "starved": Scenario(with_compute(requests={"memory": "12Mi"}, limits={"memory": "12Mi"})),
        "crashing": Scenario({"version": "v1"}, (with_variables(BROKEN_PYTHON),), first=True),
        "keyless": Scenario({"version": "v1"}, (with_variables(NO_SUCH_KEY),), first=True),
        "unknown": Scenario({"version": "v9"}),
        "newborn": Scenario({"version": "v9"}, first=True),
        "crowded": Scenario({"version": "v2"}, short=True),
    }


@dataclass
class Failing:
    """The scenarios once they have been begun."""

    begun: dict[str, Scenario]
    stages: dict[str, Stage]

    def on(self, app: str) -> Stage:
        return self.stages.get(app, self.stages[""])

    @property
    def good(self) -> str:
        """The Runtime of what serves."""
        return f"{self.stages[''].namespace}-good"

    def row(self, app: str) -> Manifest:
        """The App's row once it has failed."""
        return self.on(app).until(self.begun[app].row, "Failed", 240)

    def fails_at_once(self, app: str) -> Manifest:
        """The App's row, which failed soon after the first of its pods showed the cause, or where there is none after its begin."""
        row = self.row(app)
        ended, began = (datetime.fromisoformat(row["spec"][part][key]) for part, key in (("outcome", "at"), ("pinned", "createdAt")))
        seconds = (ended - max(began, self._known(app) or began)).total_seconds()
        print(f"{app}: Failed after {took(row):.0f} s, {seconds:.0f} s after it was known")
        assert seconds < AT_ONCE
        return row

    def _known(self, app: str) -> datetime | None:
        on, before = self.on(app), self.begun[app].before
        events = on.api.get("Event", "", on.namespace, fieldSelector="involvedObject.kind=Pod").body["items"]
        times = [
            datetime.fromisoformat(event["firstTimestamp"])
            for event in events
            if event["involvedObject"]["name"].startswith(f"{app}-")
            and event["involvedObject"]["uid"] not in before
            and event["reason"] in TOLD_BY
        ]
        return min(times, default=None)

    def serves_as_before(self, app: str) -> None:
        """The App is Ready and answers what it answered, from pods that never stopped."""
        on, before = self.on(app), self.begun[app].before
        eventually("only the pods from before are left", lambda: uids(on.pods(app)) == before)
        assert restarts(on.pods(app)) == 0
        on.until_condition(app, "Ready", "True")
        if on is self.stages[""]:
            on.until_answer(app, "v1")


@pytest.fixture(scope="module")
def failing(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failing]:
    """Every scenario but those that take a minute, begun; the crowded one in a namespace of its own, since a quota is a namespace's."""
    folder = tmp_path_factory.mktemp("failures")
    with stage(cluster, "failures") as on, stage(cluster, "crowded") as crowded, operator(on, crowded, folder=folder):
        for each in (on, crowded):
            each.release("v1", "v2")
        on.release("v9", text=OF_ANOTHER_ENGINE)
        on.runtime("good")
        made = Failing(scenarios(on), {"": on, "crowded": crowded})
        at_once = [app for app in made.begun if app not in LASTING]
        _bring_to_v1(made, at_once)
        crowded.create(crowded.named("ResourceQuota", "few") | {"spec": {"hard": {"pods": "1"}}})
        eventually("the quota counts", lambda: crowded.get("ResourceQuota", "few").get("status", {}).get("used") == {"pods": "1"})
        _begin(made, at_once)
        yield made


@pytest.fixture(scope="module")
def lasting(failing: Failing) -> Failing:
    """Those that take a minute begun, too."""
    _bring_to_v1(failing, LASTING)
    _begin(failing, LASTING)
    return failing


def _bring_to_v1(made: Failing, apps: Sequence[str]) -> None:
    rows = {}
    for app in apps:
        scenario = made.begun[app]
        made.on(app).app(app, public(), *scenario.modifiers)
        if not scenario.first:
            rows[app] = made.on(app).deploy(app, "v1", runtime=made.good, config=ONE_POD)
    for app, row in rows.items():
        made.on(app).until(row, "Live")
        made.begun[app].before = frozenset(uids(made.on(app).pods(app)))


def _begin(made: Failing, apps: Sequence[str]) -> None:
    for app in apps:
        scenario = made.begun[app]
        if scenario.short:
            made.on(app).change("App", app, spec={"rollout": {"progressDeadlineSeconds": DEADLINE}})
        scenario.row = made.on(app).deploy(app, **{"runtime": made.good} | scenario.asked)


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
    failing.on("refused").live("refused", "v2", config={"resources": {"requests": {"memory": "32Mi"}}})
    failing.on("refused").until_answer("refused", "v2")


# The first deploy.


def test_a_first_deploy_that_fails_leaves_the_service_and_no_workload(failing: Failing) -> None:
    on, row = failing.on("newborn"), failing.row("newborn")
    eventually("the workload is gone", lambda: on.find("Workload", "newborn") is None and not on.pods("newborn"))
    service = on.get("Service", "newborn")
    ready = on.condition("newborn", "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "DeployFailed")
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
    assert re.search(r"the readiness probe of pod unready-\S+ does not succeed", said(row)), said(row)
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


# After a minute.


def test_a_row_says_what_is_in_its_way_before_it_has_failed(failing: Failing) -> None:
    on = failing.on("absent")
    eventually("the row names the image", lambda: ABSENT in said(on.row(failing.begun["absent"].row)))
    on.until_answer("absent", "v1")


@A_MINUTE
def test_an_image_that_cannot_be_pulled_fails_after_a_minute(failing: Failing) -> None:
    row = failing.row("absent")
    assert 60 <= took(row) < 60 + SLACK
    assert f"image {ABSENT} cannot be pulled" in said(row)
    failing.serves_as_before("absent")


@A_MINUTE
def test_a_runtime_that_keeps_crashing_fails_after_a_minute(lasting: Failing) -> None:
    on, row = lasting.on("crashing"), lasting.row("crashing")
    assert 60 <= took(row) < 60 + SLACK
    assert re.search(r"the runtime of pod crashing-\S+ ends with exit code 1: ", said(row)), said(row)
    assert on.condition("crashing", "Ready")["reason"] == "DeployFailed"


@A_MINUTE
def test_a_runtime_that_needs_more_memory_than_its_limit_fails_after_a_minute(lasting: Failing) -> None:
    row = lasting.row("starved")
    assert 60 <= took(row) < 60 + SLACK
    assert "memory" in said(row)
    lasting.serves_as_before("starved")


# Everybody can see it.


def test_kubectl_shows_the_failure(failing: Failing) -> None:
    on, name = failing.on("misnamed"), failing.begun["misnamed"].row
    failing.row("misnamed")
    listed = on.kubectl("get", "deployments.dynamiq", name, namespace=on.namespace).stdout
    assert "Failed" in listed
    described = on.kubectl("describe", "deployments.dynamiq", name, namespace=on.namespace).stdout
    assert f"image name {MISNAMED} is not valid" in described
    assert on.events(name)["Failed"].endswith(said(on.row(name)))
    assert on.events("misnamed")["Failed"] == on.events(name)["Failed"]
    progressing = on.condition("misnamed", "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "DeployFailed")
    assert MISNAMED in progressing["message"]


def test_the_workload_is_again_that_of_the_live_row(failing: Failing) -> None:
    on = failing.on("unknown")
    live = next(row for row in on.rows("unknown") if row["status"]["phase"] == "Live")
    volumes = on.workload("unknown")["spec"]["template"]["spec"]["volumes"]
    flows = [volume["configMap"]["name"] for volume in volumes if "configMap" in volume]
    assert flows == [names.flow("unknown", live["spec"]["pinned"]["workflowHash"])]
